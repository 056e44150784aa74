"""EXIF -> the orientation of a photo, in bounded time and memory; everything else is ignored.

Pillow reads every entry and copies the bytes that it points to. Entries that point to the same bytes could thus turn
180 kB into gigabytes.
"""

import struct

ORIENTATION = 0x0112
PREFIX = b"Exif\0\0"
MAX_ENTRIES = 500  # of a directory; cameras write about 15
INTEGER_TYPES = {3: "H", 4: "I"}  # SHORT and LONG -> format of struct
BYTE_ORDERS = {b"II": "<", b"MM": ">"}


def orientation(block: bytes) -> int:
    """Return the orientation, 1 to 8, in the first directory of EXIF, or 1 (upright) if it cannot be read."""
    start = len(PREFIX) if block.startswith(PREFIX) else 0
    order = BYTE_ORDERS.get(block[start : start + 2])
    if order is None:
        return 1
    try:
        directory = start + struct.unpack_from(f"{order}I", block, start + 4)[0]
        (count,) = struct.unpack_from(f"{order}H", block, directory)
        for entry in range(directory + 2, directory + 2 + 12 * min(count, MAX_ENTRIES), 12):
            tag, kind, values = struct.unpack_from(f"{order}HHI", block, entry)
            if tag == ORIENTATION:
                if kind not in INTEGER_TYPES or values != 1:
                    return 1
                (value,) = struct.unpack_from(order + INTEGER_TYPES[kind], block, entry + 8)
                return value if 1 <= value <= 8 else 1
    except struct.error:  # truncated
        pass
    return 1
