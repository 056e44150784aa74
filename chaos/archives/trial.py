"""Hostile zips, and damaged ones, as `--images` of a run: `python -m chaos.archives.trial --seed 1`.

Each must be unpacked whole, or end in one line that says what is wrong; nothing may appear outside of its folder.
"""

import pathlib
import random
import re
import resource
import sys
import tempfile

from chaos import arguments, outcomes
from chaos.archives import archive_samples
from chaos.inputs import mutations
from components.base import artifacts
from components.base.errors import PilahError
from components.data import class_folders, photo_sources

DAMAGED = 20_000
SHORT = 150
MEMORY_MIB = 500  # that a zip may add to the largest memory of the process
SHORT_SKIPPED = ("100,000 entries", "bomb", "nested bomb")  # they take seconds each


def unpacked(zip_path: pathlib.Path, folder: pathlib.Path) -> str:
    """Unpack and scan a zip as a run does; return the error for the user, or "" if its photos are listed.

    Raises:
        AssertionError: files were left, or the error is no line for the user.
    """
    target = folder / "run" / "images" / "unpacked"
    before = {*folder.rglob("*")}
    try:
        root = photo_sources.folder_of(zip_path, target)
        class_folders.scan([root])
        error = ""
    except PilahError as refusal:
        error = str(refusal)
        assert "\n" not in error and error, f"not one line: {error!r}"
    new = {path for path in folder.rglob("*") if path not in before}
    outside = [path for path in new if target not in (path, *path.parents) and path not in target.parents]
    outside += [path for path in [pathlib.Path(archive_samples.ABSOLUTE)] if path.exists()]
    assert not outside, f"it left {outside[0]}"
    assert not [path for path in new if path.is_symlink()], "it wrote a link"
    artifacts.remove(folder / "run")
    return error


def wrong(zip_path: pathlib.Path, folder: pathlib.Path, expected: str | None) -> str | None:
    """Return what is wrong with how a zip is treated, if anything.

    Args:
        expected: words of the error, "" for a zip that must be accepted; None for a damaged one, which may be either.
    """
    memory_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    try:
        error = unpacked(zip_path, folder)
    except Exception as exception:  # also of the assertions in `unpacked`
        artifacts.remove(folder / "run")
        return f"{type(exception).__name__}: {exception}"
    added = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - memory_mib
    if added > MEMORY_MIB:
        return f"it took {added:.0f} MiB"
    if expected is not None and not (re.search(expected, error) if expected else not error):
        return f"the error must have {expected!r} (got {error!r})"
    return None


def damaged(rng: random.Random, samples: list[bytes]) -> bytes:
    """Return a zip with random damage, often in its central directory, which is at its end."""
    file = mutations.mutated(rng, samples)
    if rng.random() < 0.7:
        start = max(0, file.find(b"PK\x01\x02"))
        file = file[:start] + mutations.flip_bits(rng, file[start:], samples)
    return file


def main() -> int:
    args = arguments.parser(__doc__).parse_args()
    keep = pathlib.Path(tempfile.mkdtemp(prefix="pilah-archives-"))
    hostile = [name for name in archive_samples.ZIPS if not (args.short and name in SHORT_SKIPPED)]
    failures, damage_failures = [], []
    samples = [archive_samples.usual(), archive_samples.usual(method=0), archive_samples.usual(method=14)]
    samples += [archive_samples.overlapping(), archive_samples.with_zip64(99)]
    with tempfile.TemporaryDirectory(prefix="pilah-archives-") as name:
        folder = pathlib.Path(name)
        for kind in hostile:
            if error := wrong(archive_samples.write(kind, folder), folder, archive_samples.ZIPS[kind][1]):
                failures.append(f"{kind}: {error}")
        count = SHORT if args.short else DAMAGED
        for number in range(count):
            path = folder / "photos.zip"
            path.write_bytes(damaged(random.Random(f"{args.seed} {number}"), samples))
            if error := wrong(path, folder, None):
                kept = keep / f"{number}.zip"
                kept.write_bytes(path.read_bytes())
                damage_failures.append(f"{kept}: {error}")
    if not damage_failures:
        keep.rmdir()
    return outcomes.report(
        [
            outcomes.Outcome("hostile zips", len(hostile), failures=tuple(failures)),
            outcomes.Outcome("damaged zips", count, failures=tuple(damage_failures)),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
