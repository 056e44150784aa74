"""Small files that cost a decoder much time or memory; parameters set how much."""

import struct
import zlib

import upload_files
from PIL import Image

EXIF_TAG = struct.Struct("<HHII")


def overlapping_exif(entries: int, block_bytes: int) -> bytes:
    """Return EXIF with orientation 6 whose entries all point to the same bytes."""
    first = EXIF_TAG.pack(upload_files.ORIENTATION, 3, 1, 6)
    others = [EXIF_TAG.pack(0x9000 + number, 7, block_bytes, 8) for number in range(entries)]
    directory = struct.pack("<H", entries + 1) + first + b"".join(others) + bytes(4)
    return b"Exif\0\0II*\0" + struct.pack("<I", 8) + directory + bytes(block_bytes)


def segment(code: int, content: bytes) -> bytes:
    return b"\xff" + bytes([code]) + struct.pack(">H", len(content) + 2) + content


def jpeg_with(head: bytes, photo: bytes | None = None) -> bytes:
    """Return a JPEG with `head` before its first segment."""
    photo = upload_files.encoded("JPEG") if photo is None else photo
    return photo[:2] + head + photo[2:]


def png_with(extra: bytes) -> bytes:
    photo = upload_files.encoded("PNG")
    return photo[:33] + extra + photo[33:]


def webp_with(kind: bytes, content: bytes) -> bytes:
    exif = upload_files.encoded("WEBP", exif=upload_files.exif())
    at = exif.index(b"EXIF")
    chunk = kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)
    body = exif[8:at] + chunk
    return b"RIFF" + struct.pack("<I", len(body)) + body


def gif_of_one_byte_blocks(count: int) -> bytes:
    """Return a GIF with one comment in blocks of one byte each."""
    photo = upload_files.encoded("GIF")
    at = photo.index(b",", 13)
    return photo[:at] + b"!\xfe" + b"\1x" * count + b"\0" + photo[at:]


def jpeg_of_exif_segments(count: int) -> bytes:
    return jpeg_with(segment(0xE1, b"Exif\0\0" + bytes(60_000)) * count)


def jpeg_of_fill_bytes(count: int) -> bytes:
    return jpeg_with(b"\xff" * count)


def progressive_of_scans(side_px: int, scans: int) -> bytes:
    """Return a grey progressive JPEG that repeats its last scan."""
    photo = upload_files.saved(Image.new("L", (side_px, side_px), 128), "JPEG", progressive=True)
    starts = [at for at in range(len(photo)) if photo.startswith(b"\xff\xda", at)]
    tables = photo.rindex(b"\xff\xc4", 0, starts[-1])
    last = photo[tables:-2]
    return photo[:-2] + last * (scans - len(starts)) + photo[-2:]


def png_of_chunks(kind: bytes, content: bytes, count: int) -> bytes:
    return png_with(upload_files.chunk(kind, content) * count)


def tiff_of_overlapping_tags(entries: int, value_bytes: int, tag: int = 0x9000) -> bytes:
    """Return a TIFF with unknown tags that all point to the same bytes."""
    photo = upload_files.encoded("TIFF")
    (start,) = struct.unpack_from("<I", photo, 4)
    (count,) = struct.unpack_from("<H", photo, start)
    tags = photo[start + 2 : start + 2 + 12 * count]
    more = b"".join(EXIF_TAG.pack(tag + number, 7, value_bytes, 8) for number in range(entries))
    padded = photo + bytes(max(0, value_bytes - len(photo)))
    directory = struct.pack("<H", count + entries) + tags + more + bytes(4)
    return padded[:4] + struct.pack("<I", len(padded)) + padded[8:] + directory


def tiff_of_long_strips(strips: int, strip_bytes: int) -> bytes:
    """Return a deflated TIFF whose strips share the same bytes and are far longer than necessary."""
    row = zlib.compress(bytes(3 * 64)).ljust(strip_bytes, b"\0")
    offsets, sizes = struct.pack("<I", 8) * strips, struct.pack("<I", strip_bytes) * strips
    at = 8 + len(row)
    tags = [(256, 4, 1, 64), (257, 4, 1, strips), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 2)]
    tags += [(273, 4, strips, at), (277, 3, 1, 3), (278, 4, 1, 1), (279, 4, strips, at + len(offsets))]
    directory = struct.pack("<H", len(tags)) + b"".join(EXIF_TAG.pack(*tag) for tag in tags) + bytes(4)
    return b"II*\0" + struct.pack("<I", at + len(offsets) + len(sizes)) + row + offsets + sizes + directory


def heif_with_exif(block: bytes, kind: str) -> bytes:
    """Return a HEIC or AVIF whose EXIF is replaced by `block`, which its encoder would not write."""
    photo = upload_files.encoded(kind, exif=upload_files.exif(description="x" * len(block)))
    text = photo.index(b"x" * 99)
    start = max(photo.rfind(order, 0, text) for order in (b"II*\0", b"MM\0*"))
    return upload_files.patched(photo, start, block.removeprefix(b"Exif\0\0"))


def bmp_of_runs(side_px: int) -> bytes:
    """Return a run-length encoded BMP with runs of one pixel."""
    head = struct.pack("<IiiHHIIiiII", 40, side_px, side_px, 1, 8, 1, 0, 0, 0, 256, 0)
    pixels = (b"\1\0" * side_px + b"\0\0") * side_px
    start = 14 + len(head) + 1024
    return b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + head + bytes(1024) + pixels


def jpeg2000_of_boxes(count: int) -> bytes:
    photo = upload_files.encoded("JPEG2000")
    at = photo.index(b"jp2h") - 4
    return photo[:at] + b"\0\0\0\x08free" * count + photo[at:]
