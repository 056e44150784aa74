"""Typicality of a photo: the share of training photos that lie farther from their class in the network's activations.

The distance is Mahalanobis's to the nearest class mean, with one covariance of all classes (Lee et al. 2018, "A simple
unified framework for detecting out-of-distribution samples") that is shrunk by Ledoit and Wolf's formula. Activations
are transformed by signed square roots and scaled to length 1 before (Müller and Hein 2025, "Mahalanobis++", for the
length). docs/trust.md compares this with other distances. Needs no TensorFlow.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from sklearn import covariance

MAX_PHOTOS = 20_000  # that a distance is fitted on, evenly spaced; with ResNet50 they take 1 GB of memory
BLOCK = 4096  # photos whose distances are computed at once
MAX_REFERENCES = 10_000  # distances that a model keeps; more would not change its answers by more than 0.0001
TINY = 1e-12  # length of activations that are all 0


@dataclasses.dataclass(frozen=True)
class Distance:
    """Mahalanobis distance to the nearest class.

    Attributes:
        center: float32 [channels], subtracted from transformed activations; without it, whitened ones can be so long
            that float32 loses the differences between photos.
        whitening: float32 [channels, channels]; its product with centered activations has unit covariance.
        means: float32 [classes, channels], of whitened activations.
    """

    center: np.ndarray
    whitening: np.ndarray
    means: np.ndarray

    def __call__(self, activations: np.ndarray) -> np.ndarray:
        """Return the squared distance, float64 [photos], of pooled activations, float32 [photos, channels]."""
        white = (transformed(activations) - self.center) @ self.whitening
        return np.min([((white - mean) ** 2).sum(axis=1) for mean in self.means], axis=0)


def transformed(activations: np.ndarray) -> np.ndarray:
    """Return signed square roots, scaled to length 1: float64 [photos, channels]."""
    values = activations.astype(np.float64)
    roots = np.sign(values) * np.sqrt(np.abs(values))
    return roots / np.maximum(np.linalg.norm(roots, axis=1, keepdims=True), TINY)


def fit(activations: np.ndarray, labels: np.ndarray, rows: np.ndarray | None = None) -> Distance:
    """Return the distance to the classes of the training photos.

    Args:
        activations: float32 [photos, channels], pooled, in memory or mapped from disk.
        labels: int64 [photos], the class of each; classes without photos have no mean.
        rows: int64 [m], the photos to fit on; None means all.
    """
    rows = np.arange(len(labels)) if rows is None else rows
    if len(rows) > MAX_PHOTOS:
        rows = rows[np.linspace(0, len(rows) - 1, MAX_PHOTOS).astype(int)]
    values = transformed(activations[rows])
    present, class_of = np.unique(labels[rows], return_inverse=True)
    means = np.stack([values[class_of == number].mean(axis=0) for number in range(len(present))])
    shrunk, _ = covariance.ledoit_wolf(values - means[class_of], assume_centered=True)
    variances, directions = np.linalg.eigh(shrunk)
    whitening = directions / np.sqrt(np.maximum(variances, TINY))
    center = means.mean(axis=0).astype(np.float32)
    return Distance(center, whitening.astype(np.float32), ((means - center) @ whitening).astype(np.float32))


def held_out(embeddings: Sequence[np.ndarray], labels: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Return the distance of each photo to the classes of the other folds, float64 [photos].

    Args:
        embeddings: float32 [photos, channels] for each fold, by the model that was not trained on it.
        fold: int64 [photos], the fold of each photo.
    """
    distances = np.empty(len(labels))
    for number, activations in enumerate(embeddings):
        tested = np.flatnonzero(fold == number)
        distance = fit(activations, labels, np.flatnonzero(fold != number))
        for start in range(0, len(tested), BLOCK):
            rows = tested[start : start + BLOCK]
            distances[rows] = distance(activations[rows])
    return distances


def references(distances: np.ndarray) -> np.ndarray:
    """Return held-out distances in ascending order, float32, evenly thinned to at most 10,000."""
    ordered = np.sort(distances)
    if len(ordered) > MAX_REFERENCES:
        ordered = np.quantile(ordered, np.linspace(0, 1, MAX_REFERENCES))
    return ordered.astype(np.float32)


def of(distances: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    """Return the typicality, float64 [photos] in (0, 1], of photos with these distances.

    It is the conformal p-value (Bates and others 2023, "Testing for outliers with conformal p-values"): the share of
    photos that lie as far or farther, where the photo itself counts as one. With fewer than 100 references it is
    therefore never below 0.01, because so few cannot show that a photo is among the least typical 1 %.

    Args:
        ordered: float32 [m], from `references`.
    """
    ranks: np.ndarray = np.searchsorted(ordered, distances.astype(np.float32), side="left")
    return 1 - ranks / (len(ordered) + 1)


def cross_fitted(distances: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Return the typicality of each photo among those of the other folds, float64 [photos].

    Args:
        distances: from `held_out`.
    """
    values = np.empty(len(distances))
    for tested in (fold == number for number in np.unique(fold)):
        values[tested] = of(distances[tested], references(distances[~tested]))
    return values
