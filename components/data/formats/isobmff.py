"""HEIC and AVIF: limits for boxes and items, and the largest declared image size."""

import struct
from collections.abc import Iterator

from components.data.formats import parts

SIGNATURE = b"ftyp"  # at byte 4; the brand follows
BRANDS = set(b"avif avis heic heix heim heis hevc hevx hevm hevs mif1 msf1".split())  # of images, not of videos
CONTAINERS = {b"meta": 4, b"iprp": 0, b"ipco": 0, b"iinf": None}  # box -> number of bytes before the boxes in it
METADATA_ITEMS = {b"Exif", b"mime"}
IGNORED_ITEM = b"skip"  # replaces the type of metadata items, so that decoders ignore them and offsets stay valid
MAX_ITEMS = 1000  # tiles, previews and metadata; a photo of 50 million pixels has about 200
MAX_DEPTH = 4


def is_photo(photo: bytes) -> bool:
    return photo.startswith(SIGNATURE, 4) and photo[8:12] in BRANDS


def essentials(photo: bytes) -> parts.Essentials:
    """Return a HEIC or AVIF whose metadata decoders ignore.

    Raises:
        TooManyPartsError: the file has too many boxes or items, or items that overlap.
    """
    limit, largest, items = parts.max_parts(photo), (0, 0), 0
    content: bytearray | None = None
    for count, (kind, start, end) in enumerate(_boxes(photo, 0, len(photo))):
        parts.check(count, limit)
        if kind == b"infe":
            items += 1
            parts.check(items, MAX_ITEMS)
            at = start + (6 if photo[start : start + 1] == b"\x03" else 4) + 4
            if photo[at : at + 4] in METADATA_ITEMS and at + 4 <= end:
                content = bytearray(photo) if content is None else content
                content[at : at + 4] = IGNORED_ITEM
        elif kind == b"iloc":
            parts.check(_item_bytes(photo[start:end], len(photo)), 2 * len(photo))
        elif kind == b"ispe" and end - start >= 12:
            width, height = struct.unpack_from(">4xII", photo, start)
            largest = max(largest, (width, height), key=lambda size: size[0] * size[1])
    return parts.Essentials(photo if content is None else bytes(content), stated_size=largest if any(largest) else None)


def _boxes(photo: bytes, at: int, end: int, depth: int = 0) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, start and end of the content of each box, including boxes in CONTAINERS."""
    while at + 8 <= end:
        length, kind = struct.unpack_from(">I4s", photo, at)
        start = at + 8
        if length == 1:
            length = int.from_bytes(photo[start : start + 8], "big")
            start += 8
        box_end = end if length == 0 else min(end, at + length)
        yield kind, start, max(start, box_end)
        if kind in CONTAINERS and depth < MAX_DEPTH:
            skipped = CONTAINERS[kind]
            if skipped is None:  # the item count has four bytes from version 1 on
                skipped = 6 if photo[start : start + 1] == b"\0" else 8
            yield from _boxes(photo, start + skipped, box_end, depth + 1)
        at = max(box_end, at + 8)


def _item_bytes(box: bytes, file_bytes: int) -> int:
    """Return the sum of the sizes of all items, from the box with their locations."""
    try:
        version, sizes, more = struct.unpack_from(">B3xBB", box)
        offset_bytes, length_bytes, base_bytes = sizes >> 4, sizes & 15, more >> 4
        index_bytes = more & 15 if version else 0
        id_format = ">I" if version == 2 else ">H"
        (count,) = struct.unpack_from(id_format, box, 6)
        at = 6 + struct.calcsize(id_format)
        parts.check(count, MAX_ITEMS)
        total = 0
        for _ in range(count):
            at += struct.calcsize(id_format) + (2 if version else 0) + 2 + base_bytes
            (extents,) = struct.unpack_from(">H", box, at)
            parts.check(extents, MAX_ITEMS)
            at += 2
            for _ in range(extents):
                at += index_bytes + offset_bytes
                length = int.from_bytes(box[at : at + length_bytes], "big")
                total += length or file_bytes  # a length of 0 means the whole file
                at += length_bytes
    except struct.error:  # truncated, which decoders detect
        return 0
    return total
