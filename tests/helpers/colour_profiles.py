"""ICC profiles: Display P3, as phones write it, and sRGB."""

import struct
from collections.abc import Sequence

from PIL import ImageCms

FIXED_POINT_ONE = 65536  # the number 1 in a profile (s15Fixed16)
D50 = (0.9642, 1.0, 0.8249)
DISPLAY_P3 = ((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407))
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def _numbers(values: Sequence[float]) -> bytes:
    return b"".join(struct.pack(">i", round(value * FIXED_POINT_ONE)) for value in values)


def display_p3() -> bytes:
    curve = b"para" + bytes(4) + struct.pack(">HH", 3, 0) + _numbers(SRGB_CURVE)
    text = b"mluc" + bytes(4) + struct.pack(">IIHHII", 1, 12, 0x656E, 0x5553, 20, 28) + "Display P3".encode("utf-16-be")
    tags = {b"desc": text, b"cprt": text, b"wtpt": b"XYZ " + bytes(4) + _numbers(D50)}
    for name, primary in zip((b"r", b"g", b"b"), DISPLAY_P3, strict=True):
        tags[name + b"XYZ"] = b"XYZ " + bytes(4) + _numbers(primary)
        tags[name + b"TRC"] = curve
    table, contents = struct.pack(">I", len(tags)), b""
    first = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", first + len(contents), len(content))
        contents += content + bytes(-len(content) % 4)
    head = struct.pack(">I4sI4s4s4s", first + len(contents), b"appl", 0x04000000, b"mntr", b"RGB ", b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + _numbers(D50)
    return head.ljust(128, b"\0") + table + contents


def srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
