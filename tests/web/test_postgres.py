"""A database of PostgreSQL whose encoding is SQL_ASCII, as `initdb` makes it in a container without a locale."""

import os

import pytest
import sqlalchemy as sa
import web_app

NAME = f"{web_app.SCHEMA}_ascii"


@pytest.fixture
def ascii_url():
    url = sa.make_url(os.environ["DATABASE_URL"])
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE IF EXISTS {NAME}"))
        locale = "LC_COLLATE 'C' LC_CTYPE 'C'"
        connection.execute(sa.text(f"CREATE DATABASE {NAME} ENCODING 'SQL_ASCII' {locale} TEMPLATE template0"))
        yield url.set(database=NAME).render_as_string(hide_password=False)
        connection.execute(sa.text(f"DROP DATABASE {NAME} WITH (FORCE)"))
    engine.dispose()


@pytest.mark.skipif(not web_app.HAS_POSTGRESQL, reason=web_app.NO_POSTGRESQL)
def test_page_works_with_a_database_without_an_encoding(ascii_url, tmp_path, model):
    web_app.upgrade(tmp_path, ascii_url)
    app = web_app.make(ascii_url, tmp_path, model, serving_timeout_seconds=10.0)
    try:
        result = web_app.classify(app, web_app.photo("metal")).json
        (row,) = web_app.rows(app)
        assert (row.id, row.class_name) == (result["id"], "metal")
    finally:
        web_app.close(app)
