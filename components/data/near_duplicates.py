"""Photos that are almost alike: pairs by perceptual hash and by features, and the groups that the pairs join."""

import dataclasses
import io
from collections.abc import Callable, Sequence

import imagehash
import numpy as np
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from components.base import metrics
from components.data import images, photos

HASH_BITS = 64
# Of the 26 pairs of the thesis's photos within 4 bits, all but three show one scene shot twice; of those at 6 bits, 8
# of 20 are of different classes: small things on an empty board look alike to the hash.
MAX_HAMMING_BITS = 4
# No two photos of different classes of the thesis reach 0.9 with any of the three backbones (the closest: 0.883). Pairs
# just above it show one object turned or moved, or two of one product.
MIN_COSINE = 0.9
BLOCK_ROWS = 1000  # of the square of all pairs, at a time


@dataclasses.dataclass(frozen=True)
class NearDuplicates:
    """What was found among n photos.

    Attributes:
        pairs: int64 [m, 2], rows of the photos, the lower one first.
        hamming_bits: int64 [m], bits in which the two hashes differ, of 64.
        cosine: float [m], between the features of the two.
        min_cosine: from which a pair counts, whatever its hashes.
        group: int64 [n], equal for photos that a chain of pairs joins.
    """

    pairs: np.ndarray
    hamming_bits: np.ndarray
    cosine: np.ndarray
    min_cosine: float
    group: np.ndarray


def find(signs: np.ndarray, activations: np.ndarray, labels: np.ndarray) -> NearDuplicates:
    """The pairs that either measure finds.

    Args:
        signs: float32 [n, 64], as `perceptual_hashes` gives them.
        activations: float32 [n, channels], of the photos as they are.
        labels: int64 [n].
    """
    metrics.check_finite(activations, "Activations of photos", "Compute them again: run --from features.")
    units = unit_rows(activations)
    min_cosine = cosine_threshold(units, labels)
    pairs = np.unique(np.concatenate([hash_pairs(signs), pairs_above(units, min_cosine)]), axis=0)
    first, second = pairs.T
    return NearDuplicates(
        pairs,
        hamming_bits=((HASH_BITS - (signs[first] * signs[second]).sum(axis=1)) / 2).astype(np.int64),
        cosine=(units[first] * units[second]).sum(axis=1),
        min_cosine=min_cosine,
        group=groups(pairs, len(labels)),
    )


def perceptual_hashes(
    photo_list: Sequence[photos.Photo], max_pixels: int, progress: Callable[[int, int], None]
) -> np.ndarray:
    """A row of 64 signs a photo, float32 [n, 64]: the inner product of two rows is 64 - 2 x their Hamming distance.

    The hash is imagehash's phash of the upright photo. An unusable photo has a row of zeros, which is near nothing.

    Raises:
        PilahError: a photo has changed since it was listed.
    """
    signs = np.zeros((len(photo_list), HASH_BITS), np.float32)
    for row, photo in enumerate(photo_list):
        signs[row] = _signs(photos.read_bytes(photo.path, photo.id), max_pixels)
        progress(row + 1, len(photo_list))
    return signs


def _signs(photo: bytes, max_pixels: int) -> np.ndarray | float:
    try:
        plain, _ = images.plain_bytes(photo, max_pixels)
        bits = imagehash.phash(Image.open(io.BytesIO(plain))).hash
    except (images.UnusablePhotoError, OSError, SyntaxError, ValueError):  # Pillow's, of a damaged file
        return 0.0  # the dataset stage counts and reports it
    return np.where(bits.ravel(), 1.0, -1.0)


def hash_pairs(signs: np.ndarray) -> np.ndarray:
    """Pairs of photos whose hashes differ in at most 4 of 64 bits: int64 [pairs, 2], as `pairs_above` gives them."""
    return pairs_above(signs, HASH_BITS - 2 * MAX_HAMMING_BITS)


def unit_rows(activations: np.ndarray) -> np.ndarray:
    """`activations`, float32 [n, channels], with rows of length 1, so that inner products are cosines."""
    lengths = np.linalg.norm(activations, axis=1, keepdims=True)
    return activations / np.maximum(lengths, np.finfo(np.float32).tiny)


def cosine_threshold(units: np.ndarray, labels: np.ndarray) -> float:
    """The cosine from which two photos count as almost alike: 0.9, or more where different classes come closer.

    The most similar photo of another class shows another object, so that cosines as high as that prove nothing. All
    but one photo in a thousand must be below the threshold with theirs; the one allows for wrong labels.
    """
    nearest = [
        np.where(labels[rows, None] != labels, units[rows] @ units.T, -1).max(axis=1) for rows in _blocks(len(units))
    ]
    return max(MIN_COSINE, float(np.quantile(np.concatenate(nearest), 0.999)))


def pairs_above(vectors: np.ndarray, minimum: float) -> np.ndarray:
    """Pairs of rows whose inner product is at least `minimum`: int64 [pairs, 2], the lower row first, in order."""
    found = []
    for rows in _blocks(len(vectors)):
        first, second = np.nonzero(vectors[rows] @ vectors.T >= minimum)
        pairs = np.stack([first + rows.start, second], axis=1)
        found.append(pairs[pairs[:, 0] < pairs[:, 1]])
    return np.concatenate(found)


def groups(pairs: np.ndarray, count: int) -> np.ndarray:
    """The group of each of `count` photos, int64 [count]: photos that a chain of pairs joins have the same number."""
    links = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return connected_components(links, directed=False)[1].astype(np.int64)


def _blocks(count: int) -> list[slice]:
    return [slice(start, min(start + BLOCK_ROWS, count)) for start in range(0, count, BLOCK_ROWS)]
