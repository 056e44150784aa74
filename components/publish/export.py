"""Keras model -> SavedModel that takes the bytes of photos, with warm-up requests."""

import dataclasses
import pathlib
import shutil
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from components.base import settings
from components.data import resize
from components.models import anatomy, heatmap, prediction_sets, typicality
from components.publish import push

SIGNATURE = "serving_default"
EXPLAIN = "explain"
WARMUP_BATCH_SIZES = (1, 8, 32)


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What a served model needs for its prediction sets and its typicality.

    Attributes:
        rule: of the prediction sets.
        below: part of the backbone below which the embedding is taken, see anatomy.with_embedding.
        distance: of an embedding to the classes.
        references: float32 [m], distances of held-out training photos, see typicality.references.
    """

    rule: prediction_sets.Rule
    below: settings.Unfreeze | None
    distance: typicality.Distance
    references: np.ndarray


def export(
    model: keras.Model,
    class_names: Sequence[str],
    *,
    backbone: settings.Backbone,
    test_views: int,
    calibration: Calibration,
    image_size_px: int,
    warmup_photos: Sequence[bytes],
    to: pathlib.Path,
) -> None:
    """Write `model` as a SavedModel to the folder `to`, replacing an existing one.

    Its signature `serving_default` maps `image_bytes` (string, [n], each JPEG or PNG) to `scores` (float32,
    [n, classes]), `class_names` (string, [n, classes]), `in_set` (bool, [n, classes]) and `typicality` (float32, [n]).
    Its signature `explain` maps them to `heatmap` (float32, [n, height, width] in [0, 1]). Photos are decoded and
    resized as for the records.

    Args:
        test_views: number of test-time views of `model`.
        warmup_photos: bytes of at least one plain JPEG or PNG, repeated to fill the warm-up requests.
    """
    names = tf.constant(list(class_names))
    classifier = anatomy.with_embedding(model, backbone, calibration.below, test_views)
    grad_cam = heatmap.grad_cam(model)

    def pixels_of(image_bytes: tf.Tensor) -> tf.Tensor:
        return tf.map_fn(
            lambda photo: resize.decode_and_resize(photo, image_size_px),
            image_bytes,
            fn_output_signature=tf.TensorSpec([image_size_px, image_size_px, 3], tf.uint8),
        )

    def classify(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        scores, embedding = classifier(pixels_of(image_bytes), training=False)
        return {
            "scores": scores,
            "class_names": tf.tile(names[tf.newaxis], [tf.shape(scores)[0], 1]),
            "in_set": _in_set(scores, calibration.rule),
            "typicality": _typicality(embedding, calibration.distance, calibration.references),
        }

    def explain(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"heatmap": grad_cam(pixels_of(image_bytes))}

    part = to.with_name(f"{to.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    archive = keras.export.ExportArchive()  # finds the weights itself; `track` would write them twice
    photos = [tf.TensorSpec([None], tf.string, name="image_bytes")]
    archive.add_endpoint(SIGNATURE, classify, photos)
    archive.add_endpoint(EXPLAIN, explain, photos)
    archive.write_out(str(part), verbose=False)
    write_warmup(warmup_photos, part / "assets.extra" / "tf_serving_warmup_requests")
    shutil.rmtree(to, ignore_errors=True)
    part.rename(to)


def _in_set(scores: tf.Tensor, rule: prediction_sets.Rule) -> tf.Tensor:
    """Return what prediction_sets.members does, bool [n, classes]."""
    clipped = tf.maximum(scores, prediction_sets.MIN_PROBABILITY)
    powers = (clipped / tf.reduce_max(clipped, axis=1, keepdims=True)) ** (1 / rule.temperature)
    calibrated = powers / tf.reduce_sum(powers, axis=1, keepdims=True)
    most_probable = tf.one_hot(tf.argmax(scores, axis=1), scores.shape[1], True, False, dtype=tf.bool)
    return most_probable | (calibrated >= tf.constant(rule.thresholds, tf.float32))


def _typicality(embedding: tf.Tensor, distance: typicality.Distance, references: np.ndarray) -> tf.Tensor:
    """Return what typicality.of does for distances of `embedding`, float32 [n, channels]: float32 [n] in [0, 1]."""
    roots = tf.sign(embedding) * tf.sqrt(tf.abs(embedding))
    unit = roots / tf.maximum(tf.norm(roots, axis=1, keepdims=True), typicality.TINY)
    white = tf.matmul(unit - distance.center, tf.constant(distance.whitening))
    # |white - mean|^2, without an array of [n, classes, channels]
    squares = tf.reduce_sum(white**2, axis=1, keepdims=True) + (distance.means**2).sum(axis=1)
    distances = tf.reduce_min(squares - 2 * tf.matmul(white, tf.constant(distance.means.T)), axis=1)
    ranks = tf.searchsorted(tf.constant(references), distances, side="left")
    return 1 - tf.cast(ranks, tf.float32) / (len(references) + 1)


def write_warmup(photos: Sequence[bytes], path: pathlib.Path) -> None:
    """Write a PredictionLog for each batch size, which TensorFlow Serving runs before a version becomes available."""
    path.parent.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for size in WARMUP_BATCH_SIZES:
            request = predict_pb2.PredictRequest()
            request.model_spec.name = push.MODEL_NAME
            request.model_spec.signature_name = SIGNATURE
            batch = [photos[index % len(photos)] for index in range(size)]
            request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto(batch, tf.string))
            log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
            writer.write(log.SerializeToString())
