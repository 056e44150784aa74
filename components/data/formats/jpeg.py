"""JPEG: the segments that decoding needs, the orientation, and limits for scans."""

import re
import struct
from collections.abc import Iterator

from components.data.formats import exif, parts

SIGNATURE = b"\xff\xd8\xff"
START, END = b"\xff\xd8", b"\xff\xd9"
SCAN, END_CODE, ADOBE, EXIF, PROFILE, JFIF = 0xDA, 0xD9, 0xEE, 0xE1, 0xE2, 0xE0  # second bytes of markers
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
PLAIN_FRAMES = {0xC0, 0xC1, 0xC2}  # baseline, extended, progressive: TensorFlow reads no others
ALONE = {0x01, *range(0xD0, 0xD8)}  # markers without a segment, which have no effect here
METADATA = {*range(0xE0, 0xF0), 0xFE}  # application segments and comments
# Metadata segments that affect pixels, before the first scan.
KEPT = {JFIF: b"JFIF\0", ADOBE: b"Adobe", PROFILE: b"ICC_PROFILE\0"}
MARKER = re.compile(b"\xff[^\0\xff]")
MARKER_IN_SCAN = re.compile(b"\xff[^\0\xd0-\xd7\xff]")
MAX_TABLE_BYTES = 256 * 1024  # of all segments before the first scan except profiles; usually 2 KB
MAX_SCANS = 100  # usually 10; each scan is a pass over all pixels
MAX_SCANNED_PIXELS = 1_000_000_000  # pixels times scans; a progressive photo of 52 million pixels has 520 million
FRAME = struct.Struct(">5xHHB")  # start of a frame segment: height, width and number of components
COEFFICIENTS = 64  # per block


def essentials(photo: bytes) -> parts.Essentials:
    """Return the first image of a JPEG without its metadata.

    Raises:
        TooManyPartsError: the file has too many segments or scans.
        ValueError: the end of the file and some scans are missing.
    """
    kept, table_bytes, profile_bytes, scans, limit = [START], 0, 0, 0, parts.max_parts(photo)
    orientation, is_plain, pixels, components, has_end = None, True, 0, 0, False
    complete: set[tuple[int, int]] = set()  # (component, coefficient)
    for count, (code, start, end) in enumerate(_segments(photo)):
        parts.check(count, limit)
        if code == END_CODE:
            has_end = True
            break
        if scans and end > len(photo):  # its length is wrong: TensorFlow would look for the end of the JPEG after it
            break
        if code == EXIF and orientation is None and photo.startswith(exif.PREFIX, start + 4):
            orientation = exif.orientation(photo[start + 4 : end])
        if code in FRAMES and end - start >= FRAME.size:
            height, width, components = FRAME.unpack_from(photo, start)
            is_plain, pixels = is_plain and code in PLAIN_FRAMES, max(pixels, height * width)
        if code == PROFILE:
            profile_bytes += end - start
        if code in METADATA:
            is_kept = not scans and photo.startswith(KEPT.get(code, START), start + 4)
            if is_kept and profile_bytes <= parts.MAX_PROFILE_BYTES:
                kept.append(photo[start:end])
            continue
        kept.append(photo[start:end])
        if code == SCAN:
            scans += 1
            complete |= _complete(photo[start + 4 : end])
            parts.check(scans, min(MAX_SCANS, max(1, MAX_SCANNED_PIXELS // max(1, pixels))))
        elif not scans:
            table_bytes += end - start
            parts.check(table_bytes, MAX_TABLE_BYTES)
    if has_end or not scans:
        kept.append(END)
    elif len(complete) < components * COEFFICIENTS:
        raise ValueError("the end of the JPEG is missing, and some of its scans")
    return parts.Essentials(b"".join(kept), orientation or 1, is_plain, not has_end)


def _complete(scan: bytes) -> set[tuple[int, int]]:
    """Return (component, coefficient) of the coefficients that have all their bits after this scan."""
    if not scan or len(scan) < 4 + 2 * scan[0]:
        return set()
    components, (first, last, bits) = scan[1 : 1 + 2 * scan[0] : 2], scan[1 + 2 * scan[0] : 4 + 2 * scan[0]]
    if bits & 15:  # a later scan adds bits
        return set()
    return {(component, number) for component in components for number in range(first, min(last + 1, COEFFICIENTS))}


def _segments(photo: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield code, start and stated end of each segment; the end of a scan is that of its entropy-coded data."""
    at, markers = len(START), MARKER
    while marker := markers.search(photo, at):
        code, start = photo[marker.end() - 1], marker.start()
        if code in ALONE:
            at = marker.end()
            continue
        length = int.from_bytes(photo[start + 2 : start + 4], "big")
        at = len(START) + start if code == END_CODE or code == START[1] else start + 2 + max(2, length)
        if code == SCAN:
            markers = MARKER_IN_SCAN
            following = markers.search(photo, at)
            at = following.start() if following else len(photo)
        yield code, start, at
