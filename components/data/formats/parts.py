"""The result of parsing a photo file, and the limit for its parts."""

from typing import NamedTuple

MAX_PARTS = 1000  # of a file, plus one per KB of its size; cameras write about 30
MAX_PROFILE_BYTES = 4 * 1024 * 1024  # of an ICC profile; profiles for printing have up to 2 MB


class Essentials(NamedTuple):
    """A photo file for Pillow, reduced to what decoding needs.

    Attributes:
        orientation: EXIF orientation, 1 to 8; 1 for formats that Pillow itself turns upright.
        is_plain: whether TensorFlow can decode the original file, as far as the parser can tell.
        is_open_ended: whether a JPEG lacks its end marker.
        stated_size: declared (width, height), for formats whose decoders allocate the image when they open the file.
    """

    file: bytes
    orientation: int = 1
    is_plain: bool = True
    is_open_ended: bool = False
    stated_size: tuple[int, int] | None = None


class TooManyPartsError(Exception):
    """A file has so many parts that decoding it could take minutes or gigabytes."""

    def __init__(self, count: int, limit: int):
        super().__init__(f"{count} segments, scans, comments, tags or tiles, limit {limit}")
        self.count, self.limit = count, limit


def max_parts(photo: bytes) -> int:
    """Return the number of parts that a file of this size may have."""
    return MAX_PARTS + len(photo) // 1024


def check(count: int, limit: int) -> None:
    """Raise TooManyPartsError if `count` is above `limit`."""
    if count > limit:
        raise TooManyPartsError(count, limit)
