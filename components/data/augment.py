"""Augmented views: the affine map of each photo and view, and one op that applies a batch of them."""

import dataclasses
import hashlib
from typing import Any

import numpy as np
import tensorflow as tf

from components.data import feature_settings


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What the views of a photo depend on beside its id.

    Attributes:
        flips: "horizontal", as in the thesis, or "both": half of the views are upside down too.
    """

    seed: int
    flips: str = "horizontal"

    @property
    def settings(self) -> dict[str, Any]:
        """Settings to write beside what is made from the views."""
        return feature_settings.of_augmentation(self.seed, self.flips)


def transforms(photo_ids: list[str], view: int, augmentation: Augmentation, image_size_px: int) -> np.ndarray:
    """Where each pixel of a view comes from: float32 [n, 8], row by row (a0 a1 a2 b0 b1 b2 c0 c1).

    The pixel (x, y) of the view is read at ((a0 x + a1 y + a2), (b0 x + b1 y + b2)) of the photo, the form that
    `tf.raw_ops.ImageProjectiveTransformV3` takes. A row depends on its photo's id, the view and the augmentation alone,
    so a photo looks the same in a view whichever run, order or other photos there are. View 0 is the photo as it is.
    """
    maps = np.stack([_transform(photo_id, view, augmentation, image_size_px) for photo_id in photo_ids])
    return maps.reshape(-1, 9)[:, :8].astype(np.float32)


def apply(pixels: tf.Tensor, maps: tf.Tensor) -> tf.Tensor:
    """The views that `maps` (float32 [n, 8]) make of `pixels` (uint8 [n, height, width, 3]): uint8, the same shape."""
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
    """Flips, zoom, shear, shift and rotation about the middle of the picture, composed: float64 [3, 3]."""
    if view == 0:
        return np.eye(3)
    name = f"{augmentation.seed}/{view}/{photo_id}"
    key = hashlib.sha256(name.encode()).digest()
    draw = np.random.Generator(np.random.Philox(int.from_bytes(key[:16]))).uniform
    flip = 1.0 if draw() < 0.5 else -1.0
    angle = np.deg2rad(draw(-feature_settings.ROTATION_DEGREES, feature_settings.ROTATION_DEGREES))
    lean = np.deg2rad(draw(-feature_settings.SHEAR_DEGREES, feature_settings.SHEAR_DEGREES))
    zoom_x, zoom_y = draw(1 - feature_settings.ZOOM, 1 + feature_settings.ZOOM, 2)
    shift_x, shift_y = draw(-feature_settings.SHIFT, feature_settings.SHIFT, 2) * image_size_px

    middle = (image_size_px - 1) / 2
    to_middle = np.array([[1, 0, -middle], [0, 1, -middle], [0, 0, 1]])
    scale = np.diag([flip * zoom_x, zoom_y, 1])
    shear = np.array([[1, -np.sin(lean), 0], [0, np.cos(lean), 0], [0, 0, 1]])
    shift = np.array([[1, 0, shift_x], [0, 1, shift_y], [0, 0, 1]])
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    map_ = np.linalg.inv(to_middle) @ turn @ shift @ shear @ scale @ to_middle
    # a draw of its own: all others are those of horizontal flips alone
    if augmentation.flips == "both" and hashlib.sha256(f"vertical/{name}".encode()).digest()[0] % 2:
        return np.array([[1, 0, 0], [0, -1, image_size_px - 1], [0, 0, 1]]) @ map_
    return map_
