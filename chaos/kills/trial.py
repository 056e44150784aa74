"""SIGKILLs at random moments: of runs, training processes, the model server, the page and its database.

After each kill comes the same command again. In the end nothing may be lost or doubled, and a run must have the
leaderboard of an undisturbed one.
"""

import pathlib
import random
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "tests" / "helpers"))

from forked_commands import Commands

from chaos import arguments, outcomes
from chaos.kills import postgres, run_kills, server_kills, web_kills
from components.data import photos

RUN_KILLS, RENAME_KILLS, SEARCH_KILLS, SERVER_KILLS = 40, 30, 12, 15
WEB_KILLS = 13  # on each of two databases
SHORT = 2  # of each
SERVED_PHOTOS = 4


def main() -> int:
    args = arguments.parser(__doc__, f"{SHORT} kills of each kind.").parse_args()
    with tempfile.TemporaryDirectory(prefix="pilah-kills-") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)  # PostgreSQL's user has a folder in it
        return outcomes.report(run(folder, random.Random(args.seed), args.short))


def run(folder: pathlib.Path, rng: random.Random, short: bool) -> list[outcomes.Outcome]:
    """Return the outcomes of all kinds of kills."""
    commands = Commands(folder, "pipeline", "serving")
    try:
        trial = run_kills.Trial(commands, folder / "run", run_kills.ALL_STAGES, rng)
        rows = run_kills.run(trial, SHORT if short else RUN_KILLS)
        rows += run_kills.run_renames(trial, SHORT if short else RENAME_KILLS)
        rows += run_kills.run_search(commands, folder / "search", SHORT if short else SEARCH_KILLS, rng)
        version = trial.folder / run_kills.UNDISTURBED / "served" / "pilah" / "1"
        if version.exists():  # otherwise the undisturbed run failed, which a row says
            kills = SHORT if short else SERVER_KILLS
            rows += server_kills.run(commands, folder, version, _photos(trial), kills, rng)
    finally:
        commands.close()
    kills = SHORT if short else WEB_KILLS
    rows += web_kills.run(folder / "sqlite", kills, None, rng)
    with postgres.running(folder / "postgres") as database:
        if database:
            rows += web_kills.run(folder / "postgresql", kills, database, rng)
    return rows


def _photos(trial: run_kills.Trial) -> list[bytes]:
    listed = photos.read(trial.folder / run_kills.UNDISTURBED / "photos.csv")
    return [pathlib.Path(photo.path).read_bytes() for photo in listed[:: len(listed) // SERVED_PHOTOS]]


if __name__ == "__main__":
    sys.exit(main())
