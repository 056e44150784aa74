"""Heat maps of a small network that learns which of two colours an object on a grey background has."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny_backbone
from scipy import stats

from components.base import settings
from components.models import anatomy, assembly, backbones, finetuning, heatmap, tta

SIZE_PX, OBJECT_PX = 64, 20
COLOURS = np.array([[200, 60, 60], [60, 60, 200]])
WEIGHTS = backbones.Weights(None, seed=3)


def photos(count, seed):
    """Return photos of a square in the colour of its class on noise, classes, and the corner of each square."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(90, 170, (count, SIZE_PX, SIZE_PX, 3))
    classes, corners = np.arange(count) % 2, rng.integers(0, SIZE_PX - OBJECT_PX, (count, 2))
    for photo, (y, x), number in zip(pixels, corners, classes, strict=True):
        photo[y : y + OBJECT_PX, x : x + OBJECT_PX] = COLOURS[number] + rng.integers(-20, 20, (OBJECT_PX, OBJECT_PX, 3))
    return pixels.astype(np.uint8), classes, corners


def recipe(unfreeze="all", ensemble=1, seed=1):
    return finetuning.Recipe(
        backbone=tiny_backbone.TINY,
        weights=WEIGHTS,
        image_size_px=SIZE_PX,
        classes=2,
        optimizer="Adam",
        dropout=0.2,
        learning_rate=1e-2,
        weight_decay=0.0,
        epochs=1,
        batch_size=32,
        seed=seed,
        options=settings.Finetuning(unfreeze=unfreeze, ensemble=ensemble),
    )


@pytest.fixture(scope="module", autouse=True)
def tiny():
    with tiny_backbone.known():
        yield


@pytest.fixture(scope="module")
def trained(tiny):
    """A model that tells the colours apart."""
    model = finetuning.build(recipe())
    model.get_layer(backbones.NETWORK).trainable = True
    pixels, classes, _ = photos(512, seed=1)
    model.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy")
    model.fit(pixels, classes, batch_size=32, epochs=6, shuffle=False, verbose=0)
    held_out, actual, _ = photos(100, seed=2)
    assert (model.predict(held_out, verbose=0).argmax(axis=1) == actual).mean() > 0.95
    return model


def share_on_object(heatmaps, corners):
    """Return the mean share of the heat that lies on the square, when a map is stretched over its photo."""
    cell = SIZE_PX / heatmaps.shape[1]
    centres = (np.arange(heatmaps.shape[1]) + 0.5) * cell
    shares = []
    for heat, (y, x) in zip(heatmaps, corners, strict=True):
        rows, columns = (np.abs(centres - start - OBJECT_PX / 2) <= OBJECT_PX / 2 + cell / 2 for start in (y, x))
        shares.append(heat[np.ix_(rows, columns)].sum() / heat.sum())
    return np.mean(shares)


def test_heat_lies_on_the_object(trained):
    pixels, _, corners = photos(60, seed=3)
    heatmaps = heatmap.grad_cam(trained)(tf.constant(pixels)).numpy()
    elsewhere = np.random.default_rng(0).permutation(corners)
    # with five seeds, 0.58 to 0.92 on the object, and 0.27 to 0.35 where another photo has it
    assert share_on_object(heatmaps, corners) > 0.5 > 1.4 * share_on_object(heatmaps, elsewhere)


def test_heat_map_changes_when_weights_are_randomized(trained):
    """The model parameter randomization test of Adebayo et al. 2018, "Sanity checks for saliency maps"."""
    pixels, _, _ = photos(40, seed=3)
    random = finetuning.build(recipe(seed=8))
    before, after = (heatmap.grad_cam(model)(tf.constant(pixels)).numpy() for model in (trained, random))
    correlations = [stats.spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(before, after, strict=True)]
    assert np.nanmean(np.abs(correlations)) < 0.5


def test_maps_of_two_classes_differ(trained):
    pixels, classes, _ = photos(20, seed=3)
    explain = heatmap.grad_cam(trained)
    actual, other = (explain(tf.constant(pixels), tf.constant(number)).numpy() for number in (classes, 1 - classes))
    np.testing.assert_array_equal(actual, explain(tf.constant(pixels)).numpy())
    assert np.abs(actual - other).mean() > 0.05


def test_map_equals_grad_cam_by_the_gradient_of_the_maps(trained):
    pixels, classes, _ = photos(4, seed=3)
    network, head = trained.get_layer(backbones.NETWORK), trained.get_layer(anatomy.HEAD)
    maps = network(tf.cast(pixels, tf.float32) / 127.5 - 1, training=False)
    with tf.GradientTape() as tape:
        tape.watch(maps)
        scores = head(tf.reduce_mean(maps, axis=[1, 2]), training=False)
        # the logits of two classes are the logarithms of the scores but for a constant of the photo
        logits = tf.math.log(scores) - tf.math.log(scores)[:, ::-1]
        of_class = tf.gather(logits, classes, axis=1, batch_dims=1)
    weights = tf.reduce_mean(tape.gradient(of_class, maps), axis=[1, 2])
    by_difference = tf.nn.relu(tf.einsum("nhwc,nc->nhw", maps, weights)).numpy()
    ours = heatmap.grad_cam(trained)(tf.constant(pixels), tf.constant(classes)).numpy()
    assert ours.shape == by_difference.shape
    for a, b in zip(ours, by_difference, strict=True):
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.8


@pytest.mark.parametrize(
    ("unfreeze", "ensemble", "views"),
    [("all", 1, 1), ("top", 1, 1), ("top2", 1, 2), ("all", 2, 1), ("top", 2, 2), ("top2", 2, 1)],
)
def test_every_kind_of_model_has_its_scores_an_embedding_and_a_map(unfreeze, ensemble, views, tmp_path):
    options = recipe(unfreeze, ensemble)
    members = [finetuning.build(dataclasses.replace(options, seed=number)) for number in range(1, ensemble + 1)]
    assembly.save(tta.averaged(finetuning._averaged(members, options), views), tmp_path / "model.keras")
    model = assembly.load(tmp_path / "model.keras")
    pixels, _, _ = photos(3, seed=4)
    below = None if unfreeze == "all" else unfreeze
    scores, embedding = anatomy.with_embedding(model, tiny_backbone.TINY, below, views)(pixels, training=False)
    np.testing.assert_allclose(scores, model(pixels, training=False), atol=1e-6)
    assert embedding.shape == (3, 16 if below is None else 8)
    alone = anatomy.embedding(model, tiny_backbone.TINY, below)(pixels, training=False)
    np.testing.assert_allclose(embedding, alone, atol=1e-6)
    assert heatmap.grad_cam(model)(tf.constant(pixels)).shape == (3, 7, 7)
