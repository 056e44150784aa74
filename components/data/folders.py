"""One folder -> what stands in it: files, folders, links that lead nowhere, and what is ignored. Nothing is skipped."""

import dataclasses
import errno
import functools
import mimetypes
import os
import pathlib
import stat
from collections.abc import Collection, Iterator

from PIL import Image

from components.base.errors import PilahError
from components.data import images

PHOTO_SUFFIXES = {suffix for suffixes in images.SUFFIXES.values() for suffix in suffixes}
# why something is ignored
HIDDEN = "hidden"
SPECIAL = "neither a file nor a folder"
REPEATED = "link to a folder that is read already"

Identity = tuple[int, int]  # device and inode of a folder, the same by whatever link it is reached


@dataclasses.dataclass(frozen=True)
class Ignored:
    """A file that is not used; `path` is as `shown` gives it."""

    path: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Folder:
    """What stands directly in the folder `path`, each list by name.

    Attributes:
        dead_links: links whose target does not exist.
        ignored: hidden files (all files in hidden folders too), special files, and links to a folder that is read
            already.
    """

    path: pathlib.Path
    identity: Identity
    files: list[pathlib.Path] = dataclasses.field(default_factory=list)
    folders: list[pathlib.Path] = dataclasses.field(default_factory=list)
    dead_links: list[pathlib.Path] = dataclasses.field(default_factory=list)
    ignored: list[Ignored] = dataclasses.field(default_factory=list)

    @functools.cached_property
    def has_photos(self) -> bool:
        return any(map(is_photo, self.files))


def read(path: pathlib.Path, above: Collection[Identity] = ()) -> Folder:
    """The folder `path`; a link in it that leads back to one of the folders `above` or to itself is ignored.

    Raises:
        PilahError: it or something in it cannot be read.
    """
    folder = Folder(path, identity_of(path))
    for name, state in _entries(path):
        entry = path / name
        if name.startswith((".", "__MACOSX")):
            folder.ignored.extend(Ignored(shown(file), HIDDEN) for file in _files_of_hidden(entry))
        elif state is None:
            folder.dead_links.append(entry)
        elif stat.S_ISREG(state.st_mode):
            folder.files.append(entry)
        elif not stat.S_ISDIR(state.st_mode):
            folder.ignored.append(Ignored(shown(entry), SPECIAL))
        elif (identity := (state.st_dev, state.st_ino)) in above or identity == folder.identity:
            folder.ignored.append(Ignored(shown(entry), REPEATED))
        else:
            folder.folders.append(entry)
    return folder


def identity_of(path: pathlib.Path) -> Identity:
    state = path.stat()
    return state.st_dev, state.st_ino


def is_photo(path: pathlib.Path) -> bool:
    """Whether a file is a photo by its suffix or, where that tells nothing, by its first bytes. It may be damaged."""
    if path.suffix.lower() in PHOTO_SUFFIXES:
        return True
    if mimetypes.guess_type(path.name)[0]:
        return False
    try:
        Image.open(path, formats=images.FORMATS).close()
    except OSError:
        return False
    except Exception:  # of one of Pillow's readers, which knows the file
        return True
    return True


def shown(path: pathlib.Path) -> str:
    """`path` as text that can be written in UTF-8: bytes that are not are escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def is_utf_8(path: pathlib.Path) -> bool:
    return shown(path) == str(path)


def _entries(folder: pathlib.Path) -> list[tuple[str, os.stat_result | None]]:
    """Name and state of everything in `folder`, by name; the state of a link is its target's, None where it has none.

    Raises:
        PilahError: `folder` or something in it cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            states = [(entry.name, _state(entry)) for entry in entries]
    except OSError as error:
        raise PilahError(
            f"{shown(pathlib.Path(error.filename or folder))} cannot be read ({error.strerror}), so that photos may be "
            "missing. Check its permissions and that its disk is mounted, then run again."
        ) from error
    return sorted(states, key=lambda named: named[0])


def _state(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat()
    except OSError as error:
        if entry.is_symlink() and error.errno in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR):
            return None
        raise


def _files_of_hidden(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """`path`, or where it is a folder all in it that is no folder, which is counted and not read.

    A folder that may not be read counts as one.
    """
    to_list = [path]
    for entry in to_list:  # grows by what the folders in it hold
        try:
            if entry.is_dir() and not entry.is_symlink():
                to_list += sorted(entry.iterdir())
                continue
        except OSError:
            pass  # named all the same
        yield entry
