"""A small model with the signature of the classifier, and one of numbers, for trials that are not about the model."""

import pathlib

import tensorflow as tf

CLASSES = ("glass", "metal", "paper")


class SmallModel(tf.Module):
    """Classifies photos by their mean colour."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def classify(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        scores = tf.map_fn(_mean_colour, image_bytes, fn_output_signature=tf.TensorSpec([3], tf.float32))
        names = tf.tile(tf.constant([CLASSES]), [tf.shape(image_bytes)[0], 1])
        return {"scores": tf.nn.softmax(scores), "class_names": names}

    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])
    def double(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": 2 * x}


def _mean_colour(photo: tf.Tensor) -> tf.Tensor:
    pixels = tf.io.decode_image(photo, channels=3, expand_animations=False)
    return tf.reduce_mean(tf.cast(pixels, tf.float32), axis=[0, 1])


def write(base: pathlib.Path) -> pathlib.Path:
    """Write version 1 of the model into `base` and return `base`."""
    model = SmallModel()
    signatures = {"serving_default": model.classify, "double": model.double}
    tf.saved_model.save(model, str(base / "1"), signatures=signatures)
    return base
