from typing import get_args

import keras
import numpy as np
import pytest

from components.base import settings
from components.base.errors import NotFiniteError
from components.models import head

CHANNELS, CLASSES, PHOTOS, BATCH = 8, 3, 20, 6
ALL = np.arange(PHOTOS)


def build(optimizer="Adam", dropout=0.0, learning_rate=1e-2, weight_decay=0.004, seed=1, channels=CHANNELS):
    return head.build(
        channels,
        CLASSES,
        optimizer=optimizer,
        dropout=dropout,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        seed=seed,
    )


def activations_of(views, photos=PHOTOS, seed=0):
    return np.random.default_rng(seed).normal(size=(views + 1, photos, CHANNELS)).astype(np.float32)


def labels_of(photos=PHOTOS):
    return np.arange(photos, dtype=np.int64) % CLASSES


def fit(model, activations, rows=ALL, epochs=2, seed=5):
    labels = labels_of(activations.shape[1])
    return head.fit(model, activations, labels, rows=rows, epochs=epochs, batch_size=BATCH, seed=seed)


def cross_entropy(model, activations, rows):
    """Return the loss in training mode, with BatchNorm on the statistics of the batch."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    probabilities = copy(activations[rows], training=True).numpy()
    return -np.log(probabilities[np.arange(len(rows)), labels_of()[rows]]).mean()


def assert_weights_equal(model, other):
    for weights, expected in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(weights, expected)


def cross_validated_accuracy(activations, labels, folds=3):
    fold_of, correct = np.arange(len(labels)) // CLASSES % folds, 0
    for fold in range(folds):
        train, test = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        model = build()
        head.fit(model, activations, labels, rows=train, epochs=8, batch_size=BATCH, seed=fold)
        correct += (head.predict(model, activations[0][test]).argmax(1) == labels[test]).sum()
    return correct / len(labels)


def test_optimizers_are_those_of_the_settings_in_their_order():
    assert tuple(head.OPTIMIZERS) == get_args(settings.Optimizer)


@pytest.mark.parametrize("dropout", [0.0, 0.2, 0.5])
def test_layers_are_those_of_the_thesis_notebooks(dropout):
    hidden, normalization, *dropout_layers, scores = build(dropout=dropout).layers
    assert (hidden.units, hidden.activation.__name__) == (256, "relu")
    assert type(normalization) is keras.layers.BatchNormalization
    assert (normalization.momentum, normalization.epsilon) == (0.99, 1e-3), "Keras's defaults"
    assert [layer.rate for layer in dropout_layers] == ([dropout] if dropout else [])
    assert (scores.units, scores.activation.__name__) == (CLASSES, "softmax")


@pytest.mark.parametrize("optimizer", list(head.OPTIMIZERS))
def test_training_equals_keras_fit_on_the_same_batches(optimizer):
    """This includes dropout, whose masks depend on the layer's seed."""
    activations, labels = activations_of(2), labels_of()
    model, keras_model = build(optimizer, 0.5), build(optimizer, 0.5)
    history = fit(model, activations, epochs=3)
    keras_model.compile(keras_model.optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    rng = np.random.Generator(np.random.Philox(5))
    for epoch, view in enumerate((1, 2, 1)):
        rows = rng.permutation(ALL)
        fitted = keras_model.fit(activations[view][rows], labels[rows], batch_size=BATCH, shuffle=False, verbose=0)
        logs = fitted.history
        assert history["loss"][epoch] == pytest.approx(logs["loss"][0], rel=1e-4)
        assert history["accuracy"][epoch] == pytest.approx(logs["accuracy"][0])
    for weights, expected in zip(model.get_weights(), keras_model.get_weights(), strict=True):
        np.testing.assert_allclose(weights, expected, rtol=1e-3, atol=1e-4)


def test_moving_averages_are_trained_and_used_in_predictions():
    model, activations = build(), activations_of(1)
    fit(model, activations)
    normalization = model.get_layer("normalization")
    averages = [normalization.moving_mean.numpy(), normalization.moving_variance.numpy()]
    assert (averages[0] != 0).any() and (averages[1] != 1).any()
    before = head.predict(model, activations[0])
    normalization.moving_variance.assign(averages[1] * 4)
    assert (head.predict(model, activations[0]) != before).any()


@pytest.mark.parametrize(
    ("name", "kind", "decay"),
    [
        ("Adam", keras.optimizers.Adam, None),
        ("Nadam", keras.optimizers.Nadam, None),
        ("AdamW", keras.optimizers.AdamW, 0.03),
    ],
)
def test_optimizer_has_its_class_and_settings(name, kind, decay):
    optimizer = build(name, learning_rate=2e-4, weight_decay=0.03).optimizer
    assert type(optimizer) is kind
    assert optimizer.weight_decay == decay
    assert float(optimizer.learning_rate) == pytest.approx(2e-4)


def test_weight_decay_shrinks_the_trained_weights():
    activations, norms = activations_of(1), []
    for decay in (0.0, 5.0):
        model = build("AdamW", weight_decay=decay)
        fit(model, activations)
        norms.append(np.linalg.norm(model.get_layer("hidden").kernel))
    assert norms[1] < 0.9 * norms[0]


@pytest.mark.parametrize(("channels", "dropout"), [(8, 0.0), (8, 0.5), (1024, 0.2)])
def test_parameters_are_those_of_the_model(channels, dropout):
    assert head.parameters(channels, CLASSES) == build(dropout=dropout, channels=channels).count_params()


def test_initial_weights_do_not_depend_on_optimizer_and_dropout():
    assert_weights_equal(build("Adam", 0.0), build("Nadam", 0.5))
    assert (build(seed=1).get_layer("hidden").kernel.numpy() != build(seed=2).get_layer("hidden").kernel.numpy()).any()


def test_layers_and_heads_of_neighbouring_seeds_share_no_seed():
    heads = [build(dropout=0.5, seed=seed) for seed in (1, 2)]
    seeds = [head.get_layer(name).kernel_initializer.seed for head in heads for name in ("hidden", "scores")]
    assert len({*seeds, *(head.get_layer("dropout").seed for head in heads)}) == 6


def test_probabilities_are_float32_rows_that_sum_to_1():
    activations = activations_of(0)[0]
    probabilities = head.predict(build(dropout=0.5), activations)
    assert probabilities.dtype == np.float32 and probabilities.shape == (PHOTOS, CLASSES)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)


