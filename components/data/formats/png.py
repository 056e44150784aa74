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
SIZE = struct.Struct(">IIBB2xB")  # width, height, bits of a sample, colour type and interlacing in the header
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # colour type -> samples of a pixel
PIXELS = b"IDAT"
# Chunks that are kept, of which the last two are transparency and profile. Pillow ignores others that have the name of
# critical chunks, but TensorFlow refuses them.
KEPT = {HEADER, b"PLTE", PIXELS, END, b"tRNS", b"iCCP"}
# First column and row of each pass of an interlaced PNG, and the steps to the next ones (PNG specification, Adam7).
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
INFLATED_BYTES = 2**20  # at once
METHODS_AT = HEAD.size + 10  # of compression and filter in the header; only 0 is defined, and Pillow reads any
FRAMES = b"acTL"  # chunk that states the number of frames of an animation, which Pillow then refuses
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
        content = photo[start + HEAD.size : end - CHECKSUM_BYTES]
        is_animation = kind == FRAMES and int.from_bytes(content[:4], "big") > 1
        if is_animation or (kind in KEPT and not is_large_profile):
            kept.append(photo[start:end])
            continue
        if zlib.crc32(content, zlib.crc32(kind)) != int.from_bytes(photo[end - CHECKSUM_BYTES : end], "big"):
            raise ValueError(f"wrong checksum of the chunk {kind!r}")
        if orientation is None:
            orientation = _orientation(kind, content)
    return parts.Essentials(b"".join(kept), orientation or 1, is_plain)


def check_pixels(photo: bytes) -> None:
    """Raise ValueError if the pixels of a PNG are incomplete: Pillow makes missing rows black, TensorFlow refuses.

    It must have a valid header.
    """
    chunks = [(kind, photo[start + HEAD.size : end - CHECKSUM_BYTES]) for kind, start, end in _chunks(photo)]
    header = [content for kind, content in chunks if kind == HEADER][-1]  # Pillow uses the last one
    width, height, bits, colours, is_interlaced = SIZE.unpack_from(header)
    passes = PASSES if is_interlaced else ((0, 0, 1, 1),)
    sizes = [(max(0, -(-(width - x) // dx)), max(0, -(-(height - y) // dy))) for x, y, dx, dy in passes]
    expected = sum(rows * (1 + -(-columns * bits * SAMPLES[colours] // 8)) for columns, rows in sizes if columns)
    inflated, stream = 0, zlib.decompressobj()
    for kind, content in chunks:
        has_more = kind == PIXELS
        while has_more and inflated <= 2 * expected:
            size = len(stream.decompress(content, INFLATED_BYTES))
            inflated, content, has_more = inflated + size, stream.unconsumed_tail, size == INFLATED_BYTES
    if inflated < expected or not stream.eof:
        raise ValueError("the pixels of the PNG are incomplete")


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
