"""Folders of exported photos, FOLDER/CLASS/ID.jpg, whose copies are deleted with their photos.

Each folder is registered before the first copy is written to it: a file in `exports/`, beside the pictures, holds its
path. Copies that were made from such a folder are not deleted. The docstring of `web.store.PictureStore` explains why
no copy survives its picture.
"""

import contextlib
import fcntl
import hashlib
import logging
import os
import pathlib
from collections.abc import Iterator, Mapping

from web import database
from web.store import PictureStore, write_atomically

MAX_NAME_BYTES = 255  # of a folder name in common file systems
log = logging.getLogger("web")


class ExportError(Exception):
    """The folder cannot hold the export: the message names it and the next step, on one line."""


def is_folder_name(class_name: str) -> bool:
    """Return whether the class name can be a folder name, from which a run reads the same class."""
    is_path = "/" in class_name or "\0" in class_name or class_name.startswith(".")  # runs ignore hidden folders
    return 0 < len(os.fsencode(class_name)) <= MAX_NAME_BYTES and not is_path


def remove(store: PictureStore, row_id: str) -> None:
    """Delete the copies of a photo, whose picture is deleted already, from all registered folders that exist."""
    for folder in _registered(store):
        try:
            for copy in _copies(folder, row_id):
                copy.unlink(missing_ok=True)
        except OSError as error:  # such as a folder of another user; the deletion continues
            log.error(
                "a copy of the deleted photo %s may remain in %s: %s. Export to that folder again, as its owner",
                row_id,
                folder,
                error.strerror,
            )


def remove_deleted(store: PictureStore) -> int:
    """Delete all copies whose picture is missing, and return their number."""
    count = 0
    for folder in _registered(store):
        for copy in _copies(folder):
            if not store.picture(_row_id(copy)).exists():
                copy.unlink(missing_ok=True)
                count += 1
    return count


def check(store: PictureStore, folder: pathlib.Path) -> None:
    """Raise ExportError if `folder` cannot hold an export: it has other files, or is among the pictures themselves."""
    folder = folder.resolve()
    for own_folder in (store.folder.resolve(), _registry(store).resolve()):
        if folder == own_folder or own_folder in folder.parents or folder in own_folder.parents:
            raise ExportError(f"FOLDER must be outside the page's own files (got {folder}). Choose another folder.")
    if not _entry(store, folder).exists() and folder.exists() and any(folder.iterdir()):
        raise ExportError(f"FOLDER must be new, empty or an earlier export (got {folder}). Choose another folder.")


def update(store: PictureStore, folder: pathlib.Path, classes: Mapping[str, str]) -> tuple[int, int]:
    """Make `folder` hold one copy of each row in `classes` (row id -> class); return the numbers added and removed.

    Raises:
        ExportError: the folder holds other files, or the pictures themselves.
        OSError: the folder cannot be written; the next export completes it.
    """
    folder = folder.resolve()
    with _registration(store, folder):
        removed = 0
        for copy in _copies(folder):
            is_export = copy.suffix == ".jpg" and not copy.is_symlink()
            if not is_export or classes.get(_row_id(copy)) != copy.parent.name:
                copy.unlink(missing_ok=True)
                removed += copy.suffix != ".part"
                with contextlib.suppress(OSError):  # it has other files
                    copy.parent.rmdir()
        return sum(_add(store, folder / class_name, row_id) for row_id, class_name in classes.items()), removed


def _add(store: PictureStore, class_folder: pathlib.Path, row_id: str) -> bool:
    """Copy a picture and return True; return False if the copy exists or the picture is missing."""
    copy = class_folder / f"{row_id}.jpg"
    if class_folder.is_symlink():
        raise ExportError(f"{class_folder} must be a folder, but is a symbolic link. Delete the link.")
    if copy.exists():
        copy.chmod(0o600)  # earlier versions made it readable by all users
        return False
    try:
        content = store.picture(row_id).read_bytes()
        class_folder.mkdir(mode=0o700, exist_ok=True)
        write_atomically(copy, content)
    except FileNotFoundError:
        if store.picture(row_id).exists():
            raise
        return False
    if not store.picture(row_id).exists():  # it was deleted in the meantime
        copy.unlink(missing_ok=True)
        return False
    return True


@contextlib.contextmanager
def _registration(store: PictureStore, folder: pathlib.Path) -> Iterator[None]:
    """Register `folder`, and block other exports while the context is open."""
    registry = _registry(store)
    registry.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(registry, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        check(store, folder)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(_entry(store, folder), os.fsencode(folder))
        yield
    finally:
        os.close(handle)  # ends the lock


def _registry(store: PictureStore) -> pathlib.Path:
    return store.folder.with_name("exports")


def _entry(store: PictureStore, folder: pathlib.Path) -> pathlib.Path:
    return _registry(store) / hashlib.sha256(os.fsencode(folder)).hexdigest()


def _registered(store: PictureStore) -> Iterator[pathlib.Path]:
    for entry in _registry(store).glob("*"):
        if entry.suffix != ".part":
            yield pathlib.Path(os.fsdecode(entry.read_bytes()))


def _copies(folder: pathlib.Path, row_id: str = "*") -> Iterator[pathlib.Path]:
    """Yield the copies in an exported folder, including partial ones; skip other files."""
    for class_folder in folder.iterdir() if folder.is_dir() else ():
        if class_folder.is_dir() and not class_folder.is_symlink():
            for path in class_folder.glob(f"{row_id}.*"):
                if path.suffix in (".jpg", ".part") and database.is_id(_row_id(path)):
                    yield path


def _row_id(copy: pathlib.Path) -> str:
    return copy.name.partition(".")[0]
