"""Check whether the database responds and has its tables."""

import concurrent.futures
import logging
import pathlib
import threading

import sqlalchemy as sa
from flask import Flask

from web.database import db

WAIT_SECONDS = 1.0  # with the model server's, /readyz answers within two
log = logging.getLogger("web")
TABLES_MISSING = "tables are missing or outdated; run flask --app web db upgrade"
TABLES_NEWER = "it was created by a newer version of Pilah; start that version, or restore an older backup"
REVISIONS = {path.name.partition("_")[0] for path in pathlib.Path(__file__).parent.glob("migrations/versions/*.py")}


class DatabaseProbe:
    """Queries the database in a separate thread, because a query to a paused database does not end.

    At most one query runs at a time.
    """

    def __init__(self, app: Flask):
        self._app, self._lock = app, threading.Lock()
        self._answer: concurrent.futures.Future[str] | None = None

    def state(self) -> str:
        """Return "ok" or a short reason why the database is not ready."""
        with self._lock:
            if self._answer is None or self._answer.done():
                self._answer = concurrent.futures.Future()
                threading.Thread(target=self._ask, args=(self._answer,), name="readiness", daemon=True).start()
            answer = self._answer
        try:
            return answer.result(WAIT_SECONDS)
        except TimeoutError:
            return "no answer"

    def _ask(self, answer: concurrent.futures.Future[str]) -> None:
        try:
            with self._app.app_context():
                answer.set_result(_database_state())
        except BaseException as error:  # otherwise every later check would wait for this thread
            answer.set_result(type(error).__name__)


def _database_state() -> str:
    try:
        with db.engine.connect() as connection:
            connection.execute(sa.text("SELECT 1"))
            try:
                for table in db.metadata.sorted_tables:
                    connection.execute(sa.select(table).limit(1))
                revision = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
            except (sa.exc.OperationalError, sa.exc.ProgrammingError):
                return TABLES_MISSING
            if revision not in REVISIONS:
                return TABLES_NEWER
    except sa.exc.SQLAlchemyError as error:
        return type(error).__name__
    return "ok"


def log_state(app: Flask) -> None:
    """Log why the database is not ready, if it is not."""
    state = app.extensions["pilah_database_probe"].state()
    if state != "ok":
        log.error("The database is not ready: %s", state)


def init_app(app: Flask) -> None:
    app.extensions["pilah_database_probe"] = DatabaseProbe(app)
