"""What a walk through a photo file returns, and how many parts a file may have."""

from typing import NamedTuple

MAX_PARTS = 1000  # of a small file; a large one may have one more for each KB. Cameras write about 30.
MAX_PROFILE_BYTES = 4 * 1024 * 1024  # of an ICC profile; those of printing have 2 MB at most


class Essentials(NamedTuple):
    """A photo file for Pillow, without what its pixels do not need.

    Attributes:
        orientation: by EXIF, 1 to 8; 1 for formats that Pillow turns upright by itself.
        is_plain: whether TensorFlow can decode the original file, as far as the walk can tell.
        is_open_ended: whether a JPEG lacks its end marker.
        stated_size: (width, height) that the file states, where a decoder needs memory for it on opening the file.
    """

    file: bytes
    orientation: int = 1
    is_plain: bool = True
    is_open_ended: bool = False
    stated_size: tuple[int, int] | None = None


class TooManyPartsError(Exception):
    """A file has parts out of proportion, so that decoding it would take minutes or gigabytes."""

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
