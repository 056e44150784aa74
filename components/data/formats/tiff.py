"""TIFF: the tags that decoding needs, and limits for tags that point to the same bytes repeatedly."""

import struct
from typing import NamedTuple

from components.data.formats import parts

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"II\0*", b"MM*\0")  # Pillow reads the last two, which are wrong
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
INTEGERS = {1: "B", 3: "H", 4: "I", 16: "Q"}  # type of a tag -> struct format of its values
LENGTHS = (279, 325)  # tags with the length in bytes of each strip or tile
PROFILE = 34675
NEEDED = {
    *(256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 284, 292, 293, 317, 320, 322, 323, 324, 325, 332, 338),
    *(339, 347, *range(512, 522), 529, 530, 531, 532, PROFILE),
}
MAX_TAGS = 1000
MAX_VALUES = (
    50_000  # per tag; strips or tiles take 350 bytes of memory each. 52 million pixels are 12,700 tiles of 64 x 64.
)
MAX_READS = 16  # maximum of the total size of all strips and tiles, as a multiple of the file size
SMALL_BYTES = 1024 * 1024  # added to this maximum, for small files


class _Layout(NamedTuple):
    """Struct formats of a directory's offset, length and entries in TIFF or BigTIFF, and the size of inline values."""

    start: str
    length: str
    entry: str
    inline_bytes: int


def essentials(photo: bytes) -> parts.Essentials:
    """Return a TIFF whose first directory has only the tags that decoding needs.

    Raises:
        TooManyPartsError: the file has too many tags, strips or tiles, or they overlap.
    """
    order, is_big = "<" if photo.startswith(b"II") else ">", photo[2:3] == b"+"  # like Pillow's check for BigTIFF
    layout = _Layout("8xQ", "Q", "HHQ8s", 8) if is_big else _Layout("4xI", "H", "HHI4s", 4)
    start_format, length_format, entry = (struct.Struct(order + part) for part in layout[:3])
    pointer = struct.Struct(order + ("Q" if is_big else "I"))
    try:
        (start,) = start_format.unpack_from(photo)
        (count,) = length_format.unpack_from(photo, start)
    except struct.error:  # truncated, which Pillow reports
        return parts.Essentials(photo)
    parts.check(count, MAX_TAGS)
    first = start + length_format.size
    end = first + count * entry.size
    if end + pointer.size > len(photo):
        return parts.Essentials(photo[:first] if count else photo)
    kept: dict[int, bytes] = {}
    total = 0
    for at in range(first, end, entry.size):
        tag, kind, values, inline = entry.unpack_from(photo, at)
        size = values * SIZES.get(kind, 1)
        if tag not in NEEDED or tag in kept or (tag == PROFILE and size > parts.MAX_PROFILE_BYTES):
            continue
        parts.check(values * (tag != PROFILE), MAX_VALUES if tag not in (347, 532) else len(photo))
        total += size
        parts.check(total, 2 * len(photo) + SMALL_BYTES)
        if tag in LENGTHS and kind in INTEGERS:
            value = struct.Struct(order + INTEGERS[kind])
            offset = at + entry.size - layout.inline_bytes if size <= layout.inline_bytes else pointer.unpack(inline)[0]
            content = photo[offset : offset + size]
            sizes = (number for (number,) in value.iter_unpack(content[: len(content) // value.size * value.size]))
            parts.check(sum(sizes), MAX_READS * len(photo) + SMALL_BYTES)
        kept[tag] = photo[at : at + entry.size]
    directory = length_format.pack(len(kept)) + b"".join(kept.values()) + photo[end : end + pointer.size]
    return parts.Essentials(b"".join([photo[:start], directory, photo[start + len(directory) :]]))
