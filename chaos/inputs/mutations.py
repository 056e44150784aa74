"""Damage files at random: bytes, structure, lengths, dimensions and metadata. A seed gives the same file again."""

import random
import re
import struct
import zlib
from collections.abc import Callable, Sequence

MAX_MUTATIONS = 3  # of one file
NUMBERS = (0, 1, 2, 15, 16, 17, 127, 128, 255, 256, 1024, 16_383, 32_767, 65_535, 65_536, 2**24, 2**31 - 1, 2**32 - 1)
RANDOM_SHARE = 0.2  # of the numbers that are drawn from all, not from NUMBERS
REPAIRED_SHARE = 0.6  # of files whose checksums and sizes are made right again, so that decoders read on
METADATA = re.compile(b"Exif\0\0|ICC_PROFILE|iCCP|ICCP|EXIF|XMP |http://ns.adobe|II\\*\0|MM\0\\*|acsp|eXIf|colr")
MARKER = re.compile(b"(?=\xff[^\0\xff\xd0-\xd7])")  # of JPEG
CONTAINERS = {b"meta": 12, b"iprp": 8, b"ipco": 8, b"jp2h": 8}  # box -> bytes before the boxes in it
SIZES = (  # what stands before width and height, the bytes between, and their format
    (re.compile(b"\xff[\xc0-\xc3]"), 3, ">HH"),  # JPEG
    (re.compile(b"IHDR"), 0, ">II"),  # PNG
    (re.compile(b"fcTL"), 4, ">II"),
    (re.compile(b"VP8X"), 8, "<HH"),  # the low bytes of 24 bits each, which overlap
    (re.compile(b"\x9d\x01\x2a"), 0, "<HH"),  # lossy WebP
    (re.compile(b"VP8L"), 5, "<HH"),
    (re.compile(b"ispe"), 4, ">II"),  # HEIC and AVIF
    (re.compile(b"\xff\x51"), 4, ">II"),  # JPEG 2000
    (re.compile(b"ihdr"), 0, ">II"),
    (re.compile(b"GIF8"), 2, "<HH"),
    (re.compile(b"\0\0\x01[\x03\x04]\0\x01\0\0\0"), 0, "<II"),  # tags of a TIFF
    (re.compile(b"^BM", re.DOTALL), 16, "<II"),
)


def mutated(rng: random.Random, samples: Sequence[bytes]) -> bytes:
    """Return one of `samples`, damaged up to MAX_MUTATIONS times."""
    file = rng.choice(samples)
    for _ in range(rng.randint(1, MAX_MUTATIONS)):
        file = rng.choice(MUTATIONS)(rng, file, samples)
    return repaired(file) if rng.random() < REPAIRED_SHARE else file


def pieces(file: bytes) -> list[bytes]:
    """Return the chunks, segments or boxes of a file in order, with their heads; a file of another kind is one."""
    if file.startswith(b"\xff\xd8"):
        return [piece for piece in MARKER.split(file) if piece]
    if file.startswith(b"\x89PNG"):
        return [file[:8], *_chunks(file, 8, ">I4s", 4)]
    if file.startswith(b"RIFF"):
        return [file[:12], *_chunks(file, 12, "<4sI", 0)]
    if file[4:8] in (b"ftyp", b"jP  "):
        return _boxes(file)
    return [file]


def repaired(file: bytes) -> bytes:
    """Return the file with the right checksums of a PNG, or the right size of a WebP."""
    if file.startswith(b"\x89PNG"):
        head, *chunks = pieces(file)
        whole = [chunk for chunk in chunks if len(chunk) >= 12]
        summed = [struct.pack(">I", len(c) - 12) + c[4:-4] + struct.pack(">I", zlib.crc32(c[4:-4])) for c in whole]
        return b"".join([head, *summed])
    if file.startswith(b"RIFF") and len(file) >= 8:
        return file[:4] + struct.pack("<I", len(file) - 8) + file[8:]
    return file


def _chunks(file: bytes, at: int, layout: str, tail: int) -> list[bytes]:
    chunks = []
    while at + 8 <= len(file):
        head = struct.unpack_from(layout, file, at)
        length = next(value for value in head if isinstance(value, int))
        end = at + 8 + length + tail + (length % 2 if not tail else 0)
        chunks.append(file[at:end])
        at = end
    return chunks + [file[at:]] * (at < len(file))


def _boxes(file: bytes) -> list[bytes]:
    boxes, at = [], 0
    while at + 8 <= len(file):
        length, kind = struct.unpack_from(">I4s", file, at)
        end = at + (CONTAINERS.get(kind) or (max(8, length) if length else len(file)))
        boxes.append(file[at:end])
        at = end
    return boxes + [file[at:]] * (at < len(file))


def _number(rng: random.Random, maximum: int) -> int:
    if rng.random() < RANDOM_SHARE:
        return rng.randint(0, maximum)
    return rng.choice(NUMBERS) & maximum


def _put(file: bytes, at: int, new: bytes) -> bytes:
    return file[:at] + new + file[at + len(new) :]


