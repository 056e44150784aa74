"""Push a validated SavedModel atomically as the next version, remove old versions, and roll back."""

import pathlib
import shutil
from collections.abc import Sequence
from typing import Any

from components.base import artifacts, documents, json_types
from components.base.errors import PilahError

MODEL_NAME = "pilah"  # model name in requests
RETIRED = "retired-"  # prefix of the name of a version that is being removed
SAVED_MODEL = ("saved_model.pb", "fingerprint.pb", "variables", "assets", "assets.extra")  # its files and folders
ANSWERS = "answers.json"  # of the validation, for checks of a model server
RESTORE = "Restore it, or delete the folder of that version."
DESCRIPTION = "model.json"  # in the folder of a version; TensorFlow Serving ignores it


def versions(base: pathlib.Path) -> list[int]:
    """Return the versions in `base`, ascending: the folders whose names are numbers, as for TensorFlow Serving."""
    if not base.is_dir():
        return []
    return sorted(int(path.name) for path in base.iterdir() if path.is_dir() and path.name.isdecimal())


def served(base: pathlib.Path, kind: Any = documents.Version) -> documents.ModelDescription | None:
    """Return model.json of the newest version in `base`, or None if there is no version; see `read`."""
    numbers = versions(base)
    return read(base / str(numbers[-1]), kind) if numbers else None


def read(version_dir: pathlib.Path, kind: Any = documents.Version) -> documents.ModelDescription:
    """Return model.json in the folder of a version.

    Args:
        kind: keys that it must have.

    Raises:
        PilahError: it is missing or damaged.
    """
    path = version_dir / DESCRIPTION
    if not path.is_file():
        raise PilahError(f"{path} {'is not a file' if path.exists() else 'is missing'}. {RESTORE}")
    try:
        description: documents.ModelDescription = artifacts.parse_json(path.read_text(encoding="utf-8"))
        json_types.check(description, kind)
    except ValueError as error:
        raise PilahError(f"{path} is damaged ({error}). {RESTORE}") from error
    return description


def check_files(version_dir: pathlib.Path, description: documents.ModelDescription) -> None:
    """Raise PilahError if a file of the SavedModel, or its answers, are missing or not as they were pushed.

    Versions that an earlier Pilah pushed are not checked, as their model.json lists no files.
    """
    for name, digest in description.get("files", {}).items():
        path = version_dir / name
        if not path.is_file() or artifacts.file_digest(path) != digest:
            state = "has changed since it was pushed" if path.exists() else "is missing"
            raise PilahError(f"{path} {state}. {RESTORE}")


def push(
    saved_model: pathlib.Path,
    base: pathlib.Path,
    description: documents.ModelDescription,
    *,
    keep_versions: int,
    extra_files: Sequence[pathlib.Path] = (),
) -> pathlib.Path:
    """Copy `saved_model` to the next version folder in `base` and return it; keep the newest `keep_versions`.

    `extra_files` are also copied, and `description` is written to model.json with the version number. The copy is made
    under a name that TensorFlow Serving ignores, and then renamed.
    """
    for rest in base.glob(f"{RETIRED}*"):  # of a push that was killed
        shutil.rmtree(rest)
    version = (versions(base) or [0])[-1] + 1
    part = base / "incoming"
    shutil.rmtree(part, ignore_errors=True)
    base.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copytree(saved_model, part)
    except shutil.Error as error:  # has a list of all files that could not be copied
        _, target, reason = error.args[0][0]
        raise OSError(f"{target}: {reason.partition(': ')[0]}") from error
    for file in extra_files:
        shutil.copy(file, part)
    files = {str(path.relative_to(part)): artifacts.file_digest(path) for path in _files(part)}
    artifacts.write_json(part / DESCRIPTION, {**description, "version": version, "files": files})
    part.rename(base / str(version))
    for old_version in versions(base)[:-keep_versions]:
        retired = base / f"{RETIRED}{old_version}"
        (base / str(old_version)).rename(retired)  # so that no server sees an incomplete version
        shutil.rmtree(retired)
    return base / str(version)


def same_version(
    saved_model: pathlib.Path,
    base: pathlib.Path,
    description: documents.ModelDescription,
    extra_files: Sequence[pathlib.Path] = (),
) -> pathlib.Path | None:
    """Return the newest version in `base` if `push` with these arguments has made it, as before a kill; else None."""
    newest = served(base)
    if newest is None or {**newest, "files": {}} != {**description, "version": newest["version"], "files": {}}:
        return None
    version = base / str(newest["version"])
    files = {path.relative_to(saved_model): path for path in saved_model.rglob("*") if path.is_file()}
    files |= {pathlib.Path(path.name): path for path in extra_files}
    is_same = all((version / name).exists() and _is_equal(version / name, path) for name, path in files.items())
    return version if is_same else None


def _is_equal(file: pathlib.Path, other: pathlib.Path) -> bool:
    return artifacts.file_digest(file) == artifacts.file_digest(other)


def _files(part: pathlib.Path) -> list[pathlib.Path]:
    """Return the paths in `part` of the files that stay as they were pushed; model cards are written again later."""
    paths = [path.relative_to(part) for path in sorted(part.rglob("*")) if path.is_file()]
    return [part / path for path in paths if path.parts[0] in (*SAVED_MODEL, ANSWERS)]


def rollback(base: pathlib.Path) -> pathlib.Path:
    """Push a copy of the version before the newest one, and return its folder; nothing is deleted.

    A copy counts as the version that it was copied from, so that two rollbacks go two versions back.

    Raises:
        PilahError: there is no earlier version.
    """
    numbers = versions(base)
    newest = served(base) or {"version": 0}
    origin = newest.get("copy_of", newest["version"])
    earlier = [number for number in numbers if number < origin]
    if not earlier:
        raise PilahError(
            f"There is no earlier version to roll back to: {base} has versions {numbers}. Push another one with 'run'."
        )
    source = base / str(earlier[-1])
    description = read(source)
    check_files(source, description)
    copy: documents.ModelDescription = {**description, "copy_of": description.get("copy_of", earlier[-1])}
    return push(source, base, copy, keep_versions=len(numbers) + 1)
