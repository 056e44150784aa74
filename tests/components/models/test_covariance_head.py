"""A covariance head classifies second moments of frozen activations, also in one model with fine-tuned ones."""

import dataclasses

import numpy as np
import pytest
import scipy.special
import tensorflow as tf
from sklearn.linear_model import Ridge
from sklearn.utils.class_weight import compute_sample_weight
from tiny_backbone import OTHER, SCENARIO, TINY, fit, with_options

from components.models import anatomy, assembly, backbones, checkpoints, covariance_head, finetuning, heatmap

pytest_plugins = ["finetuning_fixtures"]
SHAPE = 5, 4, 6
TRAINED, TESTED = np.arange(60), np.arange(60, 90)


@pytest.fixture
def activations():
    rng = np.random.default_rng(1)
    mixing = rng.normal(size=(6, 6))
    return (rng.normal(size=(90, *SHAPE)) @ mixing + 3).astype(np.float16)


@pytest.fixture
def frozen_study(study, tmp_path):
    study = with_options(study, unfreeze="top", ensemble=0, covariance_top=(TINY,))
    tuning = dataclasses.replace(study.finetuning, frozen_activations_dir=tmp_path / "trunk", learning_rate=1e-3)
    return dataclasses.replace(study, finetuning=tuning, epochs=10)


