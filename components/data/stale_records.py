"""Photos whose records differ from what this version of Pilah would write."""

import concurrent.futures
import contextlib
import pathlib
from collections.abc import Iterator, Sequence

import tensorflow as tf

from components.base import artifacts
from components.base.errors import PilahError
from components.data import photos, records, resize


def find(
    records_dir: pathlib.Path, photo_list: Sequence[photos.Photo], image_size_px: int, max_pixels: int
) -> list[photos.Photo]:
    """Return the photos with other pixels than their records, and those that became usable or unusable.

    Args:
        photo_list: photos that the records were made from; files that have changed since then are left out.
        image_size_px, max_pixels: settings that the records were made with.
    """
    usable = {photo.id for photo in photos.accepted(photo_list, records_dir)}
    recorded = {
        record["id"].decode(): artifacts.bytes_digest(record["image"].tobytes())
        for record in records.read(records_dir).as_numpy_iterator()
    }
    count = resize.PHOTOS_AT_ONCE
    batches = [photo_list[start : start + count] for start in range(0, len(photo_list), count)]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        results = pool.map(lambda batch: [*_digests(batch, image_size_px, max_pixels)], batches)
        digests = [result for results_of_batch in results for result in results_of_batch]
    return [photo for photo, digest in digests if digest != (recorded.get(photo.id, "") if photo.id in usable else "")]


def _digests(
    photo_list: Sequence[photos.Photo], image_size_px: int, max_pixels: int
) -> Iterator[tuple[photos.Photo, str]]:
    """Yield each photo and the digest of its pixels, which is empty if the photo is unusable."""
    files = {}
    for photo in photo_list:
        with contextlib.suppress(PilahError):  # a changed photo will be listed again
            files[photo] = photos.read_bytes(photo.path, photo.id)
    squares = resize.make([*files.values()], image_size_px, max_pixels)
    for photo, square in zip(files, squares, strict=True):
        pixels = tf.io.decode_png(square.png).numpy() if isinstance(square, resize.Square) else None
        yield photo, "" if pixels is None else artifacts.bytes_digest(pixels.tobytes())
