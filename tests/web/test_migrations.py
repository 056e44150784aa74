import subprocess
import sys

import pytest
import sqlalchemy as sa
import web_app

pytestmark = pytest.mark.databases("sqlite")
ROWS = """INSERT INTO upload
(id, visitor, created_at, state, class_name, corrected_class, corrected_at, feedback) VALUES
('confirmed', '', '2026-01-01', 'done', 'glass', NULL, '2026-01-01', 'confirmed'),
('corrected', '', '2026-01-01', 'done', 'glass', 'metal', '2026-01-01', NULL)"""


def test_feedback_is_removed_and_corrections_are_kept_by_a_downgrade(tmp_path):
    web_app.upgrade(tmp_path, "")
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'pilah.db'}")
    with engine.begin() as connection:
        connection.execute(sa.text(ROWS))
    variables = web_app.environment(PILAH_ENV="development", PILAH_DATA=str(tmp_path), DATABASE_URL="")
    command = [sys.executable, "-m", "flask", "--app", "web", "db", "downgrade", "0002"]
    subprocess.run(command, cwd=web_app.ROOT, env=variables, check=True, capture_output=True)
    with engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT * FROM upload ORDER BY id")).mappings().all()
    assert [(row["corrected_class"], bool(row["corrected_at"])) for row in rows] == [(None, False), ("metal", True)]
    assert not {"feedback", "is_sample"} & set(rows[0])
    web_app.upgrade(tmp_path, "")
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT feedback FROM upload")).scalars().all() == [None, None]
    engine.dispose()
