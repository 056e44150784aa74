"""Time limits of PostgreSQL connections, as psycopg waits forever for a paused server, and errors of missing tables."""

from typing import Any

import psycopg
import sqlalchemy as sa

CONNECT_SECONDS = 5


def limit_connecting(engine: sa.Engine) -> None:
    @sa.event.listens_for(engine, "do_connect")
    def set_connect_timeout(dialect: Any, record: Any, arguments: Any, options: dict[str, Any]) -> None:
        options.setdefault("connect_timeout", CONNECT_SECONDS)  # DATABASE_URL may set another
        options.setdefault("client_encoding", "utf8")  # otherwise psycopg returns bytes from a database in SQL_ASCII


def limit_statements(engine: sa.Engine, seconds: float) -> None:
    """Make each statement fail after `seconds`: on the server, or here if the server does not respond."""

    class LimitedConnection(psycopg.Connection[Any]):
        def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
            try:
                return super().wait(gen, interval, seconds + 1 if timeout is None else timeout)
            except psycopg.OperationalError:
                if self.pgconn.transaction_status == psycopg.pq.TransactionStatus.ACTIVE:  # no response yet
                    self.pgconn.finish()  # otherwise the next statement would read this response
                raise

    @sa.event.listens_for(engine, "do_connect")
    def connect(dialect: Any, record: Any, arguments: Any, options: dict[str, Any]) -> Any:
        connection = LimitedConnection.connect(*arguments, **options)
        connection.execute(f"SET statement_timeout = {round(seconds * 1000)}")
        connection.commit()
        return connection


def report_missing_tables(engine: sa.Engine) -> None:
    """Raise an OperationalError for a missing table or column, as SQLite does, instead of a ProgrammingError."""

    @sa.event.listens_for(engine, "handle_error")
    def handle_error(context: sa.engine.ExceptionContext) -> None:
        error = context.original_exception
        if isinstance(error, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedColumn):
            raise sa.exc.OperationalError(context.statement, context.parameters, error) from error
