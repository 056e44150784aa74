"""Keras model -> SavedModel that takes the bytes of photos, with warm-up requests."""

import pathlib
import shutil
from collections.abc import Sequence

import keras
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from components.data import resize
from components.publish import push

SIGNATURE = "serving_default"
WARMUP_BATCH_SIZES = (1, 8, 32)


def export(
    model: keras.Model,
    class_names: Sequence[str],
    *,
    image_size_px: int,
    warmup_photos: Sequence[bytes],
    to: pathlib.Path,
) -> None:
    """Write `model` as a SavedModel to the folder `to`, replacing an existing one.

    Its signature `serving_default` maps `image_bytes` (string, [n], each JPEG or PNG) to `scores` (float32,
    [n, classes]) and `class_names` (string, [n, classes]). Photos are decoded and resized as for the records.

    Args:
        warmup_photos: bytes of at least one plain JPEG or PNG, repeated to fill the warm-up requests.
    """
    names = tf.constant(list(class_names))

    def classify(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        pixels = tf.map_fn(
            lambda photo: resize.decode_and_resize(photo, image_size_px),
            image_bytes,
            fn_output_signature=tf.TensorSpec([image_size_px, image_size_px, 3], tf.uint8),
        )
        scores = model(pixels, training=False)
        return {"scores": scores, "class_names": tf.tile(names[tf.newaxis], [tf.shape(scores)[0], 1])}

    part = to.with_name(f"{to.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    archive = keras.export.ExportArchive()  # finds the weights itself; `track` would write them twice
    archive.add_endpoint(SIGNATURE, classify, [tf.TensorSpec([None], tf.string, name="image_bytes")])
    archive.write_out(str(part), verbose=False)
    write_warmup(warmup_photos, part / "assets.extra" / "tf_serving_warmup_requests")
    shutil.rmtree(to, ignore_errors=True)
    part.rename(to)


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
