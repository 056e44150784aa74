"""Names of the entries of a zip: their encoding, and the paths that they stand for."""

import codecs
import pathlib
import re
import struct
import zipfile
import zlib
from collections.abc import Sequence

from components.base.errors import PilahError
from components.data import folders

UTF_8_FLAG = 0x800  # of an entry: its name is in UTF-8 (APPNOTE.TXT, section 4.4.4, bit 11)
UNICODE_PATH = 0x7075  # extra field of Info-ZIP with the name in UTF-8 (APPNOTE.TXT, section 4.6.9)
UNIX = 3  # value of ZipInfo.create_system of programs on Linux and macOS, which write UTF-8
# Fewer characters are no proof of UTF-8 in a zip of Windows: text in GBK is valid UTF-8 with a probability of 0.14 per
# character.
MIN_UTF_8_CHARACTERS = 4
SHOWN_ENCODINGS = ("gbk", "big5", "cp932", "euc_kr", "cp866", "cp1251", "cp1252", "cp850", "cp437")  # in the message
# without the tilde, in place of which some encodings of Japan have an overline; \n is another character in escapes
SHOWN_BYTES = 60
ASCII = b"\\n" + bytes(range(0x20, 0x7F)).translate(None, b"\\~")
DRIVE = re.compile("[A-Za-z]:")


def check_encoding(encoding: str) -> None:
    """Raise where `encoding`, the value of --zip-encoding, is not an encoding of text that contains ASCII."""
    try:
        usable = ASCII.decode(encoding) == ASCII.decode("ascii")
    except (LookupError, ValueError):
        usable = False
    if not usable:
        raise PilahError(
            "--zip-encoding must be an encoding that Python knows and that contains ASCII, such as gbk, cp932 or "
            f"cp866 (got {encoding})."
        )


def normalized(encoding: str) -> str:
    """Return one name for all names of an encoding: gbk for GBK, 936 and cp936."""
    return codecs.lookup(encoding).name


def decoded(images: pathlib.Path, entries: Sequence[zipfile.ZipInfo], encoding: str | None) -> list[str]:
    """Return the names of `entries`.

    A name is known if it is ASCII, has the flag for UTF-8 or the extra field of Info-ZIP. All others are in `encoding`;
    without it they are in UTF-8 if all folder names are valid UTF-8.

    Raises:
        PilahError: the encoding of a folder's name is not known, or the name is not valid in `encoding`.
    """
    stated = [_stated_name(entry) for entry in entries]
    unknown = [entry for entry, name in zip(entries, stated, strict=True) if name is None]
    codec = encoding or ("utf-8" if _are_utf_8(unknown) else None)
    names = [
        _decode(images, entry, codec, unknown) if name is None else name
        for entry, name in zip(entries, stated, strict=True)
    ]
    return [name.split("\0")[0] for name in names]  # as zipfile does


def path_of(name: str) -> pathlib.Path:
    """Return the relative path of an entry: no part leads out of the folder to which the zip is unpacked.

    Some programs of Windows write backslashes. They are replaced only in the decoded name, as they occur within the
    characters of GBK and Shift_JIS.
    """
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    return pathlib.Path(*(parts[1:] if parts and DRIVE.fullmatch(parts[0]) else parts))


def is_folder(name: str) -> bool:
    return name.endswith(("/", "\\"))


def _raw_name(entry: zipfile.ZipInfo) -> bytes:
    """Return the bytes of a name without the flag, which zipfile decodes as cp437."""
    return entry.orig_filename.encode("cp437")


def _stated_name(entry: zipfile.ZipInfo) -> str | None:
    """Return the name of an entry where its encoding is stated or makes no difference, otherwise None."""
    name: str | None = entry.orig_filename
    if not (entry.flag_bits & UTF_8_FLAG or entry.orig_filename.isascii()):
        name = _unicode_path(entry)
    return name


def _unicode_path(entry: zipfile.ZipInfo) -> str | None:
    """Return the name in the extra field of Info-ZIP; None if there is none, or if it is of another name."""
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


def _decode(images: pathlib.Path, entry: zipfile.ZipInfo, codec: str | None, unknown: Sequence[zipfile.ZipInfo]) -> str:
    """Return the name of an entry in `codec`; file names are not used and may be in any encoding."""
    raw = _raw_name(entry)
    folder, file = _folder_and_file(raw)
    if codec is None and not folder.isascii():
        raise PilahError(_question(images, unknown))
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


def _question(images: pathlib.Path, entries: Sequence[zipfile.ZipInfo]) -> str:
    """Return the error for folder names in an unknown encoding, with readings of one of them to choose from."""
    names = {_folder_and_file(_raw_name(entry))[0] for entry in entries}
    sample = min(name for name in names if not name.isascii())[:SHOWN_BYTES].rstrip(b"/")
    readings = []
    for encoding in SHOWN_ENCODINGS:
        try:
            readings.append(f"{folders.printable(sample.decode(encoding))} ({encoding})")
        except UnicodeDecodeError:
            continue
    return (
        f"{images} has folder names in an encoding that it does not state. Give it with --zip-encoding; the name of "
        f"one folder could be {', '.join(readings)}."
    )
