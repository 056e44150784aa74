"""Damaged files of a served version under the model server and the page: `python -m chaos.served.trial --seed 1`.

The server must refuse the version in one line or give the scores that were validated. The page must read the same
numbers and texts as before the damage, or leave out those of the damaged file. Only the edits in EDITS_OF_VALUES may
give that file others, as it has no digest.
"""

import functools
import json
import logging
import pathlib
import random
import shutil
import sys
import tempfile
from collections.abc import Callable
from typing import Any

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
PAGE_FILES = {  # file -> what the page may leave out if it is damaged; the card is compared with the classes
    "model_card.json": ("card",),
    "model_card.html": ("en",),
    "model_card.id.html": ("id",),
    "model.json": ("card", "classes"),
}
EDITS_OF_VALUES = ("flipped_bits", "other_value", "other_literal")  # after which a file may be valid, but say others
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
    output = log.read_text(errors="replace")[-300:].strip()
    ends = {RIGHT: None, REFUSED: None, WRONG: f"other scores or texts: {output}", FAILED: "an exception"}
    return ends.get(code, f"exit code {code}: {output}")


def page_values(version: pathlib.Path) -> dict[str, Any]:
    """Return the numbers, the classes and the texts that the page reads of a version; None or empty if left out."""
    texts = {language: about.details(version, language) for language in ("en", "id")}
    return {"card": model_card.read(version), "classes": about.classes(version.parent), **texts}


def page_result(version: pathlib.Path, undamaged: dict[str, Any], file: str, edit: str) -> int:
    """Read what the page reads of a version after an edit of a file; print what is wrong, and return an exit code."""
    logging.disable()
    values = page_values(version)
    wrong_names = [name for name, value in values.items() if not _is_right(name, value, undamaged, file, edit)]
    print(*wrong_names)
    return WRONG if wrong_names else RIGHT


def _is_right(name: str, value: Any, undamaged: dict[str, Any], file: str, edit: str) -> bool:
    if value == undamaged[name]:
        return True
    if name not in PAGE_FILES[file]:
        return False
    is_left_out = not value or (name == "id" and value == undamaged["en"])  # English without Indonesian
    return is_left_out or (edit in EDITS_OF_VALUES and type(value) is type(undamaged[name]))


def trial(
    base: run_to_damage.Base,
    name: str,
    count: int,
    seed: int,
    run: Callable[[pathlib.Path, str, str], int],
    files: Callable[[str], bool],
) -> outcomes.Outcome:
    """Damage a file of the served version `count` times, and run the reader on each."""
    source = newest_version(base)
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
            name_of_file = str(path.relative_to(version))
            ends = functools.partial(run, version, name_of_file, edit.__name__)
            if end := wrong(ends, pathlib.Path(folder, "log")):
                failures.append(f"edit {number}, {name_of_file} {edit.__name__}: {end}")
    return outcomes.Outcome(name, count, failures=tuple(failures))


def newest_version(base: run_to_damage.Base) -> pathlib.Path:
    return max((base.run_dir / "served" / "pilah").iterdir(), key=lambda path: int(path.name))


def main() -> int:
    args = arguments.parser(__doc__).parse_args()
    with tempfile.TemporaryDirectory(prefix="pilah-served-") as root:
        run_to_damage.prepare()
        base = run_to_damage.make(pathlib.Path(root))
        answers = json.loads((base.run_dir / "answers.json").read_text())
        usable = {photo.id: photo for photo in photos.read(base.run_dir / "photos.csv")}
        content = pathlib.Path(usable[answers["photos"][0]].path).read_bytes()
        scores = answers["scores"][0]
        undamaged = page_values(newest_version(base))
        if not all(undamaged.values()):
            sys.exit(f"The undamaged version must have a card, texts and classes (got {undamaged}).")
        results = [
            trial(
                base,
                "damaged files of a version under the model server",
                SHORT if args.short else SERVED,
                args.seed,
                lambda version, file, edit: served_result(version, content, scores),
                lambda name: name not in PAGE_FILES or name == "model.json",
            ),
            trial(
                base,
                "damaged files of a version on the page",
                SHORT if args.short else CARDS,
                args.seed,
                lambda version, file, edit: page_result(version, undamaged, file, edit),
                lambda name: name in PAGE_FILES,
            ),
        ]
    return outcomes.report(results)


if __name__ == "__main__":
    sys.exit(main())
