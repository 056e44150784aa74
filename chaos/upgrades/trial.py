"""Interrupt the migrations of the page's database: at each statement, at random moments, on a full disk, by each other.

    python -m chaos.upgrades.trial [--seed N] [--short]

SQLite is always used, PostgreSQL where DATABASE_URL names one. Only root can mount the full disk.
"""

import itertools
import os
import pathlib
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa

from chaos import arguments, outcomes
from chaos.faults import small_disk
from chaos.upgrades import page_databases
from chaos.upgrades.page_databases import PageDatabase, Snapshot

DATABASES = ("sqlite", "postgresql") if os.environ.get("DATABASE_URL", "").startswith("postgresql") else ("sqlite",)
HEAD = "0004"
STEPS = (  # revision before, command, revision after
    (None, ("upgrade",), HEAD),
    ("0001", ("upgrade",), HEAD),
    ("0002", ("upgrade",), HEAD),
    ("0003", ("upgrade",), HEAD),
    (HEAD, ("downgrade", "0003"), "0003"),
    (HEAD, ("downgrade", "0002"), "0002"),
    (HEAD, ("downgrade", "0001"), "0001"),
)
FEW_ROWS, SHORT_ROWS, ROWS = 16, 2_000, 20_000
FULL_DISK_ROWS, DISK_MIB = 800, 8
FULL_DISK = "Error: The database failed: database or disk is full"
FREE_BYTES = (64_000, 320_000)  # left on the full disk; SQLite needs 32 kB to read, and the upgrade needs 400 kB


class Trial:
    """Counts what repetitions of one trial lost, and lists their failures."""

    def __init__(self, name: str):
        self.name, self.runs, self.lost, self.failures = name, 0, 0, list[str]()

    def check(self, is_right: bool, failure: str) -> None:
        if not is_right:
            self.failures.append(failure)

    def outcome(self) -> outcomes.Outcome:
        return outcomes.Outcome(self.name, self.runs, self.lost, 0, tuple(self.failures))


def main() -> int:
    args = arguments.parser(__doc__).parse_args()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for name in DATABASES:
            place = pathlib.Path(folder) / name
            results += [
                statement_kills(name, place, random.Random(args.seed), args.short),
                random_kills(name, place, random.Random(args.seed), *((1, SHORT_ROWS) if args.short else (60, ROWS))),
                pairs(name, place, 2 if args.short else 40),
            ]
        results.append(full_disks(pathlib.Path(folder) / "full", random.Random(args.seed), 2 if args.short else 40))
    return outcomes.report([trial.outcome() for trial in results])


def statement_kills(name: str, folder: pathlib.Path, generator: random.Random, is_short: bool) -> Trial:
    """Kill each step before each of its statements and commits (in the short form, before one of them)."""
    trial = Trial(f"{name}: migration killed before a statement")
    for before, command, after in STEPS:
        count = count_statements(name, folder, before, command)
        numbers = list(range(1, count + 1))
        for number in sorted(generator.sample(numbers, 1)) if is_short else numbers:
            interrupt(trial, name, folder, (before, command, after), FEW_ROWS, kill_before(number))
    return trial


def random_kills(name: str, folder: pathlib.Path, generator: random.Random, repetitions: int, rows: int) -> Trial:
    """Kill upgrades of a large database after a random time."""
    trial = Trial(f"{name}: upgrade of {rows:,} rows killed after a random time")
    with page_databases.make(name, folder) as database:
        prepare(database, "0002", rows)
        start = time.monotonic()
        database.run("upgrade")
        longest = time.monotonic() - start
    for _ in range(repetitions):
        delay = generator.uniform(0.2, 1) * longest
        interrupt(trial, name, folder, ("0002", ("upgrade",), HEAD), rows, lambda: None, delay)
    return trial


def full_disks(folder: pathlib.Path, generator: random.Random, repetitions: int) -> Trial:
    """Upgrade on a file system that has too little space left, which must fail; then free the space."""
    trial = Trial("sqlite: upgrade on a full disk")
    for _ in range(repetitions):
        with (
            page_databases.make("sqlite", folder) as database,
            small_disk.mounted(database.folder, DISK_MIB) as is_mounted,
        ):
            if not is_mounted:
                print("sqlite: upgrade on a full disk was not tried, because no file system can be mounted here.")
                break
            rows = prepare(database, "0002", FULL_DISK_ROWS)
            left_bytes = generator.randrange(*FREE_BYTES)
            small_disk.fill(database.folder, left_bytes)
            code = database.run("upgrade")
            small_disk.free(database.folder)
            trial.runs += 1
            is_named = code == 1 and database.last_line().endswith(FULL_DISK)
            trial.check(is_named, f"{left_bytes} bytes free: exit code {code}: {database.last_line()}")
            finish(trial, database, rows, "0002", (("upgrade",), HEAD))
    return trial


