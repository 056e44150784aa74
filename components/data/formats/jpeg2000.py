"""JPEG 2000: limits for boxes, markers, tiles and components, and the declared image size."""

import struct

from components.data.formats import parts

SIGNATURES = (b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n")  # of a bare codestream, and of a file of boxes
SIZE = struct.Struct(">HHIIIIIIIIH")  # from its length on: width, height and origin of image and tiles, components
MAX_COMPONENTS = 4
MAX_TILES = 4096
START_OF_TILE = 0x90


def essentials(photo: bytes) -> parts.Essentials:
    """Return a JPEG 2000 unchanged, with its declared size.

    Raises:
        TooManyPartsError: the file has too many boxes, markers, tiles or components.
    """
    limit, start = parts.max_parts(photo), photo.find(SIGNATURES[0])
    if start < 0 or start + 4 + SIZE.size > len(photo):
        return parts.Essentials(photo)
    _check_boxes(photo[:start], limit)
    length, _, right, bottom, left, top, tile_width, tile_height, tile_left, tile_top, components = SIZE.unpack_from(
        photo, start + 4
    )
    parts.check(components, MAX_COMPONENTS)
    across, down = (right - tile_left) // max(1, tile_width) + 1, (bottom - tile_top) // max(1, tile_height) + 1
    parts.check(across * down, MAX_TILES)
    at, markers = start + 4 + length, 0
    while at + 4 <= len(photo) and photo[at + 1] != START_OF_TILE:
        at += 2 + max(2, int.from_bytes(photo[at + 2 : at + 4], "big"))
        markers += 1
        parts.check(markers, limit)
    return parts.Essentials(photo, stated_size=(right - left, bottom - top))


def _check_boxes(head: bytes, limit: int) -> None:
    """Check the number of boxes before the codestream, including boxes in other boxes."""
    at = count = 0
    while at + 8 <= len(head):
        length, kind = struct.unpack_from(">I4s", head, at)
        at += 8 if kind in (b"jp2h", b"res ") else max(8, length)
        count += 1
        parts.check(count, limit)
