"""Grad-CAM: where in a photo a model finds a class (Selvaraju et al. 2017, arXiv 1610.02391)."""

from collections.abc import Callable

import keras
import tensorflow as tf

from components.models import anatomy

TINY = 1e-12  # maximum of a map that is all 0


def grad_cam(model: keras.Model) -> Callable[..., tf.Tensor]:
    """Return a function of pixels, uint8 [n, size, size, 3] -> heat maps, float32 [n, height, width] in [0, 1].

    Its second argument, int64 [n], has the classes to explain; by default they are the most probable ones. Each map is
    scaled to a maximum of 1, and is all 0 if nothing in the photo speaks for the class. Height and width are those of
    the last activations before pooling: 7 at 224 pixels, 10 at 320. An averaged model has the mean of the maps of its
    members, in the size of the first. Only the first test-time view is shown.
    """
    maps_model = anatomy.with_maps(model)
    members = anatomy.members(anatomy.single_view(model))
    parts = [(anatomy.pooling(member), member.get_layer(anatomy.HEAD)) for member in members]

    def explain(pixels: tf.Tensor, classes: tf.Tensor | None = None) -> tf.Tensor:
        scores, *maps_of_members = maps_model(pixels, training=False)
        explained = tf.argmax(scores, axis=1) if classes is None else classes
        heatmaps = [_heatmap(maps, *part, explained) for maps, part in zip(maps_of_members, parts, strict=True)]
        size = heatmaps[0].shape[1:]
        return _scaled(tf.add_n([_resized(heatmap, size) for heatmap in heatmaps]))

    return explain


def _heatmap(maps: tf.Tensor, pooling: keras.Model, head: keras.Model, classes: tf.Tensor) -> tf.Tensor:
    """Return the map of one member for `classes`, int64 [n]."""
    with tf.GradientTape() as tape:
        tape.watch(maps)
        logits = _logits(head, pooling(maps, training=False))
        of_class = tf.gather(logits, classes, axis=1, batch_dims=1)
    weights = tf.reduce_mean(tape.gradient(of_class, maps), axis=[1, 2])
    return _scaled(tf.nn.relu(tf.einsum("nhwc,nc->nhw", maps, weights)))


def _resized(heatmaps: tf.Tensor, size: tf.TensorShape) -> tf.Tensor:
    """Return `heatmaps`, [n, height, width], in `size`."""
    if heatmaps.shape[1:] == size:
        return heatmaps
    return tf.image.resize(heatmaps[..., tf.newaxis], size)[..., 0]


def _logits(head: keras.Model, pooled: tf.Tensor) -> tf.Tensor:
    """Return the output of the head before its softmax, float32 [n, classes]."""
    *hidden, scores = head.layers
    for layer in hidden:
        pooled = layer(pooled, training=False) if isinstance(layer, keras.layers.BatchNormalization) else layer(pooled)
    return tf.matmul(pooled, scores.kernel) + scores.bias


def _scaled(heatmaps: tf.Tensor) -> tf.Tensor:
    return heatmaps / tf.maximum(tf.reduce_max(heatmaps, axis=[1, 2], keepdims=True), TINY)