def pairs(name: str, folder: pathlib.Path, repetitions: int) -> Trial:
    """Upgrade twice at the same time, as two containers do that start together."""
    trial = Trial(f"{name}: two upgrades at the same time")
    for before in itertools.islice(itertools.cycle((None, "0002")), repetitions):
        with page_databases.make(name, folder) as database:
            rows = prepare(database, before, FEW_ROWS)
            pids = [database.start("upgrade") for _ in range(2)]
            codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
            trial.runs += 1
            trial.check(codes == [0, 0], f"exit codes {codes}: {database.last_line()}")
            check_rows(trial, database, rows, HEAD)
    return trial


def interrupt(
    trial: Trial,
    name: str,
    folder: pathlib.Path,
    step: tuple[str | None, tuple[str, ...], str],
    number: int,
    fault: Callable[[], None],
    delay: float | None = None,
) -> None:
    """Run a step with a fault, or kill it after `delay` seconds; then run the same command, and compare the rows."""
    before, command, after = step
    with page_databases.make(name, folder) as database:
        rows = prepare(database, before, number)
        pid = database.start(*command, prepare=fault)
        if delay is not None:
            time.sleep(delay)
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        trial.runs += 1
        finish(trial, database, rows, database.revision(), (command, after))


def finish(
    trial: Trial, database: PageDatabase, rows: Snapshot, revision: str | None, step: tuple[tuple[str, ...], str]
) -> None:
    """Check that the interrupted step has left the database at `revision`; then run it again, and compare the rows."""
    command, after = step
    trial.check("Traceback" not in database.output(), database.last_line())
    check_rows(trial, database, rows, revision)
    code = database.run(*command)
    trial.check(code == 0, f"{' '.join(command)} from {revision} again: {database.last_line()}")
    check_rows(trial, database, rows, after)


def prepare(database: PageDatabase, revision: str | None, number: int) -> Snapshot:
    """Bring an empty database to a revision, fill it, and return its rows."""
    if revision is None:
        return {}
    assert database.run("upgrade", revision) == 0, database.output()
    database.fill(number, seed=1)
    return database.snapshot()


def check_rows(trial: Trial, database: PageDatabase, before: Snapshot, revision: str | None) -> None:
    """Check the revision, and count rows that are missing or have other values than a migration gives them."""
    trial.check(database.revision() == revision, f"revision is {database.revision()}, not {revision}")
    after = database.snapshot()
    trial.check(not any("tmp" in table for table in after), f"tables are {sorted(after)}")
    expected = migrated(before, revision)
    for table, rows in expected.items():
        trial.lost += sum(after.get(table, {}).get(key) != row for key, row in rows.items())
        trial.check(len(after.get(table, {})) == len(rows), f"{table} has {len(after.get(table, {}))} rows")


def migrated(rows: Snapshot, revision: str | None) -> Snapshot:
    """Return what the rows are to be after the migrations up or down to a revision."""
    tables = {"upload": {key: _upload(row, revision) for key, row in rows.get("upload", {}).items()}}
    if "operator_session" in rows and revision != "0001":
        tables["operator_session"] = rows["operator_session"]
    return tables if rows else {}


def _upload(row: dict[str, Any], revision: str | None) -> dict[str, Any]:
    if revision == HEAD:
        return {"feedback": None, "is_sample": False, **dict.fromkeys(page_databases.SET_COLUMNS)} | row
    row = {name: value for name, value in row.items() if name not in page_databases.SET_COLUMNS}
    if revision == "0003":
        return {"feedback": None, "is_sample": False} | row
    earlier = {name: value for name, value in row.items() if name not in ("feedback", "is_sample")}
    return earlier | ({} if earlier["corrected_class"] else {"corrected_at": None})


def count_statements(name: str, folder: pathlib.Path, revision: str | None, command: tuple[str, ...]) -> int:
    """Return the number of statements and commits of a step."""
    with page_databases.make(name, folder) as database:
        prepare(database, revision, FEW_ROWS)
        count = folder / "count"
        assert database.run(*command, prepare=lambda: on_statement(lambda number: write(count, number))) == 0
        return int(count.read_text())


def write(path: pathlib.Path, number: int) -> None:
    path.write_text(str(number))


def kill_before(number: int) -> Callable[[], None]:
    def kill(current: int) -> None:
        if current == number:
            os.kill(os.getpid(), signal.SIGKILL)

    return lambda: on_statement(kill)


def on_statement(action: Callable[[int], None]) -> None:
    """Call action(n) before the nth statement or commit of this process."""
    numbers: Iterator[int] = itertools.count(1)
    for event in ("before_cursor_execute", "commit"):
        sa.event.listen(sa.engine.Engine, event, lambda *_: action(next(numbers)))


if __name__ == "__main__":
    sys.exit(main())
