import logging
from logging.config import fileConfig

import sqlalchemy as sa
from flask import current_app

from alembic import context
from alembic.util import CommandError
from web import database

# this is the Alembic Config object, which provides
# access to the values within the .ini file in use.
config = context.config

# Interpret the config file for Python logging.
# This line sets up loggers basically.
fileConfig(config.config_file_name, disable_existing_loggers=False)
logger = logging.getLogger('alembic.env')

LOCK_KEY = 7_452_648  # of PostgreSQL's advisory locks; any number that no other program takes
LOCK_SECONDS = 600  # for which a migration of SQLite waits for writers


def get_engine():
    try:
        # this works with Flask-SQLAlchemy<3 and Alchemical
        return current_app.extensions['migrate'].db.get_engine()
    except (TypeError, AttributeError):
        # this works with Flask-SQLAlchemy>=3
        return current_app.extensions['migrate'].db.engine


def get_engine_url():
    try:
        return get_engine().url.render_as_string(hide_password=False).replace(
            '%', '%%')
    except AttributeError:
        return str(get_engine().url).replace('%', '%%')


# add your model's MetaData object here
# for 'autogenerate' support
# from myapp import mymodel
# target_metadata = mymodel.Base.metadata
config.set_main_option('sqlalchemy.url', get_engine_url())
target_db = current_app.extensions['migrate'].db

# other values from the config, defined by the needs of env.py,
# can be acquired:
# my_important_option = config.get_main_option("my_important_option")
# ... etc.


def get_metadata():
    if hasattr(target_db, 'metadatas'):
        return target_db.metadatas[None]
    return target_db.metadata


def run_migrations_offline():
    """Run migrations in 'offline' mode.

    This configures the context with just a URL
    and not an Engine, though an Engine is acceptable
    here as well.  By skipping the Engine creation
    we don't even need a DBAPI to be available.

    Calls to context.execute() here emit the given string to the
    script output.

    """
    url = config.get_main_option("sqlalchemy.url")
    context.configure(
        url=url, target_metadata=get_metadata(), literal_binds=True
    )

    with context.begin_transaction():
        context.run_migrations()


def run_migrations_online():
    """Run migrations in 'online' mode.

    In this scenario we need to create an Engine
    and associate a connection with the context.

    """

    # this callback is used to prevent an auto-migration from being generated
    # when there are no changes to the schema
    # reference: http://alembic.zzzcomputing.com/en/latest/cookbook.html
    def process_revision_directives(context, revision, directives):
        if getattr(config.cmd_opts, 'autogenerate', False):
            script = directives[0]
            if script.upgrade_ops.is_empty():
                directives[:] = []
                logger.info('No changes in schema detected.')

    conf_args = current_app.extensions['migrate'].configure_args
    if conf_args.get("process_revision_directives") is None:
        conf_args["process_revision_directives"] = process_revision_directives

    connectable = get_engine()

    with connectable.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=get_metadata(),
            # all steps or none, so that the same command goes on after an interruption
            transactional_ddl=True,
            **conf_args
        )

        with context.begin_transaction():
            begin_alone(connection)
            context.run_migrations()


def begin_alone(connection):
    """Wait until no other migration runs on the database, and keep others waiting until this one ends."""
    if connection.dialect.name == 'sqlite':
        # Otherwise Python's sqlite3 commits before each change of a table.
        connection.connection.dbapi_connection.isolation_level = None
        try:
            connection.exec_driver_sql('BEGIN IMMEDIATE')
        except sa.exc.OperationalError:  # locked for database.LOCK_SECONDS
            logger.warning('Another program writes to this database. The migration waits for it.')
            connection.exec_driver_sql(f'PRAGMA busy_timeout={LOCK_SECONDS * 1000}')
            connection.exec_driver_sql('BEGIN IMMEDIATE')
    elif not connection.scalar(sa.text('SELECT pg_try_advisory_xact_lock(:key)'), {'key': LOCK_KEY}):
        logger.warning('Another migration of this database is running. This one waits for it.')
        connection.execute(sa.text('SELECT pg_advisory_xact_lock(:key)'), {'key': LOCK_KEY})


def first_error(error):
    """Return the error that led to `error`: on a full disk, Alembic fails at last to drop a table that is already gone."""
    first, current = error, error
    while current := current.__context__:
        if isinstance(current, sa.exc.SQLAlchemyError):
            first = current
    return first


if context.is_offline_mode():
    run_migrations_offline()
else:
    try:  # Flask-Migrate reports a CommandError on one line
        run_migrations_online()
    except sa.exc.SQLAlchemyError as error:
        raise CommandError(f'The database failed: {database.describe(first_error(error))}') from error
    except CommandError as error:
        if "Can't locate revision" not in str(error):
            raise
        raise CommandError(
            f'The database was created by a newer version of Pilah ({error}). Start that version, or restore an older backup.'
        ) from error
