"""JSON, CSV and array files, written atomically and checked when they are read."""

import contextlib
import csv
import errno
import hashlib
import itertools
import json
import math
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from components.base import claims, json_types
from components.base.errors import NotFiniteError, PilahError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import DTypeLike

REWRITE = "Delete it and run again to write a new one."
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)  # a disk that is full or damaged
PART = ".part-"  # prefix of the names of files and folders that are not finished
READ_AT_ONCE_BYTES = 2**16
DIGESTED_AT_ONCE = 1_000  # values of a list
SETTINGS = "settings.json"  # in the folder of the files that depend on them, see reset_if_settings_changed


@contextlib.contextmanager
def naming(path: pathlib.Path) -> Iterator[None]:
    """Name `path` in a disk's error, because Python names no file where a write fails."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in DISK_ERRORS:
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
        raise


@contextlib.contextmanager
def atomic_write(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yield a temporary path next to `path`; rename it to `path` if the block succeeds, and remove it otherwise.

    Raises:
        LostClaimError: this thread has lost its claim, see claims.claimed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f"{PART}{path.name}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    part = pathlib.Path(name)
    try:
        with naming(path):
            yield part
            part.chmod(0o644)
            claims.check()
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def _atomic_write_text(path: pathlib.Path) -> Iterator[TextIO]:
    with atomic_write(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        yield file


def write_json(path: pathlib.Path, value: Any) -> None:
    """Write `value` as JSON.

    Raises:
        NotFiniteError: `value` contains nan or an infinite number, which JSON cannot represent.
    """
    try:
        text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise NotFiniteError(f"{path} cannot be written: a number in it is nan or infinite.") from error
    with _atomic_write_text(path) as file:
        file.write(f"{text}\n")


def read_json(path: pathlib.Path, kind: Any = Any) -> Any:
    """Return the value of a file that `write_json` wrote.

    Args:
        kind: type that the value must have, see json_types.check.

    Raises:
        PilahError: the file is not valid JSON, for example because a power cut left it empty, or not of this type.
    """
    try:
        value = parse_json(path.read_text(encoding="utf-8"))
        json_types.check(value, kind)
    except ValueError as error:
        raise PilahError(f"{path} is damaged ({error}). {REWRITE}") from error
    return value


def parse_json(text: str) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: it is not valid JSON, has a number that is not finite, a key twice, or too many nested values.
    """
    try:
        return json.loads(
            text, parse_constant=_finite, parse_float=_finite, object_pairs_hook=_object_with_distinct_keys
        )
    except RecursionError as error:
        raise ValueError("too many nested lists or objects") from error


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is not a finite number")
    return number


def _object_with_distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!a} is there twice")
    return document


