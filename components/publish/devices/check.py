"""Compare the scores of an exported model with those of the Keras model on photos of the run."""

from collections.abc import Callable, Iterable, Sequence

import keras
import numpy as np
import tensorflow as tf

from components.base import metrics, rounding
from components.base.errors import PilahError
from components.models import frozen_graph
from components.publish import validate
from components.publish.devices import description
from components.publish.devices.formats import Predict

MAX_F1_LOSS = 0.01  # of int8
REPORT = "Report the problem, and choose another --format until it is solved."


def compare(
    model: keras.Model,
    predict: Predict,
    batches: Iterable[np.ndarray],
    labels: np.ndarray,
    classes: Sequence[str],
    progress: Callable[[int, int], None],
) -> description.Validation:
    """Return how the scores of `predict` differ from those of `model`.

    Args:
        batches: pixels of the photos, uint8 [n, size, size, 3].
        labels: int64 [photos], their classes.

    Raises:
        NotFiniteError: some scores are nan or infinite.
    """
    # a graph, because in eager mode Keras keeps all layers' activations
    forward = tf.function(lambda pixels: model(pixels, training=False), input_signature=frozen_graph.signature(model))
    expected, scores, done = [], [], 0
    for pixels in batches:
        expected.append(forward(pixels).numpy())
        scores.append(predict(pixels))
        done += len(pixels)
        progress(done, len(labels))
    of_model, of_export = np.concatenate(expected), np.concatenate(scores)
    metrics.check_finite(of_model, "Scores of the Keras model", validate.DIVERGED)
    metrics.check_finite(of_export, "Scores of the exported model", REPORT)
    return {
        "photos": len(labels),
        "max_score_difference": float(np.abs(of_export - of_model).max()),
        "same_class": float((of_export.argmax(axis=1) == of_model.argmax(axis=1)).mean()),
        "f1": _f1(of_export, labels, classes),
        "f1_of_keras_model": _f1(of_model, labels, classes),
    }


def _f1(scores: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> float:
    return metrics.score(metrics.confusion(labels, scores.argmax(axis=1), len(classes)), classes).f1


def check(name: str, figures: description.Validation, max_score_difference: float | None) -> None:
    """Check that an export answers as the Keras model does.

    Args:
        name: of the format.
        max_score_difference: largest difference of a score; None limits the loss of macro F1 instead.

    Raises:
        PilahError: the scores differ by more, or fewer than 99 % of the photos get the same class; or, without such a
            limit, the macro F1 is more than 0.01 lower.
    """
    photos = f"on {figures['photos']} photos"
    if max_score_difference is None:
        f1, of_model = figures["f1"], figures["f1_of_keras_model"]
        if not f1 >= of_model - MAX_F1_LOSS:
            raise PilahError(
                f"--format {name} may lose at most {MAX_F1_LOSS} of the Keras model's macro F1, but has "
                f"{rounding.text(f1, '.4f')} instead of {rounding.text(of_model, '.4f')} {photos}. Choose --format "
                "litert."
            )
        return
    difference, same = figures["max_score_difference"], figures["same_class"]
    if not (difference <= max_score_difference and same >= validate.MIN_AGREEMENT):
        raise PilahError(
            f"--format {name} must give the Keras model's scores within {max_score_difference}, and the same class for "
            f"{validate.MIN_AGREEMENT:.0%} of the photos, but scores differ by up to {difference:.2e}, and "
            f"{rounding.text(same, '.2%')} have the same class {photos}. {REPORT}"
        )
