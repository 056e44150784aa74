"""Compare the prediction sets and the typicality of the SavedModel with those that NumPy computes."""

import pathlib
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from components.base import settings
from components.base.errors import PilahError
from components.data import resize
from components.models import anatomy, prediction_sets, typicality
from components.publish import export, validate

MAX_TYPICALITY_DIFFERENCE = 0.02  # between exported typicality in float32 and NumPy's, besides one rank


def check(
    model: keras.Model,
    saved_model: pathlib.Path,
    photo_bytes: Sequence[bytes],
    *,
    backbone: settings.Backbone,
    test_views: int,
    calibration: export.Calibration,
    image_size_px: int,
) -> float:
    """Compare the sets and the typicality of the exported model with those computed by NumPy.

    Args:
        test_views: number of test-time views of `model`.

    Returns:
        The largest difference of typicality.

    Raises:
        PilahError: a class is in one of the sets only although its probability is not close to the threshold, or the
            typicality differs by more than 0.02 and one rank.
    """
    pixels = tf.stack([resize.decode_and_resize(tf.constant(photo), image_size_px) for photo in photo_bytes])
    network = anatomy.with_embedding(model, backbone, calibration.below, test_views)
    scores, embedding = (output.numpy() for output in tf.function(network)(pixels))
    answers = validate.load_signature(saved_model)(photo_bytes)
    if answers.in_set is None or answers.typicality is None:
        raise PilahError("The exported model has no in_set or typicality. Export again with --from export.")
    rule = calibration.rule
    margin = np.abs(prediction_sets.calibrated(scores, rule.temperature) - rule.thresholds)
    wrong = (answers.in_set != prediction_sets.members(scores, rule)) & (margin > validate.MAX_SCORE_DIFFERENCE)
    expected = typicality.of(calibration.distance(embedding), calibration.references)
    difference = float(np.abs(answers.typicality - expected).max())
    if wrong.any() or not difference <= MAX_TYPICALITY_DIFFERENCE + 1 / len(calibration.references):
        raise PilahError(
            f"Exported prediction sets and typicality must be those of calibration/, but {wrong.any(axis=1).sum()} of "
            f"{len(photo_bytes)} sets differ, and typicality by up to {difference:.3f}. Export again with --from "
            "calibration; if that does not help, report the problem."
        )
    return difference
