"""Augmented views: an affine map and perhaps a key for each photo and view, and an op that applies a batch of them."""

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from components.base import settings
from components.data import feature_settings, strong_augmentation


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Everything that the views of a photo depend on, except its id.

    Attributes:
        flips: "horizontal", as in the thesis, or "both", which also turns half of the views upside down.
        kind: "affine", as in the thesis, or "strong", which also changes colours and backgrounds.
    """

    seed: int
    flips: settings.Flips = "horizontal"
    kind: settings.AugmentationKind = "affine"

    @property
    def settings(self) -> dict[str, Any]:
        """Return the settings to write beside files that depend on the views."""
        return feature_settings.of_augmentation(self.seed, self.flips, self.kind)


def transforms(photo_ids: list[str], view: int, augmentation: Augmentation, image_size_px: int) -> np.ndarray:
    """Return the map of each photo for `view`, float32 [n, 8] (a0 a1 a2 b0 b1 b2 c0 c1); view 0 is the clean photo.

    Pixel (x, y) of the view is read at (a0 x + a1 y + a2, b0 x + b1 y + b2) of the photo, as
    `tf.raw_ops.ImageProjectiveTransformV3` expects. A map depends only on the photo's id, the view and the
    augmentation, so that a photo has the same view in every run, whatever the other photos and their order.
    """
    maps = np.stack([_transform(photo_id, view, augmentation, image_size_px) for photo_id in photo_ids])
    return maps.reshape(-1, 9)[:, :8].astype(np.float32)


def keys(photo_ids: Sequence[str], view: int, augmentation: Augmentation) -> np.ndarray | None:
    """Return the keys of strong augmentation of each photo for `view`, int64 [n], or None if it is affine only."""
    return strong_augmentation.keys(photo_ids, view, augmentation.seed) if augmentation.kind == "strong" else None


def apply(pixels: tf.Tensor, maps: tf.Tensor, photo_keys: tf.Tensor | None = None) -> tf.Tensor:
    """Apply `maps` to `pixels`, uint8 [n, size, size, 3]; return the views in the same shape.

    Args:
        maps: float32 [n, 8], from `transforms`.
        photo_keys: int64 [n], from `keys`; None changes no colours.
    """
    if photo_keys is not None:
        pixels = strong_augmentation.apply(pixels, photo_keys)
    warped = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(pixels, tf.float32),
        transforms=maps,
        output_shape=tf.shape(pixels)[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )
    return tf.cast(tf.round(warped), tf.uint8)


def _transform(photo_id: str, view: int, augmentation: Augmentation, image_size_px: int) -> np.ndarray:
    """Compose random flips, zoom, shear, shift and rotation about the centre of the image: float64 [3, 3]."""
    if view == 0:
        return np.eye(3)
    name = f"{augmentation.seed}/{view}/{photo_id}"
    key = hashlib.sha256(name.encode()).digest()
    uniform = np.random.Generator(np.random.Philox(int.from_bytes(key[:16]))).uniform
    flip = 1.0 if uniform() < 0.5 else -1.0
    angle = np.deg2rad(uniform(-feature_settings.ROTATION_DEGREES, feature_settings.ROTATION_DEGREES))
    shear_angle = np.deg2rad(uniform(-feature_settings.SHEAR_DEGREES, feature_settings.SHEAR_DEGREES))
    zoom_x, zoom_y = uniform(1 - feature_settings.ZOOM, 1 + feature_settings.ZOOM, 2)
    shift_x, shift_y = uniform(-feature_settings.SHIFT, feature_settings.SHIFT, 2) * image_size_px

    centre = (image_size_px - 1) / 2
    to_centre = np.array([[1, 0, -centre], [0, 1, -centre], [0, 0, 1]])
    scale = np.diag([flip * zoom_x, zoom_y, 1])
    shear = np.array([[1, -np.sin(shear_angle), 0], [0, np.cos(shear_angle), 0], [0, 0, 1]])
    shift = np.array([[1, 0, shift_x], [0, 1, shift_y], [0, 0, 1]])
    rotation = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    map_ = np.linalg.inv(to_centre) @ rotation @ shift @ shear @ scale @ to_centre
    # decided by a hash, so that the other random numbers are the same as with horizontal flips only
    if augmentation.flips == "both" and hashlib.sha256(f"vertical/{name}".encode()).digest()[0] % 2:
        return np.array([[1, 0, 0], [0, -1, image_size_px - 1], [0, 0, 1]]) @ map_
    return map_
