"""Near-duplicates: pairs of photos by perceptual hash and by features, and the groups that the pairs form."""

import dataclasses
from collections.abc import Callable, Sequence

import imagehash
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from components.base import metrics
from components.data import images, photos

HASH_BITS = 64
# Of the 26 pairs of the thesis's photos that differ in at most 4 bits, all but three show one scene twice. Of the 20
# pairs that differ in 6 bits, 8 are of different classes, because small objects on an empty board have similar hashes.
MAX_HAMMING_BITS = 4
# No two of the thesis's photos of different classes reach 0.9 with any of the three backbones (the maximum is 0.883).
# Pairs just above 0.9 show an object turned or moved, or two objects of the same product.
MIN_COSINE = 0.9
BLOCK_ROWS = 1000  # rows of the matrix of all pairs that are computed at once


@dataclasses.dataclass(frozen=True)
class NearDuplicates:
    """The near-duplicates among n photos.

    Attributes:
        pairs: int64 [m, 2], rows of the photos, the lower first.
        hamming_bits: int64 [m], number of bits, of 64, in which the two hashes differ.
        cosine: float [m], cosine similarity of the features of the two.
        min_cosine: smallest cosine of a pair that counts by features.
        group: int64 [n], equal for photos that a chain of pairs connects.
    """

    pairs: np.ndarray
    hamming_bits: np.ndarray
    cosine: np.ndarray
    min_cosine: float
    group: np.ndarray


def find(hashes: np.ndarray, activations: np.ndarray, labels: np.ndarray) -> NearDuplicates:
    """Find the pairs that are near-duplicates by their hashes or by their features.

    Args:
        hashes: float32 [n, 64], from `perceptual_hashes`.
        activations: float32 [n, channels], of the clean photos.
        labels: int64 [n].

    Raises:
        NotFiniteError: some activations are nan or infinite.
    """
    metrics.check_finite(activations, "Activations of photos", "Compute them again: run --from features.")
    units = unit_rows(activations)
    min_cosine = cosine_threshold(units, labels)
    pairs = np.unique(np.concatenate([hash_pairs(hashes), pairs_above(units, min_cosine)]), axis=0)
    first, second = pairs.T
    return NearDuplicates(
        pairs,
        hamming_bits=((HASH_BITS - (hashes[first] * hashes[second]).sum(axis=1)) / 2).astype(np.int64),
        cosine=(units[first] * units[second]).sum(axis=1),
        min_cosine=min_cosine,
        group=groups(pairs, len(labels)),
    )


def perceptual_hashes(
    photo_list: Sequence[photos.Photo], max_pixels: int, progress: Callable[[int, int], None]
) -> np.ndarray:
    """Return the hash of each photo, float32 [n, 64] of 1 and -1: inner products are 64 - 2 x Hamming distance.

    The hash is imagehash's phash of the upright photo. An unusable photo has zeros, which are not close to any hash.

    Raises:
        PilahError: a photo has changed since it was listed.
    """
    hashes = np.zeros((len(photo_list), HASH_BITS), np.float32)
    for row, photo in enumerate(photo_list):
        hashes[row] = _perceptual_hash(photos.read_bytes(photo.path, photo.id), max_pixels)
        progress(row + 1, len(photo_list))
    return hashes


def _perceptual_hash(photo: bytes, max_pixels: int) -> np.ndarray | float:
    try:
        bits = imagehash.phash(images.upright(photo, max_pixels)).hash
    except images.UnusablePhotoError:
        return 0.0  # the dataset stage reports the photo
    return np.where(bits.ravel(), 1.0, -1.0)


def hash_pairs(hashes: np.ndarray) -> np.ndarray:
    """Return the pairs of photos whose hashes differ in at most 4 of 64 bits, int64 [m, 2], as in `pairs_above`."""
    return pairs_above(hashes, HASH_BITS - 2 * MAX_HAMMING_BITS)


def unit_rows(activations: np.ndarray) -> np.ndarray:
    """Scale the rows of `activations`, float32 [n, channels], to length 1, so that inner products are cosines."""
    lengths = np.linalg.norm(activations, axis=1, keepdims=True)
    return activations / np.maximum(lengths, np.finfo(np.float32).tiny)


def cosine_threshold(units: np.ndarray, labels: np.ndarray) -> float:
    """Return the smallest cosine of near-duplicates: 0.9, or more if photos of different classes come closer.

    A photo and its most similar photo of another class show different objects, so that the threshold must be above
    their cosine. It is for 999 of 1,000 photos; the rest allows for wrong labels.
    """
    nearest = [
        np.where(labels[rows, None] != labels, units[rows] @ units.T, -1).max(axis=1) for rows in _blocks(len(units))
    ]
    return max(MIN_COSINE, float(np.quantile(np.concatenate(nearest), 0.999)))


def pairs_above(vectors: np.ndarray, minimum: float) -> np.ndarray:
    """Return the pairs of rows whose inner product is at least `minimum`, int64 [m, 2], sorted, the lower row first."""
    blocks = []
    for rows in _blocks(len(vectors)):
        first, second = np.nonzero(vectors[rows] @ vectors.T >= minimum)
        pairs = np.stack([first + rows.start, second], axis=1)
        blocks.append(pairs[pairs[:, 0] < pairs[:, 1]])
    return np.concatenate(blocks)


def groups(pairs: np.ndarray, count: int) -> np.ndarray:
    """Return the group of each of `count` photos, int64 [count]: equal for photos that a chain of pairs connects."""
    links = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return connected_components(links, directed=False)[1].astype(np.int64)


def _blocks(count: int) -> list[slice]:
    return [slice(start, min(start + BLOCK_ROWS, count)) for start in range(0, count, BLOCK_ROWS)]
