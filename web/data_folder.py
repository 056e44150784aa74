"""The folder PILAH_DATA: its permissions, and the secret key in it."""

import contextlib
import logging
import os
import pathlib
import secrets
import tempfile

MIN_KEY_LENGTH = 32  # characters
log = logging.getLogger("web")


class DataFolderError(Exception):
    """The folder cannot be used: the message names it, the reason and the next step, on one line."""


def prepare(folder: pathlib.Path) -> None:
    """Create `folder`, readable only by its owner, unless it exists.

    Raises:
        DataFolderError: it is a file, or cannot be created or written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_writable, reason = os.access(folder, os.W_OK | os.X_OK), "no permission to write, or a read-only disk"
    except OSError as error:
        is_writable, reason = False, str(error.strerror)
    if not is_writable:
        raise DataFolderError(
            f"PILAH_DATA must be a folder that user id {os.getuid()} can write to (got {folder}: {reason}). "
            "Set PILAH_DATA to another folder, or change its owner."
        )


def secret_key(folder: pathlib.Path) -> str:
    """Return the key stored in `folder`, which is generated at the first start so that sessions survive a restart.

    A key that is empty or damaged after a power failure is replaced.

    Raises:
        DataFolderError: the key cannot be read or written.
    """
    path = folder / "secret_key"
    try:
        if path.exists():
            key = path.read_text(encoding="ascii", errors="replace")
            if len(key.strip()) >= MIN_KEY_LENGTH and key.strip().isascii() and key.strip().isprintable():
                return key
            log.error(
                "%s must hold a key of at least %s characters, and does not, most likely after a power failure. A new "
                "key replaces it: cookies are no longer valid, and visitors cannot open their earlier uploads",
                path,
                MIN_KEY_LENGTH,
            )
            path.unlink(missing_ok=True)
        _store(path, secrets.token_hex())
        return path.read_text(encoding="ascii")
    except OSError as error:
        raise DataFolderError(
            f"{path} cannot be read or written ({error.strerror}). Make user id {os.getuid()} its owner, free some "
            "space, or set SECRET_KEY."
        ) from error


def _store(path: pathlib.Path, key: str) -> None:
    """Write `key` atomically, unless another process wrote one first."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, encoding="ascii") as file:  # only its owner may read it
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(file.name, path)
    handle = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
