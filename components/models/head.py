"""The classifier head on a frozen backbone: built, trained on activations, and used to predict probabilities."""

import functools
import json
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from components.base import metrics, seeds, settings
from components.models import fused_optimizers

DIVERGED = "Training diverged: lower --learning-rate."
OPTIMIZERS: dict[settings.Optimizer, type[keras.optimizers.Optimizer]] = {
    "Adam": keras.optimizers.Adam,
    "Nadam": keras.optimizers.Nadam,
    "AdamW": keras.optimizers.AdamW,
}


def build(
    channels: int,
    classes: int,
    *,
    optimizer: settings.Optimizer,
    dropout: float,
    learning_rate: float,
    weight_decay: float,
    seed: int,
    hidden_units: int = settings.HIDDEN_UNITS,
) -> keras.Model:
    """Return a new head with a new optimizer, compiled: float32 [n, channels] -> probabilities, float32 [n, classes].

    Args:
        dropout: rate in [0, 1) before the last layer; 0 leaves the layer out.
        weight_decay: decoupled weight decay, used only by AdamW.
        seed: seed of the initial weights and the dropout masks; heads of equal seed and shape start with equal weights.
    """
    model = untrained(channels, classes, dropout, seed, hidden_units)
    model.compile(new_optimizer(optimizer, learning_rate, weight_decay))
    return model


def untrained(
    channels: int, classes: int, dropout: float, seed: int, hidden_units: int = settings.HIDDEN_UNITS
) -> keras.Sequential:
    """Return a new head, not compiled, with the layers of the thesis's notebooks. Arguments as in `build`."""
    hidden_seed, dropout_seed, scores_seed = (seeds.derive(seed, seeds.LAYER, number) for number in range(3))
    layers = [
        keras.Input((channels,), name="activations"),
        keras.layers.Dense(
            hidden_units, "relu", kernel_initializer=keras.initializers.GlorotUniform(hidden_seed), name="hidden"
        ),
        keras.layers.BatchNormalization(name="normalization"),
        keras.layers.Dropout(dropout, seed=dropout_seed, name="dropout") if dropout else None,
        keras.layers.Dense(
            classes, "softmax", kernel_initializer=keras.initializers.GlorotUniform(scores_seed), name="scores"
        ),
    ]
    return keras.Sequential([layer for layer in layers if layer is not None], name="head")


def new_optimizer(
    name: settings.Optimizer,
    learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
    weight_decay: float,
    global_clipnorm: float | None = None,
) -> keras.optimizers.Optimizer:
    """Return a new optimizer. `weight_decay` is used only by AdamW; `global_clipnorm` is as in Keras."""
    decay = {"weight_decay": weight_decay} if name == "AdamW" else {}
    # A fixed name, because with Keras's adam, adam_1, ... no two heads would share a `_program`.
    return OPTIMIZERS[name](learning_rate, global_clipnorm=global_clipnorm, name=name.lower(), **decay)


def parameters(channels: int, classes: int, hidden_units: int = settings.HIDDEN_UNITS) -> int:
    """Return the number of weights of a head, including the moving averages of its BatchNormalization."""
    return (channels + 1) * hidden_units + 4 * hidden_units + (hidden_units + 1) * classes


def fit(
    model: keras.Model,
    activations: Sequence[np.ndarray],
    labels: np.ndarray,
    *,
    rows: np.ndarray,
    epochs: int,
    batch_size: int,
    seed: int,
) -> dict[str, list[float]]:
    """Train `model` on the augmented views of `rows`; return loss and accuracy of each epoch.

    Epoch e uses view 1 + e mod V of every row once, in an order that depends on `seed` and e. Training starts from the
    current weights and optimizer state of `model`, so that another call continues it.

    Args:
        activations: V + 1 arrays, float32 [photos, channels], the clean view first.
        labels: int64 [photos], in [0, classes).
        rows: int64 [m], the photos to train on.

    Raises:
        NotFiniteError: training diverged.
    """
    rng = np.random.Generator(np.random.Philox(seed))
    shared_head, train = _program(json.dumps(keras.saving.serialize_keras_object(model), sort_keys=True))
    _copy_state(model, shared_head)
    history: dict[str, list[float]] = {"loss": [], "accuracy": []}
    for epoch in range(epochs):
        shuffled = rng.permutation(rows)
        loss, correct = train(activations[1 + epoch % (len(activations) - 1)][shuffled], labels[shuffled], batch_size)
        history["loss"].append(float(loss) / len(rows))
        history["accuracy"].append(float(correct) / len(rows))
    metrics.check_finite(np.array(history["loss"]), "Losses of epochs", DIVERGED)
    _copy_state(shared_head, model)
    return history


@functools.lru_cache(maxsize=2)
def _program(serialized: str) -> tuple[keras.Model, Callable]:
    """Return a copy of a head and a function that trains it for an epoch, shared by all heads of equal architecture.

    Sharing saves tracing, which takes longer than training. Nothing is carried over between folds, because `fit` first
    sets all variables of the copy from the head, including those of the optimizer and the dropout masks. An epoch is
    one call, because returning to Python takes far longer than a step, and is traced once for any number of photos.
    """
    shared_head = keras.saving.deserialize_keras_object(json.loads(serialized))
    shared_head.compile(fused_optimizers.fused(shared_head.optimizer))
    channels, variables = shared_head.input_shape[1], shared_head.trainable_variables
    shapes = (tf.TensorSpec((None, channels)), tf.TensorSpec((None,), tf.int64), tf.TensorSpec((), tf.int32))

    @tf.function(input_signature=shapes)
    def train(activations: tf.Tensor, labels: tf.Tensor, batch_size: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Train for an epoch in the order of the rows; return the sum of losses and the number of correct photos."""
        loss_sum, correct = 0.0, 0
        for start in tf.range(0, tf.shape(activations)[0], batch_size):
            actual = labels[start : start + batch_size]
            with tf.GradientTape() as tape:
                scores = shared_head(activations[start : start + batch_size], training=True)
                losses = keras.losses.sparse_categorical_crossentropy(actual, scores)
                loss = tf.reduce_mean(losses)
            shared_head.optimizer.apply(tape.gradient(loss, variables), variables)
            loss_sum += tf.reduce_sum(losses)
            correct += tf.math.count_nonzero(tf.argmax(scores, axis=1) == actual, dtype=tf.int32)
        return loss_sum, correct

    return shared_head, train


def _copy_state(source: keras.Model, target: keras.Model) -> None:
    for model in (source, target):
        model.optimizer.build(model.trainable_variables)
    sources = (*source.variables, *source.optimizer.variables)
    for variable, copy in zip(sources, (*target.variables, *target.optimizer.variables), strict=True):
        copy.assign(variable)


def predict_averaged(model: keras.Model, views: Sequence[np.ndarray]) -> np.ndarray:
    """Return probabilities, float32 [n, classes], averaged over test-time views of activations, float32 [n, channels].

    Raises:
        NotFiniteError: some probabilities are nan or infinite.
    """
    probabilities = np.mean([predict(model, view) for view in views], axis=0)
    metrics.check_finite(probabilities, "Probabilities", DIVERGED)
    return probabilities


def predict(model: keras.Model, activations: np.ndarray) -> np.ndarray:
    """Return the probabilities, float32 [n, classes], of clean activations, float32 [n, channels]."""
    return model(tf.constant(activations), training=False).numpy()