def write_csv(path: pathlib.Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    with _atomic_write_text(path) as file:
        plain = csv.DictWriter(file, columns, lineterminator="\n")
        quoting = csv.DictWriter(file, columns, lineterminator="\n", quoting=csv.QUOTE_ALL)
        for row in itertools.chain([dict(zip(columns, columns, strict=True))], rows):
            # csv's reader ends a row at a carriage return, but its writer does not quote one (Python 3.11 and 3.12)
            writer = quoting if any("\r" in str(value) for value in row.values()) else plain
            writer.writerow(row)


def read_csv(path: pathlib.Path, required: Sequence[str] = ()) -> list[dict[str, str]]:
    """Return the rows of a file that `write_csv` wrote, see `csv_rows`."""
    return list(csv_rows(path, required))


def csv_rows(path: pathlib.Path, required: Sequence[str] = ()) -> Iterator[dict[str, str]]:
    """Yield the rows of a file that `write_csv` wrote, one at a time, because the file can be large.

    Args:
        required: columns that the file must have.

    Raises:
        PilahError: the file is not text, is empty, lacks a column, or has a row with more or fewer values than columns.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames
            if not columns:
                raise PilahError(f"{path} is damaged: it is empty. {REWRITE}")
            if missing := [name for name in required if name not in columns]:
                raise PilahError(f"{path} is damaged: it has no column {missing[0]}. {REWRITE}")
            for number, row in enumerate(reader, start=1):
                if None in row or None in row.values():
                    raise PilahError(f"{path} is damaged in row {number}. {REWRITE}")
                yield row
    except (UnicodeDecodeError, csv.Error) as error:
        raise PilahError(f"{path} is damaged ({error}). {REWRITE}") from error


@contextlib.contextmanager
def reading_rows(path: pathlib.Path) -> Iterator[None]:
    """Raise PilahError with `path` if the block, which converts rows of `read_csv`, cannot convert a value."""
    try:
        yield
    except (ValueError, KeyError, OverflowError) as error:
        reason = " ".join(str(error).split())[:200]
        raise PilahError(f"{path} is damaged (a value of a row: {reason}). {REWRITE}") from error


def read_array(path: pathlib.Path, mmap_mode: Any = None) -> "np.ndarray":
    """Return the array of a file that `writing_array` wrote.

    Raises:
        PilahError: the file is damaged.
    """
    import numpy as np  # here, because it takes 0.1 s that most commands do not need

    try:
        array = np.load(path, mmap_mode=mmap_mode)
    except OSError:
        raise
    except Exception as error:  # ValueError, EOFError, SyntaxError, RecursionError and more
        reason = " ".join(str(error).split())[:200]
        raise PilahError(f"{path} is damaged ({reason}). {REWRITE}") from error
    if not isinstance(array, np.ndarray):
        raise PilahError(f"{path} is damaged (it holds no array). {REWRITE}")
    return array


@contextlib.contextmanager
def writing_array(path: pathlib.Path, shape: tuple[int, ...], dtype: "DTypeLike") -> Iterator[Callable[[Any], object]]:
    """Yield a function that appends rows of an array of `shape` to the file `path`, which np.load reads."""
    import numpy as np  # here, because it takes 0.1 s that most commands do not need

    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    with atomic_write(path) as part, part.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        yield lambda rows: file.write(rows.tobytes())


def digest(value: Any) -> str:
    """Return 16 hexadecimal digits of the SHA-256 of a JSON value; the order of keys does not matter."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def list_digest(values: Iterable[Any]) -> str:
    """Return the `digest` of the list of `values`, without having them and their text in memory at once."""
    hasher, iterator, separator = hashlib.sha256(), iter(values), "["
    while batch := list(itertools.islice(iterator, DIGESTED_AT_ONCE)):
        text = json.dumps(batch, sort_keys=True, ensure_ascii=False)
        hasher.update(f"{separator}{text[1:-1]}".encode())
        separator = ", "
    hasher.update(b"]" if separator == ", " else b"[]")
    return hasher.hexdigest()[:16]


def bytes_digest(content: bytes) -> str:
    """Return the `file_digest` of a file with these contents."""
    return hashlib.sha256(content).hexdigest()[:16]


def file_digest(path: str | pathlib.Path) -> str:
    """Return 16 hexadecimal digits of the SHA-256 of a file's bytes."""
    hasher = hashlib.sha256()
    # for a million small files, path objects and the 256 KiB of zeros of each hashlib.file_digest take most of the time
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123
        while part := file.read(READ_AT_ONCE_BYTES):
            hasher.update(part)
    return hasher.hexdigest()[:16]


def reset_if_settings_changed(folder: pathlib.Path, settings: dict[str, Any]) -> None:
    """Empty `folder`, unless its settings.json equals `settings`, and write `settings` there.

    If they are equal, only temporary files of a killed process are removed, and unfinished work is resumed.

    Raises:
        LostClaimError: this thread has lost its claim, see claims.claimed.
    """
    claims.check()
    path = folder / SETTINGS
    if path.exists() and read_json(path) == json.loads(json.dumps(settings)):
        for part in folder.glob(f"{PART}*"):
            part.unlink(missing_ok=True)
        return
    remove(folder)
    write_json(path, settings)


def remove_parts(folder: pathlib.Path, *, recursive: bool = True) -> None:
    """Remove the unfinished files and folders that killed processes have left in `folder`."""
    for part in [*folder.glob(f"**/{PART}*" if recursive else f"{PART}*")]:
        if part.is_dir() and not part.is_symlink():
            shutil.rmtree(part)
        else:
            part.unlink(missing_ok=True)


def remove(folder: pathlib.Path) -> None:
    """Remove `folder` and everything in it, if it exists; raise OSError if something cannot be removed."""
    if folder.exists():
        shutil.rmtree(folder)
