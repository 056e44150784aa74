"""The classifier on top of a frozen backbone: built afresh, trained on activations, asked for probabilities."""

import functools
import json
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from components.base import metrics

HIDDEN_UNITS = 256
DIVERGED = "Training diverged: lower --learning-rate."
OPTIMIZERS = {"Adam": keras.optimizers.Adam, "Nadam": keras.optimizers.Nadam, "AdamW": keras.optimizers.AdamW}


def build(
    channels: int, classes: int, optimizer: str, dropout: float, learning_rate: float, weight_decay: float, seed: int
) -> keras.Model:
    """A new head and a new optimizer, compiled: float32 [n, channels] -> probabilities, float32 [n, classes].

    Args:
        dropout: rate in [0, 1) between the two dense layers; 0 leaves the layer out.
        weight_decay: decoupled decay of AdamW; the other optimizers have none.
        seed: of the first weights and the dropout masks; heads of one seed and shape start alike.
    """
    model = untrained(channels, classes, dropout, seed)
    model.compile(new_optimizer(optimizer, learning_rate, weight_decay))
    return model


def untrained(channels: int, classes: int, dropout: float, seed: int) -> keras.Sequential:
    """The layers of a new head, not compiled. Arguments as in `build`."""
    layers = [
        keras.Input((channels,), name="activations"),
        keras.layers.Dense(
            HIDDEN_UNITS, "relu", kernel_initializer=keras.initializers.GlorotUniform(seed), name="hidden"
        ),
        keras.layers.Dropout(dropout, seed=seed, name="dropout") if dropout else None,
        keras.layers.Dense(
            classes, "softmax", kernel_initializer=keras.initializers.GlorotUniform(seed + 1), name="scores"
        ),
    ]
    return keras.Sequential([layer for layer in layers if layer is not None], name="head")


def new_optimizer(
    name: str,
    learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
    weight_decay: float,
    global_clipnorm: float | None = None,
) -> keras.optimizers.Optimizer:
    """One of OPTIMIZERS; `weight_decay` is that of AdamW, the others have none; `global_clipnorm` is Keras's."""
    settings = {"weight_decay": weight_decay} if name == "AdamW" else {}
    # The name is given: Keras would count adam, adam_1, ... and no two heads would be built alike for `_program`.
    return OPTIMIZERS[name](learning_rate, global_clipnorm=global_clipnorm, name=name.lower(), **settings)


def parameters(channels: int, classes: int) -> int:
    """How many weights a head has."""
    return (channels + 1) * HIDDEN_UNITS + (HIDDEN_UNITS + 1) * classes


def fit(
    model: keras.Model,
    activations: Sequence[np.ndarray],
    labels: np.ndarray,
    rows: np.ndarray,
    epochs: int,
    batch_size: int,
    seed: int,
) -> dict[str, list[float]]:
    """Train `model` on the augmented views of `rows`; returns loss and accuracy of each epoch.

    Epoch e sees view 1 + e mod V of every row once, in an order drawn from `seed` and e. `model` is trained from the
    state it is in, so that another call goes on where the last one ended.

    Args:
        activations: V + 1 arrays, float32 [photos, channels], the clean view first.
        labels: int64 [photos], in [0, classes).
        rows: int64 [m], the photos to train on.

    Raises:
        NotFiniteError: training diverged.
    """
    order = np.random.Generator(np.random.Philox(seed))
    twin, train = _program(json.dumps(keras.saving.serialize_keras_object(model), sort_keys=True))
    _copy_state(model, twin)
    history: dict[str, list[float]] = {"loss": [], "accuracy": []}
    for epoch in range(epochs):
        picks = order.permutation(rows)
        loss, hits = train(activations[1 + epoch % (len(activations) - 1)][picks], labels[picks], batch_size)
        history["loss"].append(float(loss) / len(rows))
        history["accuracy"].append(float(hits) / len(rows))
    metrics.check_finite(np.array(history["loss"]), "Losses of epochs", DIVERGED)
    _copy_state(twin, model)
    return history


@functools.lru_cache(maxsize=2)
def _program(serialized: str) -> tuple[keras.Model, Callable]:
    """A twin of a head, and an epoch of its training as one call, which serve all heads that are built alike.

    Tracing takes longer than training. The twin has no state of its own to carry from fold to fold: before it trains,
    every variable is set from the head, that of the optimizer and of the dropout masks included. An epoch is one
    call, since the steps are far shorter than a return to Python, and one trace, whatever the number of photos.
    """
    twin = keras.saving.deserialize_keras_object(json.loads(serialized))
    shapes = (tf.TensorSpec((None, twin.input_shape[1])), tf.TensorSpec((None,), tf.int64), tf.TensorSpec((), tf.int32))

    @tf.function(input_signature=shapes)
    def train(activations: tf.Tensor, labels: tf.Tensor, batch_size: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """One epoch in the order given; the sum of the losses, and how many were right while it learnt."""
        loss_sum, hits = 0.0, 0
        for start in tf.range(0, tf.shape(activations)[0], batch_size):
            actual = labels[start : start + batch_size]
            with tf.GradientTape() as tape:
                scores = twin(activations[start : start + batch_size], training=True)
                losses = keras.losses.sparse_categorical_crossentropy(actual, scores)
                loss = tf.reduce_mean(losses)
            twin.optimizer.apply(tape.gradient(loss, twin.trainable_variables), twin.trainable_variables)
            loss_sum += tf.reduce_sum(losses)
            hits += tf.math.count_nonzero(tf.argmax(scores, axis=1) == actual, dtype=tf.int32)
        return loss_sum, hits

    return twin, train


def _copy_state(source: keras.Model, target: keras.Model) -> None:
    for model in (source, target):
        model.optimizer.build(model.trainable_variables)
    sources = (*source.variables, *source.optimizer.variables)
    for ours, theirs in zip(sources, (*target.variables, *target.optimizer.variables), strict=True):
        theirs.assign(ours)


def predict_averaged(model: keras.Model, views: Sequence[np.ndarray]) -> np.ndarray:
    """Probabilities, float32 [n, classes], averaged over the activations of test-time views, float32 [n, channels].

    Raises:
        NotFiniteError: some are nan or infinite.
    """
    probabilities = np.mean([predict(model, view) for view in views], axis=0)
    metrics.check_finite(probabilities, "Probabilities", DIVERGED)
    return probabilities


def predict(model: keras.Model, activations: np.ndarray) -> np.ndarray:
    """Probabilities, float32 [n, classes], of clean activations, float32 [n, channels]."""
    return model(tf.constant(activations), training=False).numpy()
