"""WebP: the chunks that decoding needs, and the orientation."""

import struct
from collections.abc import Iterator

from components.data.formats import exif, parts

RIFF, SIGNATURE = b"RIFF", b"WEBP"
HEADER_BYTES = 12
CHUNK = struct.Struct("<4sI")
KEPT = {b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF", b"ICCP"}
METADATA_FLAGS = 0x0C  # in the chunk VP8X: the file has EXIF and XMP


def is_webp(photo: bytes) -> bool:
    return photo.startswith(RIFF) and photo[8:12] == SIGNATURE


def essentials(photo: bytes) -> parts.Essentials:
    """Return a WebP without its metadata.

    Raises:
        TooManyPartsError: the file has too many chunks.
    """
    kept, orientation, limit = [], 1, parts.max_parts(photo)
    size: tuple[int, int] | None = None
    end_of_riff = min(len(photo), 8 + int.from_bytes(photo[4:8], "little"))
    is_whole, at = len(photo) >= 8 + int.from_bytes(photo[4:8], "little"), HEADER_BYTES
    for count, (kind, start, end) in enumerate(_chunks(photo, end_of_riff)):
        parts.check(count, limit)
        at = end
        if kind == b"EXIF":
            orientation = exif.orientation(photo[start + CHUNK.size : end])
        if kind in KEPT and not (kind == b"ICCP" and end - start > parts.MAX_PROFILE_BYTES):
            chunk = photo[start:end]
            size = size or _size(kind, chunk[CHUNK.size :])
            if kind == b"VP8X" and len(chunk) > CHUNK.size:
                chunk = chunk[:8] + bytes([chunk[8] & ~METADATA_FLAGS]) + chunk[9:]
            kept.append(chunk)
    if not is_whole or at < end_of_riff:  # truncated, which Pillow reports
        return parts.Essentials(photo, orientation, stated_size=size)
    body = b"".join([SIGNATURE, *kept])
    return parts.Essentials(RIFF + struct.pack("<I", len(body)) + body, orientation, stated_size=size)


def _size(kind: bytes, content: bytes) -> tuple[int, int] | None:
    """Return the width and height that a chunk declares."""
    if kind == b"VP8X" and len(content) >= 10:
        return 1 + int.from_bytes(content[4:7], "little"), 1 + int.from_bytes(content[7:10], "little")
    if kind == b"VP8L" and len(content) >= 5:
        bits = int.from_bytes(content[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and len(content) >= 10:
        return int.from_bytes(content[6:8], "little") & 0x3FFF, int.from_bytes(content[8:10], "little") & 0x3FFF
    return None


def _chunks(photo: bytes, end_of_riff: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, start and end of each complete chunk."""
    at = HEADER_BYTES
    while at + CHUNK.size <= end_of_riff:
        kind, length = CHUNK.unpack_from(photo, at)
        end = at + CHUNK.size + length + length % 2
        if end > end_of_riff + 1:
            return
        yield kind, at, end
        at = end
