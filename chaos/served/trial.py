"""Damaged files of a served version under the model server and the page: `python -m chaos.served.trial --seed 1`.

The server must refuse the version in one line or give the scores that were validated; the page must show its pages.
"""

import json
import logging
import pathlib
import random
import shutil
import sys
import tempfile
from collections.abc import Callable

import numpy as np

from chaos import arguments, outcomes
from chaos.edits import file_edits, forks, run_to_damage
from components.data import photos
from serving.embedded import saved_model, status
from web import model_card
from web.pages import about

SERVED, CARDS = 500, 1_000  # edits of the files that the server and the page read
SHORT = 12
HANG_SECONDS = 60
MAX_DIFFERENCE = 1e-3  # of scores, as --check-serving allows
PAGE_FILES = ("model_card.json", "model_card.html", "model_card.id.html", "model.json")
RIGHT, FAILED, REFUSED, WRONG = range(4)  # exit codes of a fork


def served_result(version: pathlib.Path, photo: bytes, scores: list[float]) -> int:
    """Load a version and score a photo in this process, which may end by a crash; return an exit code."""
    try:
        model = saved_model.SavedModel(version)
        answer = model.run("serving_default", {"image_bytes": np.array([photo], object)}, ["scores"])["scores"][0]
    except status.StatusError as error:
        return REFUSED if error.message.strip() else FAILED
    # not the maximum, which passes over nan
    is_right = all(abs(float(a) - b) <= MAX_DIFFERENCE for a, b in zip(answer, scores, strict=True))
    return RIGHT if is_right else WRONG


def wrong(run: Callable[[], int], log: pathlib.Path) -> str | None:
    """Run a function in a fork; return what is wrong with how it ended, if anything."""
    code = forks.run(run, log, HANG_SECONDS)
    if code is None:
        return f"it was still running after {HANG_SECONDS} s"
    ends = {RIGHT: None, REFUSED: None, WRONG: "other scores or texts", FAILED: "an exception"}
    return ends.get(code, f"exit code {code}: {log.read_text(errors='replace')[-300:]}")


def page_result(version: pathlib.Path) -> int:
    """Read what the page reads of a version; return an exit code."""
    logging.disable()
    card = model_card.read(version)
    texts = [about.details(version, language) for language in ("en", "id")]
    names = about.classes(version.parent)
    is_right = all(isinstance(name, str) for name in names) and all(text is None or text for text in texts)
    return RIGHT if is_right and (card is None or card.class_names) else WRONG


def trial(
    base: run_to_damage.Base,
    name: str,
    count: int,
    seed: int,
    run: Callable[[pathlib.Path], int],
    files: Callable[[str], bool],
) -> outcomes.Outcome:
    """Damage a file of the served version `count` times, and run the reader on each."""
    source = max((base.run_dir / "served" / "pilah").iterdir(), key=lambda path: int(path.name))
    failures = []
    with tempfile.TemporaryDirectory(prefix="pilah-served-") as folder:
        for number in range(count):
            version = pathlib.Path(folder, "served", source.name)
            shutil.rmtree(version, ignore_errors=True)
            shutil.copytree(source, version)
            rng = random.Random(f"{seed} {name} {number}")
            paths = sorted(path for path in version.rglob("*") if path.is_file())
            path = rng.choice([path for path in paths if files(str(path.relative_to(version)))])
            edit = rng.choice(file_edits.edits_of(path))
            edit(rng, path)
            if end := wrong(lambda version=version: run(version), pathlib.Path(folder, "log")):  # type: ignore[misc]
                failures.append(f"edit {number}, {path.relative_to(version)} {edit.__name__}: {end}")
    return outcomes.Outcome(name, count, failures=tuple(failures))


def main() -> int:
    args = arguments.parser(__doc__).parse_args()
    with tempfile.TemporaryDirectory(prefix="pilah-served-") as root:
        run_to_damage.prepare()
        base = run_to_damage.make(pathlib.Path(root))
        answers = json.loads((base.run_dir / "answers.json").read_text())
        usable = {photo.id: photo for photo in photos.read(base.run_dir / "photos.csv")}
        content = pathlib.Path(usable[answers["photos"][0]].path).read_bytes()
        scores = answers["scores"][0]
        results = [
            trial(
                base,
                "damaged files of a version under the model server",
                SHORT if args.short else SERVED,
                args.seed,
                lambda version: served_result(version, content, scores),
                lambda name: name not in PAGE_FILES or name == "model.json",
            ),
            trial(
                base,
                "damaged files of a version on the page",
                SHORT if args.short else CARDS,
                args.seed,
                page_result,
                lambda name: name in PAGE_FILES,
            ),
        ]
    return outcomes.report(results)


if __name__ == "__main__":
    sys.exit(main())
