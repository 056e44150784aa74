"""Names of zip entries: their encoding, and their paths."""

import codecs
import pathlib
import re
import struct
import zipfile
import zlib
from collections.abc import Sequence

from components.base.errors import PilahError
from components.data import folders

UTF_8_FLAG = 0x800  # flag of an entry whose name is in UTF-8 (APPNOTE.TXT, section 4.4.4, bit 11)
UNICODE_PATH = 0x7075  # extra field of Info-ZIP with the name in UTF-8 (APPNOTE.TXT, section 4.6.9)
UNIX = 3  # ZipInfo.create_system of programs on Linux and macOS, which write UTF-8
# Fewer non-ASCII characters are too few to detect UTF-8 in a zip from Windows: a character of GBK text is valid UTF-8
# with a probability of 0.14.
MIN_UTF_8_CHARACTERS = 4
SHOWN_ENCODINGS = ("gbk", "big5", "cp932", "euc_kr", "cp866", "cp1251", "cp1252", "cp850", "cp437")  # in the message
SHOWN_BYTES = 60
# Without the tilde, which is an overline in some Japanese encodings; with the text \n, which unicode_escape changes.
ASCII = b"\\n" + bytes(range(0x20, 0x7F)).translate(None, b"\\~")
DRIVE = re.compile("[A-Za-z]:")


def check_encoding(encoding: str) -> None:
    """Raise PilahError unless `encoding`, the value of --zip-encoding, is a text encoding that contains ASCII."""
    try:
        usable = ASCII.decode(encoding) == ASCII.decode("ascii")
    except (LookupError, ValueError):
        usable = False
    if not usable:
        raise PilahError(
            "--zip-encoding must be an encoding that Python supports and that contains ASCII, such as gbk, cp932 or "
            f"cp866 (got {encoding})."
        )


def normalized(encoding: str) -> str:
    """Return the standard name of an encoding, such as gbk for GBK, 936 and cp936."""
    return codecs.lookup(encoding).name


def decoded(images: pathlib.Path, entries: Sequence[zipfile.ZipInfo], encoding: str | None) -> list[str]:
    """Return the names of `entries`.

    The encoding of a name is known if the name is ASCII, or has the UTF-8 flag or Info-ZIP's extra field. Other names
    are decoded by `encoding`, or, without it, as UTF-8 if their folder names are certain to be UTF-8.

    Raises:
        PilahError: the encoding of a folder's name is not known, or the name is not valid in `encoding`.
    """
    declared_names = [_declared_name(entry) for entry in entries]
    undeclared = [entry for entry, name in zip(entries, declared_names, strict=True) if name is None]
    codec = encoding or ("utf-8" if _are_utf_8(undeclared) else None)
    names = [
        _decode(images, entry, codec, undeclared) if name is None else name
        for entry, name in zip(entries, declared_names, strict=True)
    ]
    return [name.split("\0")[0] for name in names]  # as zipfile does


def path_of(name: str) -> pathlib.Path:
    """Return the relative path of an entry, which never leads out of the folder to which the zip is unpacked.

    Some programs on Windows write backslashes. They are replaced only after decoding, because characters in GBK and
    Shift_JIS contain their byte.
    """
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    return pathlib.Path(*(parts[1:] if parts and DRIVE.fullmatch(parts[0]) else parts))


def is_folder(name: str) -> bool:
    return name.endswith(("/", "\\"))


def _raw_name(entry: zipfile.ZipInfo) -> bytes:
    """Return the bytes of a name without the UTF-8 flag, which zipfile has decoded as cp437."""
    return entry.orig_filename.encode("cp437")


def _declared_name(entry: zipfile.ZipInfo) -> str | None:
    """Return the name of an entry if its encoding is declared or makes no difference, otherwise None."""
    name: str | None = entry.orig_filename
    if not (entry.flag_bits & UTF_8_FLAG or entry.orig_filename.isascii()):
        name = _unicode_path(entry)
    return name


def _unicode_path(entry: zipfile.ZipInfo) -> str | None:
    """Return the name in Info-ZIP's extra field; None if the field is missing or belongs to another name."""
    extra = entry.extra
    while len(extra) >= 4:
        kind, size = struct.unpack("<HH", extra[:4])
        data, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == UNICODE_PATH and data[:5] == struct.pack("<BL", 1, zlib.crc32(_raw_name(entry))):
            try:
                return data[5:].decode()
            except UnicodeDecodeError:
                return None
    return None


def _folder_and_file(name: bytes) -> tuple[bytes, bytes]:
    """Return the name split at its last slash, or at its last backslash if it has no slash."""
    folder, separator, file = name.rpartition(b"/" if b"/" in name else b"\\")
    return folder + separator, file


def _are_utf_8(entries: Sequence[zipfile.ZipInfo]) -> bool:
    """Return whether the folder names of `entries` are certain to be in UTF-8."""
    names = {_folder_and_file(_raw_name(entry))[0] for entry in entries}
    try:
        characters = {character for name in names for character in name.decode() if not character.isascii()}
    except UnicodeDecodeError:
        return False
    return len(characters) >= MIN_UTF_8_CHARACTERS or all(entry.create_system == UNIX for entry in entries)


def _decode(
    images: pathlib.Path, entry: zipfile.ZipInfo, codec: str | None, undeclared: Sequence[zipfile.ZipInfo]
) -> str:
    """Return the name of an entry in `codec`; the file name itself is not used and may be in any encoding."""
    raw = _raw_name(entry)
    folder, file = _folder_and_file(raw)
    if codec is None and not folder.isascii():
        raise PilahError(_unknown_encoding(images, undeclared))
    try:
        return raw.decode(codec or "cp437")
    except UnicodeDecodeError:
        pass
    try:
        return folder.decode(codec or "cp437") + file.decode("cp437")
    except UnicodeDecodeError as error:
        name = folders.printable(folder.decode("ascii", "backslashreplace"))
        raise PilahError(
            f"{images} has the folder {name}, which is not valid in --zip-encoding {codec}. Choose another encoding, "
            "or unpack the zip and give the folder."
        ) from error


def _unknown_encoding(images: pathlib.Path, entries: Sequence[zipfile.ZipInfo]) -> str:
    """Return the error for folder names in an unknown encoding, with one of them decoded in several ways."""
    names = {_folder_and_file(_raw_name(entry))[0] for entry in entries}
    sample = min(name for name in names if not name.isascii())[:SHOWN_BYTES].rstrip(b"/")
    readings = []
    for encoding in SHOWN_ENCODINGS:
        try:
            readings.append(f"{folders.printable(sample.decode(encoding))} ({encoding})")
        except UnicodeDecodeError:
            continue
    return (
        f"{images} has folder names in an encoding that it does not declare. Give it with --zip-encoding; the name of "
        f"one folder could be {', '.join(readings)}."
    )
