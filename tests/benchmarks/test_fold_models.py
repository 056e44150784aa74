"""The models that answer the photos of one fold, of a run with a backbone of three convolutions."""

import dataclasses

import numpy as np
import pytest
import tiny_backbone

from benchmarks import fold_models, shifts
from components.base import artifacts, seeds
from components.base.errors import PilahError
from components.data import augmentation, pixels
from components.models import extraction, features, typicality
from pipeline import config as config_module
from pipeline import run_folder
from tuner import folds, predictions, trial_folder
from tuner.scenarios import Scenario

pytest_plugins = ["finetuning_fixtures"]
FOLD = 1
FROZEN = Scenario(1, tiny_backbone.TINY, "Adam", 0.2, "features")


@pytest.fixture
def config(study, tmp_path):
    """Return the configuration of a run in `tmp_path` with features, their typicality and invented predictions."""
    config = dataclasses.replace(
        config_module.of_profile("demo", tmp_path), image_size_px=16, random_weights=True, seed=3, engine="tensorflow"
    )
    source = extraction.Source(
        study.finetuning.records, [photo.id for photo in study.photo_list], augmentation.Augmentation(5)
    )
    network = extraction.Network("Tiny", study.finetuning.weights["Tiny"], 16, "tensorflow", "float32")
    extraction.extract(
        tmp_path / "features" / "Tiny", source, network, views=1, test_views=1, progress=lambda done, total: None
    )
    rng, count = np.random.default_rng(1), len(study.photo_list)
    probabilities = rng.dirichlet(np.ones(3), count)
    predictions.write(tmp_path / run_folder.predictions(1), study.photo_list, probabilities, study.classes)
    embedding = artifacts.read_array(features.view_path(tmp_path / "features" / "Tiny", 0))
    write_array(tmp_path / run_folder.EMBEDDING, embedding)
    distances = typicality.held_out([embedding] * study.folds, study.labels, study.fold_of)
    write_array(tmp_path / run_folder.DISTANCES, distances)
    return config


@pytest.fixture
def frozen_study(study, config):
    return dataclasses.replace(study, features_dir=config.run_dir / "features", views=1)


def write_array(path, values):
    with artifacts.writing_array(path, values.shape, values.dtype) as write:
        write(values)


def answers(model, study):
    rows = np.flatnonzero(study.fold_of == FOLD)
    photos = pixels.load(study.finetuning.records, [photo.id for photo in study.photo_list])[rows]
    return model.answers(np.concatenate(list(model.forward([photos[:20], photos[20:]]))), rows)


def test_frozen_model_has_the_scores_of_the_head_that_was_not_trained_on_the_fold(config, frozen_study):
    expected = folds.train_head(frozen_study, FROZEN, FOLD)[1]
    tested = answers(fold_models.build(config, frozen_study, FROZEN, FOLD), frozen_study)
    np.testing.assert_allclose(tested.scores, expected, atol=1e-4)
    assert tested.in_set.shape == expected.shape and tested.in_set.any(axis=1).all()
    assert tested.typicality.min() >= 0 and tested.typicality.max() <= 1


def test_sets_and_typicality_do_not_depend_on_what_the_run_knows_of_the_fold(config, frozen_study):
    before = answers(fold_models.build(config, frozen_study, FROZEN, FOLD), frozen_study)
    in_fold = frozen_study.fold_of == FOLD
    for path, value in ((run_folder.DISTANCES, 1e6), (run_folder.EMBEDDING, 7.0)):
        values = artifacts.read_array(config.run_dir / path).copy()
        values[in_fold] = value
        write_array(config.run_dir / path, values)
    saved = predictions.read(config.run_dir / run_folder.predictions(1)).probabilities
    saved[in_fold] = (1, 0, 0)
    predictions.write(config.run_dir / run_folder.predictions(1), frozen_study.photo_list, saved, frozen_study.classes)
    after = answers(fold_models.build(config, frozen_study, FROZEN, FOLD), frozen_study)
    np.testing.assert_array_equal(after.in_set, before.in_set)
    np.testing.assert_array_equal(after.typicality, before.typicality)


def test_fine_tuned_model_without_its_checkpoint_is_refused_in_one_line(config, study):
    with pytest.raises(
        PilahError, match=r"fold-2\.0\.npz must hold the model of fold 2 after 3 epochs \(got 0\)"
    ) as error:
        fold_models.build(config, study, tiny_backbone.SCENARIO, FOLD)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("unfreeze", ["all", "top"])
def test_fine_tuned_model_is_that_of_the_last_checkpoint(unfreeze, config, study, tmp_path):
    config = dataclasses.replace(config, unfreeze=unfreeze)
    study = tiny_backbone.with_options(study, unfreeze=unfreeze)
    folder = trial_folder.path(config.run_dir / run_folder.TRIALS, 1)
    rows, seed = np.flatnonzero(study.fold_of != FOLD), seeds.derive(study.seed, seeds.FOLD, FOLD)
    examples, checkpoint = study.examples("Tiny"), trial_folder.fold_checkpoint(folder, FOLD)
    trained, _ = fold_models.finetuning.fit(
        study.recipe(tiny_backbone.SCENARIO), examples, rows, seed=seed, checkpoint=checkpoint
    )
    write_array(trial_folder.fold_embedding(folder, FOLD), artifacts.read_array(config.run_dir / run_folder.EMBEDDING))
    if unfreeze == "top":  # the layers below have 8 channels
        embedding = np.random.default_rng(1).random((len(study.labels), 8)).astype(np.float32)
        write_array(config.run_dir / run_folder.EMBEDDING, embedding)
    tested = answers(fold_models.build(config, study, tiny_backbone.SCENARIO, FOLD), study)
    expected = fold_models.finetuning.predict(trained, examples.pixels, np.flatnonzero(study.fold_of == FOLD))
    np.testing.assert_allclose(tested.scores, expected, atol=1e-4)


def test_sample_has_photos_of_all_classes_of_the_fold_alone(study):
    rows = shifts.sampled(study, FOLD, 9)
    assert set(study.fold_of[rows]) == {FOLD} and len(set(rows)) == 9
    assert np.bincount(study.labels[rows]).tolist() == [3, 3, 3]