def _place(rng: random.Random, file: bytes) -> int:
    """Return a place in the file, often one in its first bytes, where its header is."""
    last = max(0, len(file) - 1)
    return rng.randint(0, min(last, 200) if rng.random() < 0.4 else last)


def flip_bits(rng: random.Random, file: bytes, samples: Sequence[bytes]) -> bytes:
    content = bytearray(file)
    for _ in range(rng.choice((1, 1, 2, 8, 64)) if content else 0):
        content[_place(rng, file)] ^= 1 << rng.randrange(8)
    return bytes(content)


def overwrite_run(rng: random.Random, file: bytes, samples: Sequence[bytes]) -> bytes:
    length = rng.choice((1, 2, 4, 16, 64, 500))
    return _put(file, _place(rng, file), rng.choice((rng.randbytes(length), bytes(length), b"\xff" * length)))


def truncate(rng: random.Random, file: bytes, samples: Sequence[bytes]) -> bytes:
    return file[: rng.choice((rng.randint(0, len(file)), max(0, len(file) - rng.randint(1, 24))))]


def insert_bytes(rng: random.Random, file: bytes, samples: Sequence[bytes]) -> bytes:
    at, length = _place(rng, file), rng.choice((1, 3, 20, 300, 5000))
    return file[:at] + rng.choice((rng.randbytes(length), bytes(length), b"\xff" * length)) + file[at:]


def remove_bytes(rng: random.Random, file: bytes, samples: Sequence[bytes]) -> bytes:
    at = _place(rng, file)
    return file[:at] + file[at + rng.choice((1, 2, 4, 20, 300)) :]


def repeat_bytes(rng: random.Random, file: bytes, samples: Sequence[bytes]) -> bytes:
    at, length = _place(rng, file), rng.choice((1, 8, 64, 500))
    return file[:at] + file[at : at + length] * rng.choice((2, 10, 100)) + file[at + length :]


def change_number(rng: random.Random, file: bytes, samples: Sequence[bytes]) -> bytes:
    """Write another number anywhere, most often over a length at the start of a piece."""
    parts, size = pieces(file), rng.choice((1, 2, 4, 4))
    at = sum(map(len, parts[: rng.randrange(len(parts))])) + rng.choice((0, 2, 4, 8)) if parts else 0
    at = at if rng.random() < 0.7 else _place(rng, file)
    return _put(file, at, _number(rng, 256**size - 1).to_bytes(size, rng.choice(("big", "little"))))


def move_pieces(rng: random.Random, file: bytes, samples: Sequence[bytes]) -> bytes:
    """Repeat, remove, exchange or shuffle pieces."""
    head, *rest = pieces(file) or [b""]
    if len(rest) > 1:
        first, second = rng.sample(range(len(rest)), 2)
        action = rng.randrange(4)
        if action == 0:
            rest[first:first] = [rest[second]] * rng.choice((1, 2, 50))
        elif action == 1:
            del rest[first]
        elif action == 2:
            rest[first], rest[second] = rest[second], rest[first]
        else:
            rng.shuffle(rest)
    return b"".join([head, *rest])


def splice(rng: random.Random, file: bytes, samples: Sequence[bytes]) -> bytes:
    """Continue the file with the end of another, or insert a piece of it."""
    other = rng.choice(samples)
    if rng.random() < 0.5:
        return file[: _place(rng, file)] + other[_place(rng, other) :]
    parts = pieces(file) or [b""]
    parts.insert(rng.randint(1, len(parts)), rng.choice(pieces(other)))
    return b"".join(parts)


def change_size(rng: random.Random, file: bytes, samples: Sequence[bytes]) -> bytes:
    """Write another width or height, also extreme ones, where the file states them."""
    places = [(match.end() + skip, layout) for sign, skip, layout in SIZES for match in sign.finditer(file)]
    places = [(at, layout) for at, layout in places if at + struct.calcsize(layout) <= len(file)]
    if not places:
        return change_number(rng, file, samples)
    at, layout = rng.choice(places)
    sizes = list(struct.unpack_from(layout, file, at))
    for side in rng.choice(((0,), (1,), (0, 1))):
        sizes[side] = _number(rng, 2 ** (8 * struct.calcsize(layout) // 2) - 1)
    return _put(file, at, struct.pack(layout, *sizes))


def damage_metadata(rng: random.Random, file: bytes, samples: Sequence[bytes]) -> bytes:
    """Change bytes just after the start of EXIF, an ICC profile or XMP."""
    starts = [match.end() for match in METADATA.finditer(file)]
    if not starts:
        return flip_bits(rng, file, samples)
    at = rng.choice(starts) + rng.randint(0, 300)
    length = rng.choice((1, 2, 4, 40))
    return _put(file, min(at, len(file)), rng.choice((rng.randbytes(length), b"\xff" * length, bytes(length))))


Mutation = Callable[[random.Random, bytes, Sequence[bytes]], bytes]
MUTATIONS: tuple[Mutation, ...] = (
    flip_bits,
    overwrite_run,
    truncate,
    insert_bytes,
    remove_bytes,
    repeat_bytes,
    change_number,
    move_pieces,
    splice,
    change_size,
    damage_metadata,
)
