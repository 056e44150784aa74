"""Settings of augmented views and of features, as stored in settings.json with them. Needs no TensorFlow."""

from collections.abc import Mapping, Sequence
from typing import Any

from components.base import artifacts, settings

# The thesis's settings for Keras's ImageDataGenerator, whose shear_range is in degrees: 0.2 shears by next to nothing.
ROTATION_DEGREES = 20.0
SHEAR_DEGREES = 0.2
ZOOM = 0.2
SHIFT = 0.1  # of the image's side

# of kind "strong", see strong_augmentation.py; a change of its operations needs another version
STRONG_VERSION = 1
COLOUR_OPERATIONS = 2  # of a view
NEW_BACKGROUNDS = 1 / 3  # share of views whose plain background is replaced


def of_augmentation(seed: int, flips: settings.Flips, kind: settings.AugmentationKind = "affine") -> dict[str, Any]:
    """Return everything that an augmented view depends on, except the id of its photo.

    Args:
        flips: "horizontal" or "both", see augmentation.Augmentation.
        kind: "affine" or "strong", see augmentation.Augmentation.
    """
    strong = {"version": STRONG_VERSION, "colour_operations": COLOUR_OPERATIONS, "new_backgrounds": NEW_BACKGROUNDS}
    augmentation = {
        "flip": {"horizontal": "horizontal", "both": "horizontal and vertical"}[flips],
        "rotation_degrees": ROTATION_DEGREES,
        "shear_degrees": SHEAR_DEGREES,
        "zoom": ZOOM,
        "shift": SHIFT,
        "fill": "nearest",
        # views without this setting are affine
        **({"strong": strong} if kind == "strong" else {}),
    }
    return {"seed": seed, "augmentation": augmentation}


def of_features(
    backbone: settings.Backbone,
    weights: str,
    *,
    engine: settings.Engine,
    precision: settings.Precision,
    image_size_px: int,
    photo_ids: Sequence[str],
    augmentation: Mapping[str, Any],
) -> dict[str, Any]:
    """Return everything that the features of a frozen backbone depend on.

    Args:
        weights: fingerprint of the backbone's weights, see backbones.Weights.
        engine: inference engine; "auto" if the run has not resolved it.
        precision: dtype in which the backbone computes; "auto" if the run has not resolved it.
        photo_ids: ids in the order of the records.
        augmentation: settings from `of_augmentation`.
    """
    return {
        "backbone": backbone,
        "weights": weights,
        "engine": engine,
        "precision": precision,
        "image_size_px": image_size_px,
        "photos": artifacts.digest(list(photo_ids)),
        **augmentation,
    }
