"""The classifier on top of a frozen backbone: built afresh, trained on activations, asked for probabilities."""

import functools
import json
import math

import keras
import numpy as np
import tensorflow as tf

HIDDEN_UNITS = 256
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
    model = keras.Sequential([layer for layer in layers if layer is not None], name="head")
    settings = {"weight_decay": weight_decay} if optimizer == "AdamW" else {}
    model.compile(
        # The name is given: Keras would count adam, adam_1, ... and no two heads would be built alike for `_program`.
        optimizer=OPTIMIZERS[optimizer](learning_rate, name=optimizer.lower(), **settings),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def parameters(channels: int, classes: int) -> int:
    """How many weights a head has."""
    return (channels + 1) * HIDDEN_UNITS + (HIDDEN_UNITS + 1) * classes


def fit(
    model: keras.Model,
    activations: np.ndarray,
    labels: np.ndarray,
    rows: np.ndarray,
    epochs: int,
    batch_size: int,
    seed: int,
) -> dict[str, list[float]]:
    """Train `model` on the augmented views of `rows`; returns loss and accuracy of each epoch.

    Epoch e sees view 1 + e mod V of every row once, in an order drawn from `seed` and e.

    Args:
        activations: float32 [V + 1, photos, channels], the clean view first.
        labels: int64 [photos], in [0, classes).
        rows: int64 [m], the photos to train on.
    """
    views = len(activations) - 1
    steps = math.ceil(len(rows) / batch_size)
    order = np.random.Generator(np.random.Philox(seed))
    # row of the views laid end to end <- epoch, position
    picks = np.stack([order.permutation(rows) + (1 + epoch % views) * len(labels) for epoch in range(epochs)])
    flat_activations = tf.constant(activations.reshape(-1, activations.shape[-1]))
    flat_labels = tf.constant(labels)

    def gather(picks: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.gather(flat_activations, picks), tf.gather(flat_labels, picks % len(labels))

    batches = (
        tf.data.Dataset.from_tensor_slices(picks)
        .flat_map(lambda epoch: tf.data.Dataset.from_tensor_slices(epoch).batch(batch_size))
        .map(gather)
        .prefetch(4)
    )
    program = _program(json.dumps(keras.saving.serialize_keras_object(model), sort_keys=True), steps)
    _copy_state(model, program)
    history = program.fit(batches, epochs=epochs, steps_per_epoch=steps, shuffle=False, verbose=0)
    _copy_state(program, model)
    return {name: [float(value) for value in values] for name, values in history.history.items()}


@functools.lru_cache(maxsize=2)
def _program(serialized: str, steps: int) -> keras.Model:
    """A compiled twin of a head, whose traced training step serves all heads that are built alike.

    Tracing takes longer than training. The twin has no state of its own to carry from fold to fold: before it trains,
    every variable is set from a head that was just built, that of the optimizer and of the dropout masks included.
    An epoch is one call, since the steps are far shorter than a return to Python.
    """
    model = keras.saving.deserialize_keras_object(json.loads(serialized))
    model.compile(model.optimizer, model.loss, metrics=["accuracy"], steps_per_execution=steps)
    return model


def _copy_state(source: keras.Model, target: keras.Model) -> None:
    for model in (source, target):
        model.optimizer.build(model.trainable_variables)
    sources = (*source.variables, *source.optimizer.variables)
    for ours, theirs in zip(sources, (*target.variables, *target.optimizer.variables), strict=True):
        theirs.assign(ours)


def predict(model: keras.Model, activations: np.ndarray) -> np.ndarray:
    """Probabilities, float32 [n, classes], of clean activations, float32 [n, channels]."""
    return model(tf.constant(activations), training=False).numpy()