def test_activations_of_training_photos_are_whitened(activations):
    head = covariance_head.untrained(SHAPE, 3)
    covariance_head.whiten(head, activations, TRAINED)
    white = np.asarray(head.get_layer(anatomy.WHITENING)(activations[TRAINED].astype(np.float32))).reshape(-1, 6)
    np.testing.assert_allclose(white.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(np.cov(white.T), np.eye(6), atol=1e-2)


def test_scores_are_of_the_second_moments_scaled_to_the_same_length(activations):
    head = covariance_head.untrained(SHAPE, 3)
    covariance_head.whiten(head, activations, TRAINED)
    kernel = np.random.default_rng(2).normal(size=(36, 3)).astype(np.float32)
    head.get_layer(anatomy.HEAD).set_weights([kernel, np.zeros(3, np.float32)])
    (weights, bias), some = head.get_layer(anatomy.WHITENING).get_weights(), activations[:4].astype(np.float32)
    white = some.reshape(4, 20, 6) @ weights[0, 0] + bias
    products = np.einsum("npi,npj->nij", white, white).reshape(4, 36)
    logits = products / np.linalg.norm(products, axis=1, keepdims=True) @ kernel
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(head.predict(activations[:4], verbose=0), expected, atol=1e-4)


def test_constant_activations_have_finite_scores():
    head = covariance_head.untrained(SHAPE, 3)
    covariance_head.whiten(head, np.ones((10, *SHAPE), np.float16), np.arange(10))
    assert np.isfinite(head.predict(np.ones((2, *SHAPE), np.float16), verbose=0)).all()


def test_no_more_components_than_channels_and_no_fewer_than_the_most_varied(activations, monkeypatch):
    monkeypatch.setattr(covariance_head, "COMPONENTS", 2)
    head = covariance_head.untrained(SHAPE, 3)
    covariance_head.whiten(head, activations, TRAINED)
    weights, _ = head.get_layer(anatomy.WHITENING).get_weights()
    flat = activations[TRAINED].reshape(-1, 6).astype(np.float64)
    largest = np.linalg.eigh(np.cov(flat.T))[1][:, -2:]
    directions = weights[0, 0] / np.linalg.norm(weights[0, 0], axis=0)
    np.testing.assert_allclose(np.abs((directions * largest).sum(axis=0)), 1, atol=1e-3)


def test_classes_that_differ_only_in_their_correlations_are_told_apart():
    rng, labels = np.random.default_rng(3), np.arange(90) % 2
    first, second, third = rng.normal(size=(3, 90, 5, 4))
    activations = np.stack([first, np.where(labels[:, None, None], first, second), third], axis=-1).astype(np.float16)
    head, scores = covariance_head.fit(activations, labels, rows=TRAINED, classes=2)
    predicted = head.predict(activations[TESTED], verbose=0).argmax(axis=1)
    assert (predicted == labels[TESTED]).all() and scores["accuracy"] == 1
    permuted, _ = covariance_head.fit(activations, rng.permutation(labels), rows=TRAINED, classes=2)
    predicted = permuted.predict(activations[TESTED], verbose=0).argmax(axis=1)
    assert 0.2 < np.mean(predicted == labels[TESTED]) < 0.8


@pytest.mark.parametrize("is_balanced", [False, True])
def test_scores_are_those_of_ridge_regressions_of_the_pooled_activations(activations, is_balanced, monkeypatch):
    monkeypatch.setattr(covariance_head, "BLOCK", 7)
    labels = np.minimum(np.arange(90) % 5, 2)
    head, _ = covariance_head.fit(activations, labels, rows=TRAINED, classes=3, is_balanced=is_balanced)
    pooling = anatomy.pooling(head)
    pooled = pooling.predict(activations[TRAINED], verbose=0)
    targets = np.eye(3)[labels[TRAINED]] * 2 - 1
    weights = compute_sample_weight("balanced" if is_balanced else None, targets.argmax(axis=1))
    ridge = Ridge(alpha=covariance_head.PENALTY).fit(pooled, targets, weights)
    expected = scipy.special.softmax(
        covariance_head.SHARPNESS * ridge.predict(pooling.predict(activations[TESTED], verbose=0)), axis=1
    )
    np.testing.assert_allclose(head.predict(activations[TESTED], verbose=0), expected, atol=1e-4)


def fitted(study, tmp_path, activations=None):
    """Return model, history and the scores of each member for the tested photos."""
    recipe, examples = study.recipe(SCENARIO), study.examples(TINY)
    activations = activations or study.covariance_activations()
    model, history = finetuning.fit(
        recipe, examples, TRAINED, seed=7, checkpoint=tmp_path / "state", covariance_activations=activations
    )
    return model, history, finetuning.predict_members(model, recipe, TESTED, examples, activations)


def test_it_learns_and_the_served_model_gives_the_scores_of_the_frozen_activations(frozen_study, tmp_path):
    model, history, (scores,) = fitted(frozen_study, tmp_path)
    assert 0.4 < history["accuracy"][0] <= 1 and history["loss"][0] > 0
    assembly.save(model, tmp_path / "model.keras")
    served = finetuning.predict(assembly.load(tmp_path / "model.keras"), frozen_study.all_pixels(), TESTED)
    np.testing.assert_allclose(served, scores, atol=2e-3)


def test_tested_photos_have_no_influence(frozen_study, tmp_path):
    ((of_head, (view,)),) = frozen_study.covariance_activations().items()
    changed = np.array(view)
    changed[TESTED] = 100
    before, *_ = fitted(frozen_study, tmp_path / "before")
    after, *_ = fitted(frozen_study, tmp_path / "after", {of_head: [changed]})
    for weights, others in zip(before.get_weights(), after.get_weights(), strict=True):
        np.testing.assert_array_equal(weights, others)


def test_finished_head_is_restored_from_its_checkpoint(frozen_study, tmp_path, monkeypatch):
    expected, history, _ = fitted(frozen_study, tmp_path)
    assert checkpoints.progress(tmp_path / "state")[0] == frozen_study.epochs_of_finetuning == 1
    monkeypatch.setattr(covariance_head, "fit", pytest.fail)
    recipe, examples = frozen_study.recipe(SCENARIO), frozen_study.examples(TINY)
    restored, history_again = finetuning.fit(recipe, examples, TRAINED, seed=7, checkpoint=tmp_path / "state")
    assert history_again == history
    for before, after in zip(expected.get_weights(), restored.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_scores_of_a_fine_tuned_model_and_a_covariance_head_are_averaged(frozen_study, tmp_path):
    alone = with_options(frozen_study, unfreeze="top")
    both = with_options(frozen_study, unfreeze="top", covariance_top=(TINY,), covariance_top2=(TINY,))
    fine_tuned, _ = fit(alone, TRAINED, tmp_path / "alone")
    *_, (head,) = fitted(frozen_study, tmp_path / "head")
    model, _, members = fitted(both, tmp_path / "both")
    np.testing.assert_allclose(members[0], finetuning.predict(fine_tuned, alone.all_pixels(), TESTED), atol=2e-3)
    np.testing.assert_allclose(members[1], head, atol=1e-5)
    assert min(np.abs(members[1] - members[0]).max(), np.abs(members[2] - members[1]).max()) > 0.02
    served = finetuning.predict(model, frozen_study.all_pixels(), TESTED)
    np.testing.assert_allclose(served, np.mean(members, axis=0), atol=2e-3)


def convolutions(model):
    """Return how many convolutions run for a batch."""
    concrete = tf.function(model).get_concrete_function(tf.TensorSpec(model.input_shape, tf.uint8))
    return sum(operation.type == "Conv2D" for operation in concrete.graph.get_operations())


def test_heads_of_several_backbones_are_averaged_each_on_its_own_layers(frozen_study, tmp_path):
    """The second backbone is the first one with other random weights."""
    weights = {TINY: backbones.Weights(None, seed=3), OTHER: backbones.Weights(None, seed=9)}
    tuning = dataclasses.replace(frozen_study.finetuning, weights=weights, engines=dict.fromkeys(weights, "tensorflow"))
    study = with_options(
        dataclasses.replace(frozen_study, finetuning=tuning),
        unfreeze="top",
        ensemble=0,
        covariance_top=(OTHER, TINY),
        covariance_top2=(TINY,),
    )
    model, _, members = fitted(study, tmp_path)
    assert min(np.abs(members[first] - members[second]).max() for first, second in [(0, 1), (0, 2), (1, 2)]) > 0.02
    assembly.save(model, tmp_path / "model.keras")
    loaded = assembly.load(tmp_path / "model.keras")
    served = finetuning.predict(loaded, study.all_pixels(), TESTED)
    np.testing.assert_allclose(served, members.mean(axis=0), atol=2e-3)
    photos = study.all_pixels()[TESTED]
    with_embedding = anatomy.with_embedding(loaded, TINY, "top", 1)
    scores, embedding = with_embedding(photos, training=False)
    assert convolutions(with_embedding) == convolutions(loaded) == 2 * 2 + 3  # below the last stage, and whitening
    np.testing.assert_allclose(scores, served, atol=1e-5)
    assert embedding.shape == (30, 8)
    assert heatmap.grad_cam(loaded)(tf.constant(photos)).shape == (30, 3, 3)
