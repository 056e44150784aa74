"""PNG: the chunks that decoding needs, and the orientation."""

import binascii
import contextlib
import struct
import zlib
from collections.abc import Iterator

from components.data.formats import exif, parts

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEAD = struct.Struct(">I4s")
CHECKSUM_BYTES = 4
HEADER, END = b"IHDR", b"IEND"  # the first and the last chunk, each once
METHODS_AT = HEAD.size + 10  # of compression and filter in the header; only 0 is defined, and Pillow reads any
ANCILLARY_BIT = 0x20  # in the first letter of the types of chunks that decoding does not need
KEPT = {b"tRNS", b"iCCP", b"acTL", b"fcTL", b"fdAT"}  # ancillary chunks that are kept: transparency, profile, animation
TEXT_EXIF = (b"Raw profile type exif\0", b"Raw profile type APP1\0")  # keywords of EXIF as text, from ImageMagick
MAX_PROFILE_BYTES = 1_000_000  # decompressed; Pillow refuses larger profiles
MAX_TEXT_BYTES = 200_000  # of EXIF as text: up to three characters for each byte of a JPEG's largest EXIF segment


def essentials(photo: bytes) -> parts.Essentials:
    """Return a PNG without its metadata.

    Raises:
        TooManyPartsError: the file has too many chunks.
        ValueError: the checksum of a metadata chunk is wrong.
    """
    kept, orientation, is_plain, limit = [SIGNATURE], None, True, parts.max_parts(photo)
    for count, (kind, start, end) in enumerate(_chunks(photo)):
        parts.check(count, limit)
        is_plain = is_plain and (kind == HEADER) == (count == 0)
        if kind == HEADER:
            is_plain = is_plain and photo[start + METHODS_AT : start + METHODS_AT + 2] == bytes(2)
        is_large_profile = kind == b"iCCP" and not _is_small_profile(photo[start + HEAD.size : end])
        if not kind[0] & ANCILLARY_BIT or (kind in KEPT and not is_large_profile):
            kept.append(photo[start:end])
            continue
        content = photo[start + HEAD.size : end - CHECKSUM_BYTES]
        if zlib.crc32(content, zlib.crc32(kind)) != int.from_bytes(photo[end - CHECKSUM_BYTES : end], "big"):
            raise ValueError(f"wrong checksum of the chunk {kind!r}")
        if orientation is None:
            orientation = _orientation(kind, content)
    return parts.Essentials(b"".join(kept), orientation or 1, is_plain)


def _chunks(photo: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, start and end of each chunk, up to the end of the PNG or the file."""
    at = len(SIGNATURE)
    while at + HEAD.size <= len(photo):
        length, kind = HEAD.unpack_from(photo, at)
        end = at + HEAD.size + length + CHECKSUM_BYTES
        yield kind, at, min(end, len(photo))
        if kind == END:
            return
        at = end


def _is_small_profile(content: bytes) -> bool:
    """Return whether the profile in a chunk is within Pillow's limit when it is decompressed."""
    decompressor = zlib.decompressobj()
    try:
        return len(decompressor.decompress(content.partition(b"\0")[2][1:], MAX_PROFILE_BYTES + 1)) <= MAX_PROFILE_BYTES
    except zlib.error:
        return False


def _orientation(kind: bytes, content: bytes) -> int | None:
    """Return the orientation, or None if this chunk has no EXIF."""
    if kind == b"eXIf":
        return exif.orientation(content)
    if kind not in (b"tEXt", b"zTXt") or not content.startswith(TEXT_EXIF):
        return None
    text = content.partition(b"\0")[2]
    with contextlib.suppress(zlib.error, binascii.Error):
        if kind == b"zTXt":
            text = zlib.decompressobj().decompress(text[1:], MAX_TEXT_BYTES)
        digits = text[:MAX_TEXT_BYTES].split(None, 2)[2:]  # after the profile's name and length
        return exif.orientation(bytes.fromhex(b"".join(b"".join(digits).split()).decode("latin-1")))
    return None