def test_dropout_is_off_in_predictions():
    activations = activations_of(0)[0]
    np.testing.assert_array_equal(
        head.predict(build(dropout=0.5), activations), head.predict(build(dropout=0.0), activations)
    )


def test_same_seed_gives_the_same_training_bit_for_bit():
    activations = activations_of(2)
    first, second, other = build(dropout=0.5), build(dropout=0.5), build(dropout=0.5)
    assert fit(first, activations) == fit(second, activations)
    np.testing.assert_array_equal(head.predict(first, activations[0]), head.predict(second, activations[0]))
    fit(other, activations, seed=6)
    assert (head.predict(first, activations[0]) != head.predict(other, activations[0])).any()


@pytest.mark.parametrize("optimizer", list(head.OPTIMIZERS))
def test_fold_after_another_fold_equals_the_single_fold_bit_for_bit(optimizer):
    activations = activations_of(2)
    head._program.cache_clear()  # as in a new process
    fit(build(optimizer, 0.5), activations, rows=ALL[:15])
    after = build(optimizer, 0.5)
    history_after = fit(after, activations, rows=ALL[5:])
    head._program.cache_clear()
    alone = build(optimizer, 0.5)
    assert fit(alone, activations, rows=ALL[5:]) == history_after
    assert_weights_equal(after, alone)
    for value, expected in zip(after.optimizer.variables, alone.optimizer.variables, strict=True):
        np.testing.assert_array_equal(value, expected)


@pytest.mark.parametrize("optimizer", list(head.OPTIMIZERS))
def test_folds_of_one_scenario_share_one_traced_program(optimizer):
    activations = activations_of(1)
    head._program.cache_clear()
    for fold in range(3):
        fit(build(optimizer, 0.5), activations, rows=np.delete(ALL, fold), epochs=1)
    assert head._program.cache_info().misses == 1, "tracing takes longer than training"


def test_new_head_does_not_depend_on_earlier_fits():
    activations, untouched = activations_of(1), build(dropout=0.5)
    trained = build(dropout=0.5)
    fit(trained, activations)
    built_after = build(dropout=0.5)
    assert_weights_equal(built_after, untouched)
    assert int(built_after.optimizer.iterations) == 0
    assert (trained.get_layer("hidden").kernel.numpy() != untouched.get_layer("hidden").kernel.numpy()).any()
    assert int(trained.optimizer.iterations) == 2 * 4, "2 epochs of 20 photos in batches of 6"


def test_epochs_cycle_through_the_augmented_views():
    activations, rows = activations_of(3), ALL[4:17]
    model = build(learning_rate=0.0)  # if the head does not learn, the loss identifies the view
    expected = [cross_entropy(model, activations[view], rows) for view in (1, 2, 3, 1, 2)]
    losses = head.fit(model, activations, labels_of(), rows=rows, epochs=5, batch_size=len(rows), seed=5)["loss"]
    np.testing.assert_allclose(losses, expected, rtol=1e-5)


def test_clean_view_and_photos_of_other_rows_are_not_trained_on():
    activations, rows = activations_of(2), ALL[::2]
    activations[0] = np.nan
    activations[:, 1::2] = np.nan
    model = build()
    history = fit(model, activations, rows, epochs=4)
    assert np.isfinite(history["loss"]).all()
    assert np.isfinite(head.predict(model, activations_of(0)[0])).all()


def test_history_has_loss_and_accuracy_of_each_epoch():
    history = fit(build(), activations_of(1), epochs=8)
    assert {name: len(values) for name, values in history.items()} == {"loss": 8, "accuracy": 8}
    assert history["loss"][-1] < history["loss"][0]
    assert all(type(value) is float for values in history.values() for value in values), "they go into JSON"


def test_true_labels_are_learnt_and_permuted_ones_are_not():
    labels = labels_of(150)
    centres = np.random.default_rng(1).normal(size=(CLASSES, CHANNELS))
    activations = (centres[labels] + 0.5 * activations_of(1, 150)).astype(np.float32)
    assert cross_validated_accuracy(activations, labels) > 0.9
    permuted = np.random.default_rng(2).permutation(labels)
    assert abs(cross_validated_accuracy(activations, permuted) - 1 / CLASSES) < 0.12


@pytest.mark.parametrize("learning_rate", [1e30, 1e38])
def test_diverging_training_raises(learning_rate):
    with pytest.raises(NotFiniteError, match="Training diverged: lower --learning-rate"):
        fit(build(learning_rate=learning_rate), activations_of(1))
