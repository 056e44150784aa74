import numpy as np
import pytest

from components.models import typicality

CHANNELS = 24


def photos_of_classes(count=600, seed=1, classes=3):
    """Return activations of three classes that differ in their means, their labels and folds."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    means = np.random.default_rng(0).uniform(1, 3, (classes, CHANNELS))
    activations = np.maximum(rng.normal(means[labels], 0.3), 0).astype(np.float32)
    return activations, labels, np.arange(count) // classes % 5


def test_held_out_photos_have_uniform_typicality():
    activations, labels, fold = photos_of_classes()
    distances = typicality.held_out([activations] * 5, labels, fold)
    values = typicality.cross_fitted(distances, fold)
    assert values.min() >= 0 and values.max() <= 1
    for share in (0.01, 0.1, 0.5):
        assert (values < share).mean() == pytest.approx(share, abs=0.03)


def test_photos_unlike_every_class_are_untypical():
    activations, labels, fold = photos_of_classes()
    references = typicality.references(typicality.held_out([activations] * 5, labels, fold))
    distance = typicality.fit(activations, labels)
    others = np.random.default_rng(2).permuted(activations[:50], axis=1)
    assert typicality.of(distance(others), references).max() < 0.01
    new, _, _ = photos_of_classes(seed=9)
    assert np.median(typicality.of(distance(new), references)) == pytest.approx(0.5, abs=0.1)


def test_brightness_of_all_activations_does_not_count():
    activations, labels, _ = photos_of_classes()
    distance = typicality.fit(activations, labels)
    np.testing.assert_allclose(distance(4 * activations), distance(activations), rtol=1e-3)


def test_activations_that_are_all_0_have_a_distance():
    activations, labels, _ = photos_of_classes()
    assert np.isfinite(typicality.fit(activations, labels)(np.zeros((1, CHANNELS), np.float32))).all()


def test_negative_activations_keep_their_sign():
    values = typicality.transformed(np.array([[-4.0, 9.0]]))
    np.testing.assert_allclose(values, [[-2 / 13**0.5, 3 / 13**0.5]])


def test_class_that_a_fold_does_not_have_is_left_out():
    activations, labels, fold = photos_of_classes(count=60)
    fold = np.where(labels == 2, 0, fold)  # all photos of class 2 are tested in fold 0
    distances = typicality.held_out([activations] * 5, labels, fold)
    assert distances[labels == 2].min() > np.median(distances[labels != 2])


def test_each_fold_uses_the_embedding_of_its_own_model():
    activations, labels, fold = photos_of_classes()
    shuffled = np.random.default_rng(5).permuted(activations, axis=1)
    mixed = typicality.held_out([activations, shuffled, activations, activations, activations], labels, fold)
    same = typicality.held_out([activations] * 5, labels, fold)
    np.testing.assert_array_equal(mixed[fold != 1], same[fold != 1])
    assert (mixed[fold == 1] != same[fold == 1]).all()


def test_references_of_many_photos_are_thinned_without_changing_typicality(monkeypatch):
    distances = np.random.default_rng(3).chisquare(5, 5000)
    exact = typicality.of(distances[:500], typicality.references(distances))
    monkeypatch.setattr(typicality, "MAX_REFERENCES", 400)
    thinned = typicality.references(distances)
    assert len(thinned) == 400
    np.testing.assert_allclose(typicality.of(distances[:500], thinned), exact, atol=5e-3)
