"""PostgreSQL's connections: time limits, as psycopg waits for ever for a server that is paused, and missing tables."""

from typing import Any

import psycopg
import sqlalchemy as sa

CONNECT_SECONDS = 5


def limit_connecting(engine: sa.Engine) -> None:
    @sa.event.listens_for(engine, "do_connect")
    def set_connect_timeout(dialect: Any, record: Any, arguments: Any, options: dict[str, Any]) -> None:
        options.setdefault("connect_timeout", CONNECT_SECONDS)  # DATABASE_URL may have another


def limit_answers(engine: sa.Engine, seconds: float) -> None:
    """Have each statement fail after `seconds`, on the server, and here if the server does not say so."""

    class LimitedConnection(psycopg.Connection[Any]):
        def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
            try:
                return super().wait(gen, interval, seconds + 1 if timeout is None else timeout)
            except psycopg.OperationalError:
                if self.pgconn.transaction_status == psycopg.pq.TransactionStatus.ACTIVE:  # no answer yet
                    self.pgconn.finish()  # else the answer would be taken for that of the next statement
                raise

    @sa.event.listens_for(engine, "do_connect")
    def connect(dialect: Any, record: Any, arguments: Any, options: dict[str, Any]) -> Any:
        connection = LimitedConnection.connect(*arguments, **options)
        connection.execute(f"SET statement_timeout = {round(seconds * 1000)}")
        connection.commit()
        return connection


def report_missing_tables(engine: sa.Engine) -> None:
    """Raise an OperationalError where a table or column is missing, as SQLite does, and not a ProgrammingError."""

    @sa.event.listens_for(engine, "handle_error")
    def handle_error(context: sa.engine.ExceptionContext) -> None:
        error = context.original_exception
        if isinstance(error, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedColumn):
            raise sa.exc.OperationalError(context.statement, context.parameters, error) from error
