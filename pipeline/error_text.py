"""Text of an error in one line: what is wrong, where, and what to do."""

import errno
import os
import re
from collections.abc import Sequence

from components.base.errors import PilahError

REMEDIES = {  # errno -> what to do
    errno.ENOSPC: "Free some space, then run again: finished work is kept.",
    errno.EDQUOT: "Free some space or raise the quota, then run again: finished work is kept.",
    errno.EROFS: "The file system is read-only. Mount it for writing, or choose another folder.",
    errno.EACCES: "Change its permissions or its owner, or run as another user.",
    errno.EPERM: "Change its permissions or its owner, or run as another user.",
    errno.ENOTDIR: "A file has the name of a required folder. Move it, or choose another folder.",
    errno.EEXIST: "A file or link has the name of a required folder. Move it, or choose another folder.",
    errno.EISDIR: "A folder has the name of a file. Move it, then run again.",
    errno.ENAMETOOLONG: "Choose a folder with a shorter path.",
    errno.ELOOP: "Repair the symbolic link, or choose another folder.",
    errno.EMFILE: "Raise the limit of open files, for example with 'ulimit -n 4096', then run again.",
    errno.ENFILE: "Close other programs, then run again.",
    errno.EIO: "Check the disk, then run again.",
}

NODES = re.compile(r"\{\{\w+ [^}]*\}\}|\[Op:\w+\]")  # where TensorFlow's graph failed, which says nothing to users


def one_line(error: Exception) -> str:
    """Return the text of `error`; an unexpected error refers to --debug."""
    text = " ".join(NODES.sub("", str(error)).split())
    if isinstance(error, PilahError):
        return text
    if isinstance(error, FileNotFoundError) and error.filename:
        return (
            f"{error.filename} is missing. Restore it, or run again: photos are listed again, and artifacts of the run "
            "are made again."
        )
    # TensorFlow and Beam wrap the operating system's messages in their own errors
    codes = [code for code in REMEDIES if os.strerror(code) in text]
    if isinstance(error, OSError) or codes:
        remedy = REMEDIES[codes[0]] if codes else "Check that there is space and permission, then run again."
        return f"A file could not be read or written: {_cause(text, codes)}. {remedy}"
    return f"{type(error).__name__}: {text[:500]}. Run again with --debug for the traceback."


def _cause(text: str, codes: Sequence[int]) -> str:
    """Return `text`, or from a long one, where libraries put a traceback above the cause, the path and the cause."""
    if len(text) <= 500:
        return text
    causes = [re.search(rf"/[^\s;:'\"]+[;:] {re.escape(os.strerror(code))}", text) for code in codes]
    return next((cause[0] for cause in causes if cause), f"... {text[-500:]}")
