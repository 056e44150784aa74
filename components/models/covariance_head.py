"""A head on the covariances of a network's activations, in place of their means (bilinear pooling).

The means over a photo forget which activations occur at the same place. Covariances keep this, and describe textures
and thus materials well: see Lin et al. 2015, "Bilinear CNN models for fine-grained visual recognition", and Carreira et
al. 2012, "Semantic segmentation with second-order pooling".
"""

from collections.abc import Iterator

import keras
import numpy as np
from sklearn.linear_model import Ridge
from sklearn.utils.class_weight import compute_sample_weight

from components.models import anatomy

COMPONENTS = 128  # principal components of the activations that the head uses
# chosen among few values, see docs/covariance-heads.md
PENALTY = 0.03  # on the squared weights, for pooled activations of length 1
SHARPNESS = 4.0  # factor of the regression's outputs before softmax
BLOCK = 64  # photos whose activations are in memory at once
TINY = 1e-6  # smallest variance of a component, relative to the largest; smaller ones would be amplified noise


def fit(
    activations: np.ndarray, labels: np.ndarray, *, rows: np.ndarray, classes: int, is_balanced: bool = False
) -> tuple[keras.Model, dict[str, float]]:
    """Return a head fitted to `rows`, see `untrained`, with the loss and accuracy on them.

    It is a ridge regression of 1 for the class of a photo and -1 for each other class (a linear least squares support
    vector machine, Suykens and Vandewalle 1999, one class against the rest). It has one solution, whatever the order of
    photos. The loss is the mean squared error. Needs 33 KB of memory for each photo, a few times over.

    Args:
        activations: float16 [photos, height, width, channels], of clean photos.
        labels: int64 [photos], in [0, classes).
        rows: int64 [m], the training photos. Nothing of other photos is used.
        is_balanced: whether photos have weights by the inverse frequency of their class.
    """
    head = untrained(activations.shape[1:], classes)
    whiten(head, activations, rows)
    components = head.get_layer(anatomy.WHITENING).filters
    upper, factors = np.triu_indices(components), _multiplicity(components)
    pooling = anatomy.pooling(head)
    pooled = np.concatenate(
        [
            np.asarray(pooling(block.astype(np.float32))).reshape(-1, components, components)[:, upper[0], upper[1]]
            for block in _blocks(activations, rows)
        ]
    )
    pooled *= factors
    targets = np.where(np.arange(classes) == labels[rows, np.newaxis], 1, -1).astype(np.float32)
    weights = compute_sample_weight("balanced" if is_balanced else None, labels[rows])
    ridge = Ridge(PENALTY, solver="cholesky").fit(pooled, targets, weights)
    full = np.zeros((components, components, classes), np.float32)
    full[upper] = full[upper[::-1]] = ridge.coef_.T / factors[:, np.newaxis]
    head.get_layer(anatomy.HEAD).set_weights([SHARPNESS * full.reshape(-1, classes), SHARPNESS * ridge.intercept_])
    outputs = ridge.predict(pooled)
    right = outputs.argmax(axis=1) == labels[rows]
    return head, {"loss": float(np.mean((outputs - targets) ** 2)), "accuracy": float(right.mean())}


def _multiplicity(components: int) -> np.ndarray:
    """Return the factors of the pooled activations, each pair of components once, that keep their length at 1.

    1 for the second moment of a component, and the square root of 2 for that of two, which occurs twice.
    """
    first, second = np.triu_indices(components)
    return np.where(first == second, 1, np.sqrt(2)).astype(np.float32)


def untrained(shape: tuple[int, int, int], classes: int) -> keras.Model:
    """Return a new head: float16 activations [n, height, width, channels] -> scores, float32 [n, classes].

    Activations are whitened (see `whiten`). Their second moments over all places in the photo are scaled to length 1.
    """
    height, width, channels = shape
    components = min(COMPONENTS, channels)
    activations = keras.Input(shape, dtype="float16", name="activations")
    x = keras.ops.cast(activations, "float32")
    x = keras.layers.Conv2D(components, 1, trainable=False, name=anatomy.WHITENING)(x)
    x = keras.layers.Reshape((height * width, components))(x)
    x = keras.layers.Flatten()(keras.layers.Dot(axes=1)([x, x]))
    x = keras.layers.UnitNormalization(name=anatomy.POOLED)(x)
    scores = keras.layers.Dense(classes, "softmax", name="scores")
    head = keras.Sequential([keras.Input((components**2,)), scores], name=anatomy.HEAD)
    return keras.Model(activations, head(x), name="covariance_head")


def whiten(head: keras.Model, activations: np.ndarray, rows: np.ndarray) -> None:
    """Make `head` compute the principal components of the activations of `rows`, with mean 0 and variance 1.

    Args:
        activations: float16 [photos, height, width, channels], in memory or mapped from disk.
        rows: int64 [m], the training photos.
    """
    layer = head.get_layer(anatomy.WHITENING)
    channels = activations.shape[-1]
    total, products, count = np.zeros(channels), np.zeros((channels, channels)), 0
    for block in _blocks(activations, rows):
        places = block.reshape(-1, block.shape[-1]).astype(np.float64)
        total, products, count = total + places.sum(axis=0), products + places.T @ places, count + len(places)
    mean = total / count
    variances, directions = np.linalg.eigh(products / count - np.outer(mean, mean))
    variances, directions = variances[-layer.filters :], directions[:, -layer.filters :]
    kernel = directions / np.sqrt(np.maximum(variances, TINY * max(variances[-1], TINY)))
    layer.set_weights([kernel[np.newaxis, np.newaxis], -mean @ kernel])


def _blocks(activations: np.ndarray, rows: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the activations of BLOCK photos after another, float16 [n, height, width, channels]."""
    for start in range(0, len(rows), BLOCK):
        yield activations[rows[start : start + BLOCK]]
