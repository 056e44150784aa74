"""List a folder: its files, folders, dead links and ignored files. Nothing is skipped silently."""

import dataclasses
import errno
import functools
import mimetypes
import os
import pathlib
import stat
from collections.abc import Collection, Iterator

from components.base.errors import PilahError
from components.data import images
from components.data.formats import essentials

PHOTO_SUFFIXES = {suffix for suffixes in images.SUFFIXES.values() for suffix in suffixes}
HIDDEN_PREFIXES = (".", "__MACOSX")
# reasons for ignoring a file
HIDDEN = "hidden"
SPECIAL = "neither a file nor a folder"
REPEATED = "link to a folder that is read already"

Identity = tuple[int, int]  # device and inode of a folder, the same through any link


@dataclasses.dataclass(frozen=True)
class Ignored:
    """A file that is not used; `path` is a `utf_8_text`."""

    path: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Folder:
    """Everything directly in the folder `path`; each list is sorted by name.

    Attributes:
        files: paths as text, which takes a quarter of the memory of path objects: there can be millions.
        dead_links: links whose target does not exist.
        ignored: hidden files (including all files in hidden folders), special files, and links to folders that were
            already read.
    """

    path: pathlib.Path
    identity: Identity
    files: list[str] = dataclasses.field(default_factory=list)
    folders: list[pathlib.Path] = dataclasses.field(default_factory=list)
    dead_links: list[pathlib.Path] = dataclasses.field(default_factory=list)
    ignored: list[Ignored] = dataclasses.field(default_factory=list)

    @functools.cached_property
    def has_photos(self) -> bool:
        return any(map(is_photo, map(pathlib.Path, self.files)))


def read(path: pathlib.Path, ancestors: Collection[Identity] = ()) -> Folder:
    """Read the folder `path`, ignoring links in it to itself or to one of its `ancestors`.

    Raises:
        PilahError: the folder or something in it cannot be read.
    """
    folder = Folder(path, identity_of(path))
    for dir_entry in _entries(path):
        if not dir_entry.name.startswith(HIDDEN_PREFIXES) and dir_entry.is_file(follow_symlinks=False):
            folder.files.append(dir_entry.path.removeprefix("./"))  # as pathlib writes it
            continue
        entry = path / dir_entry.name
        if dir_entry.name.startswith(HIDDEN_PREFIXES):
            folder.ignored.extend(Ignored(utf_8_text(file), HIDDEN) for file in _files_of_hidden(entry))
        elif (status := _status(dir_entry)) is None:
            folder.dead_links.append(entry)
        elif stat.S_ISREG(status.st_mode):
            folder.files.append(str(entry))
        elif not stat.S_ISDIR(status.st_mode):
            folder.ignored.append(Ignored(utf_8_text(entry), SPECIAL))
        elif (identity := (status.st_dev, status.st_ino)) in ancestors or identity == folder.identity:
            folder.ignored.append(Ignored(utf_8_text(entry), REPEATED))
        else:
            folder.folders.append(entry)
    return folder


def read_all(top: Folder, ancestors: Collection[Identity] = ()) -> Folder:
    """Return everything in `top` and in the folders below it, as if it were directly in `top`.

    Each folder is read only once, even if several links lead to it.

    Raises:
        PilahError: something cannot be read.
    """
    everything, read_before = Folder(top.path, top.identity), {*ancestors, top.identity}
    to_add = [top]
    for folder in to_add:  # the loop appends subfolders
        everything.files.extend(folder.files)
        everything.dead_links.extend(folder.dead_links)
        everything.ignored.extend(folder.ignored)
        for path in folder.folders:
            if (identity := identity_of(path)) in read_before:
                everything.ignored.append(Ignored(utf_8_text(path), REPEATED))
            else:
                read_before.add(identity)
                to_add.append(read(path, read_before))
    if len(to_add) > 1:
        everything.files.sort(key=lambda path: path.split("/"))
    return everything


def identity_of(path: pathlib.Path) -> Identity:
    status = path.stat()
    return status.st_dev, status.st_ino


def is_photo(path: pathlib.Path) -> bool:
    """Return whether a file is a photo, possibly damaged, by its suffix or, if that is unknown, its first bytes."""
    if path.suffix.lower() in PHOTO_SUFFIXES:
        return True
    if mimetypes.guess_type(path.name)[0]:
        return False
    try:
        with path.open("rb") as file:
            return essentials.is_photo(file.read(essentials.SIGNATURE_BYTES))
    except OSError:
        return False


def utf_8_text(path: str | pathlib.Path) -> str:
    """Return `path` as text that can be written in UTF-8; bytes that are not UTF-8 are escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def printable(text: object) -> str:
    """Return untrusted text, such as a file name, for a message: on one line and without terminal control codes."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in str(text))


def is_utf_8(path: str | pathlib.Path) -> bool:
    return utf_8_text(path) == str(path)


def _entries(folder: pathlib.Path) -> list[os.DirEntry[str]]:
    """Return the entries of `folder`, by name.

    Raises:
        PilahError: `folder` or something in it cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            by_name = sorted(entries, key=lambda entry: entry.name)
        for entry in by_name:
            if not entry.is_file(follow_symlinks=False) or entry is by_name[0]:
                _status(entry)  # remembers it; that of one file shows whether the folder's files can be accessed
    except OSError as error:
        raise PilahError(
            f"{utf_8_text(pathlib.Path(error.filename or folder))} cannot be read ({error.strerror}), so that photos "
            "may be missing. Check its permissions and that its disk is mounted, then run again."
        ) from error
    return by_name


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    """Return the status of an entry, or of the target of a link; None for a dead link."""
    try:
        return entry.stat()
    except OSError as error:
        if entry.is_symlink() and error.errno in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR):
            return None
        raise


def _files_of_hidden(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yield `path`, or all files below it if it is a folder, to count them; no file is opened.

    A folder without read permission counts as a file.
    """
    to_list = [path]
    for entry in to_list:  # the loop appends the entries of folders
        try:
            if entry.is_dir() and not entry.is_symlink():
                to_list += sorted(entry.iterdir())
                continue
        except OSError:
            pass  # counted as a file
        yield entry
