"""Fine-tuning of a backbone of three convolutions on tiny images; the code is the same for every backbone."""

import dataclasses
import io
import re
import zipfile

import h5py
import keras
import numpy as np
import pytest
import rich.console
from tiny_backbone import SCENARIO, fit, with_options

from components.base import artifacts, seeds, settings
from components.base.errors import PilahError
from components.models import assembly, backbones, checkpoints, finetuning
from pipeline import config as config_module
from pipeline import config_check, runner
from tuner import cross_validation, folds, predictions

pytest_plugins = ["finetuning_fixtures"]


def train(study, tmp_path, **changed):
    """Return (model, history) of `study` with changed settings."""
    return fit(dataclasses.replace(study, **changed), np.arange(40), tmp_path / "checkpoint")


def layer_values(model):
    return {
        f"{layer.name}/{variable.name}": variable.numpy().copy()
        for layer in model.get_layer(backbones.NETWORK).layers
        for variable in layer.variables
    }


def changed_weights(study, tmp_path):
    """Return the names of the backbone's weights that training changes."""
    before, after = layer_values(finetuning.build(study.recipe(SCENARIO))), layer_values(train(study, tmp_path)[0])
    return {name for name in before if (before[name] != after[name]).any()}


ALL_CONVOLUTIONS = {f"{stage}_conv/{kind}" for stage in ("low", "mid", "top") for kind in ("kernel", "bias")}
TOP_CONVOLUTION = {"top_conv/kernel", "top_conv/bias"}
TOP_BATCHNORM = {f"top_bn/{name}" for name in ("gamma", "beta", "moving_mean", "moving_variance")}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ALL_CONVOLUTIONS),
        ({"unfreeze": "top", "schedule": "cosine"}, TOP_CONVOLUTION),
        ({"unfreeze": "top", "batchnorm": "trained"}, TOP_CONVOLUTION | TOP_BATCHNORM),
        ({"unfreeze": "top2"}, {name for name in ALL_CONVOLUTIONS if not name.startswith("low")}),
        ({"warmup_epochs": 1, "balance": "weights"}, ALL_CONVOLUTIONS),
        ({"warmup_epochs": 3}, set()),
    ],
    ids=["all", "top", "top with BatchNorm", "top2", "all after a warm-up", "only warm-up"],
)
def test_only_unfrozen_layers_change_and_batchnorm_only_where_enabled(study, tmp_path, options, expected):
    assert changed_weights(with_options(study, **options), tmp_path) == expected


def test_killed_fold_resumes_at_its_last_epoch_with_the_same_result(study, tmp_path, monkeypatch):
    study, rows = with_options(study, warmup_epochs=1, schedule="cosine", batchnorm="trained"), np.arange(50)
    whole, history = fit(study, rows, tmp_path / "whole")
    started, batches = [], finetuning.batches

    def batches_until_killed(recipe, examples, rows, *, epoch, seed):
        started.append(epoch)
        if started in ([0, 1], [0, 1, 1, 2]):
            raise KeyboardInterrupt
        return batches(recipe, examples, rows, epoch=epoch, seed=seed)

    monkeypatch.setattr(finetuning, "batches", batches_until_killed)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            fit(study, rows, tmp_path / "broken")
    resumed, resumed_history = fit(study, rows, tmp_path / "broken")
    assert started == [0, 1, 1, 2, 2]
    assert resumed_history == history
    rows, photos = np.arange(50, 90), study.examples("Tiny").pixels
    np.testing.assert_array_equal(finetuning.predict(resumed, photos, rows), finetuning.predict(whole, photos, rows))


def test_killed_ensemble_repeats_no_epoch_and_has_the_same_result(study, tmp_path, monkeypatch):
    study, rows = with_options(study, ensemble=2), np.arange(50)
    whole, history = fit(study, rows, tmp_path / "whole")
    started, batches = [], finetuning.batches

    def batches_until_killed(recipe, examples, rows, *, epoch, seed):
        started.append((seed, epoch))
        if len(started) == 5:
            raise KeyboardInterrupt
        return batches(recipe, examples, rows, epoch=epoch, seed=seed)

    monkeypatch.setattr(finetuning, "batches", batches_until_killed)
    with pytest.raises(KeyboardInterrupt):
        fit(study, rows, tmp_path / "broken")
    assert checkpoints.progress(tmp_path / "broken")[0] == 4
    resumed, resumed_history = fit(study, rows, tmp_path / "broken")
    second = seeds.derive(7, seeds.MEMBER, 1)
    assert started == [(7, 0), (7, 1), (7, 2), (second, 0), (second, 1), (second, 1), (second, 2)]
    assert resumed_history == history
    rows, photos = np.arange(50, 90), study.examples("Tiny").pixels
    np.testing.assert_array_equal(finetuning.predict(resumed, photos, rows), finetuning.predict(whole, photos, rows))


def test_bfloat16_training_learns_and_returns_a_float32_model(study, tmp_path):
    rough = dataclasses.replace(study, finetuning=dataclasses.replace(study.finetuning, precision="bfloat16"))
    assert "bfloat16" in {layer.compute_dtype for layer in network_of(finetuning.build(rough.recipe(SCENARIO))).layers}
    model, history = train(rough, tmp_path)
    assert {layer.compute_dtype for layer in network_of(model).layers} == {"float32"}
    _, expected = fit(study, np.arange(40), tmp_path / "float32")
    # of the first epochs, because each step amplifies the rounding
    np.testing.assert_allclose(history["loss"][:2], expected["loss"][:2], rtol=0.2)
    is_correct = finetuning.predict(model, study.all_pixels(), np.arange(40)).argmax(axis=1) == study.labels[:40]
    assert is_correct.mean() > 0.5, "the weights were not copied"


def network_of(model):
    return model.get_layer(backbones.NETWORK)


def test_training_step_is_traced_once(study, tmp_path, monkeypatch):
    traced, train_step = [], keras.Model.train_step

    def recorded(model, data):
        traced.append(model)
        return train_step(model, data)

    monkeypatch.setattr(keras.Model, "train_step", recorded)
    train(with_options(study, unfreeze="top"), tmp_path)
    assert len(traced) == 1


def test_xla_compiles_steps_where_enabled_with_the_same_result(study, tmp_path):
    histories, scenario = {}, dataclasses.replace(SCENARIO, dropout=0.0)  # XLA draws other masks
    # with a low learning rate, so that training does not amplify the rounding
    slow = dataclasses.replace(study, finetuning=dataclasses.replace(study.finetuning, learning_rate=1e-3))
    for xla in (False, True):
        xla_study = with_options(slow, xla=xla, unfreeze="top")
        model = finetuning.build(xla_study.recipe(scenario))
        finetuning.prepare(model, model, xla_study.recipe(scenario), steps=3, epoch=0)
        assert model.jit_compile is xla
        _, histories[xla] = fit(
            xla_study, np.arange(32), tmp_path / str(xla), scenario
        )  # batches of one size, compiled once
    np.testing.assert_allclose(histories[True]["loss"], histories[False]["loss"], rtol=1e-3)


def test_cosine_schedule_rises_to_the_learning_rate_and_falls_to_0(study):
    recipe = dataclasses.replace(study.recipe(SCENARIO), epochs=5, options=settings.Finetuning(schedule="cosine"))
    rate = finetuning._learning_rate(recipe, steps=10)
    assert callable(rate)
    rates = [float(rate(step)) for step in range(51)]
    assert rates[0] == 0 and np.argmax(rates) == 5 and rates[5] == pytest.approx(1e-2)
    assert rates[50] == pytest.approx(0, abs=1e-9)


def test_gradients_above_the_clip_norm_are_scaled_and_smaller_ones_unchanged(study, tmp_path):
    """Adam normalizes gradients, so that only gradients far below its epsilon of 1e-7 give smaller steps."""

    def weights_of(model):
        return [variable.numpy() for variable in model.variables if not re.search("moving|seed", variable.path)]

    start = weights_of(finetuning.build(study.recipe(SCENARIO)))
    ends = {
        norm: weights_of(train(with_options(study, clip_norm=norm, unfreeze="top"), tmp_path / str(norm))[0])
        for norm in (None, 1e6, 1e-12)
    }
    for initial, free, wide, tight in zip(start, ends[None], ends[1e6], ends[1e-12], strict=True):
        np.testing.assert_allclose(wide, free, atol=1e-4)
        np.testing.assert_allclose(tight, initial, atol=1e-4)
    assert any(np.abs(free - initial).max() > 1e-2 for initial, free in zip(start, ends[None], strict=True))


def test_balanced_weights_give_every_class_equal_weight(study):
    study, rows = with_options(study, balance="weights"), np.array([0, 1, 2, 3, 6])
    batches = finetuning.batches(study.recipe(SCENARIO), study.examples("Tiny"), rows, epoch=0, seed=7)
    ((_, targets, weights),) = batches.as_numpy_iterator()
    np.testing.assert_allclose(targets.T @ weights, [5 / 3] * 3, rtol=1e-6)


def test_oversampling_draws_every_class_equally_often(study):
    study, rows = with_options(study, balance="oversampling"), np.array([1, *range(0, 87, 3)])  # 1 metal to 29 glass
    batches = finetuning.batches(study.recipe(SCENARIO), study.examples("Tiny"), rows, epoch=0, seed=7)
    _, targets, weights = (np.concatenate(parts) for parts in zip(*batches.as_numpy_iterator(), strict=True))
    assert len(targets) == len(rows) and (weights == 1).all()
    assert 5 < targets[:, 1].sum() < 25 and targets.sum() == len(rows)


def test_batches_shuffle_rows_in_each_epoch(study):
    rows, recipe, examples = np.arange(20, 50), study.recipe(SCENARIO), study.examples("Tiny")
    grey = np.arange(90, dtype=np.uint8)[:, np.newaxis, np.newaxis, np.newaxis]
    examples = dataclasses.replace(examples, pixels=np.broadcast_to(grey, examples.pixels.shape))  # pixel = row
    batches_of_epochs = [
        list(finetuning.batches(recipe, examples, rows, epoch=epoch, seed=7).as_numpy_iterator()) for epoch in (0, 1, 0)
    ]
    orders = [np.concatenate([batch[:, 0, 0, 0] for batch, _, _ in epoch]).tolist() for epoch in batches_of_epochs]
    assert sorted(orders[0]) == sorted(orders[1]) == rows.tolist()
    assert orders[0] != orders[1] and orders[0] == orders[2]
    labels = np.concatenate([targets for _, targets, _ in batches_of_epochs[0]]).argmax(axis=1)
    assert labels.tolist() == examples.labels[orders[0]].tolist()


def test_each_epoch_has_its_own_augmented_view(study):
    examples = study.examples("Tiny")
    noise = np.random.default_rng(1).integers(0, 256, examples.pixels.shape, np.uint8)
    examples = dataclasses.replace(examples, pixels=noise)
    first, second, again = (
        next(
            finetuning.batches(study.recipe(SCENARIO), examples, np.array([5]), epoch=epoch, seed=7).as_numpy_iterator()
        )
        for epoch in (0, 1, 0)
    )
    assert (first[0] != second[0]).any() and (first[0] == again[0]).all()


def test_fold_is_trained_only_on_the_photos_of_other_folds(study, tmp_path, monkeypatch):
    trained_rows = []

    def stopped_fit(recipe, examples, rows, **options):
        trained_rows.append(rows.tolist())
        raise KeyboardInterrupt

    monkeypatch.setattr(finetuning, "fit", stopped_fit)
    for fold in range(study.folds):
        with pytest.raises(KeyboardInterrupt):
            folds.train(study, SCENARIO, [fold], tmp_path / str(fold))
    photos = list(enumerate(study.photo_list))
    assert trained_rows == [[row for row, photo in photos if photo.fold != fold] for fold in range(study.folds)]


def test_true_labels_are_learnt_and_permuted_labels_score_at_chance(study, tmp_path):
    study = dataclasses.replace(study, epochs=30, batch_size=8)  # enough steps for the moving averages to settle
    folds.train(study, SCENARIO, [0], tmp_path / "true")
    assert accuracy(tmp_path / "true" / "fold-1.csv") > 0.7
    labels = np.random.default_rng(2).permutation([photo.label for photo in study.photo_list])
    relabelled = zip(study.photo_list, labels.tolist(), strict=True)
    permuted = [dataclasses.replace(photo, label=label) for photo, label in relabelled]
    study = dataclasses.replace(study, photo_list=permuted)
    cross_validation.search(study, [SCENARIO], tmp_path, processes=1, progress=lambda done, total: None)
    test_accuracy, files = accuracy(tmp_path / "01" / "predictions.csv"), sorted((tmp_path / "01").glob("fold-*.json"))
    assert test_accuracy < 1 / 3 + 3 * np.sqrt(1 / 3 * 2 / 3 / len(permuted))
    training_accuracy = np.mean([artifacts.read_json(file)["history"]["accuracy"][-1] for file in files])
    assert training_accuracy > test_accuracy, "the model does not overfit, so that the test cannot detect a leak"


def test_resumed_search_counts_epochs_and_seconds_of_earlier_starts(study, tmp_path):
    calls, checkpoint = [], tmp_path / "01" / "fold-2.0.npz"
    study = dataclasses.replace(study, epochs=2)

    def progress(done, total):
        calls.append((done, total))
        if done == 3 and calls.count((3, 4)) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cross_validation.search(study, [SCENARIO], tmp_path, processes=1, progress=progress)
    with np.load(checkpoint) as saved:
        np.savez(checkpoint, **{**saved, "seconds": saved["seconds"] + 1000})
    cross_validation.search(study, [SCENARIO], tmp_path, processes=1, progress=progress)
    assert sorted(set(calls)) == [(done, 4) for done in range(1, 5)]
    assert calls[-1] == (4, 4) and calls[calls.index((3, 4)) + 1] != (1, 4)
    assert artifacts.read_json(tmp_path / "01" / "fold-2.json")["seconds"] > 1000


def accuracy(path):
    saved = predictions.read(path)
    return np.mean(saved.actual == saved.predicted)


def test_finished_fold_removes_its_checkpoint_and_changed_options_clear_the_scenario(study, tmp_path):
    study, first_fold = with_options(study, unfreeze="top"), {"settings.json", "fold-1.csv", "fold-1.json"}
    study = dataclasses.replace(study, epochs=1)
    folds.reset_if_settings_changed(study, SCENARIO, tmp_path)
    folds.train(study, SCENARIO, [0], tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == first_fold
    (tmp_path / "fold-2.csv").touch()
    smoothed = with_options(study, unfreeze="top", label_smoothing=0.1)
    folds.reset_if_settings_changed(smoothed, SCENARIO, tmp_path)
    folds.train(smoothed, SCENARIO, [0], tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == first_fold


@pytest.mark.parametrize("options", [{}, {"ensemble": 2}, {"ensemble": 2, "unfreeze": "top"}], ids=str)
def test_saved_model_has_no_optimizer_and_predicts_the_same(study, tmp_path, options):
    model, _ = train(with_options(study, **options), tmp_path, epochs=1)
    assembly.save(assembly.without_optimizer(model), tmp_path / "model.keras")
    loaded, photos, rows = assembly.load(tmp_path / "model.keras"), study.examples("Tiny").pixels, np.arange(9)
    np.testing.assert_allclose(
        finetuning.predict(loaded, photos, rows), finetuning.predict(model, photos, rows), atol=1e-6
    )
    with zipfile.ZipFile(tmp_path / "model.keras") as archive, h5py.File(archive.open("model.weights.h5")) as weights:
        names: list[str] = []
        weights.visit(names.append)
    assert any("conv" in name for name in names) and not any("optimizer" in name for name in names)


def test_warmup_as_long_as_training_raises(tmp_path):
    settings = config_module.Config(tmp_path, strategy="finetune", warmup_epochs=10)
    with pytest.raises(PilahError, match=r"--epochs, which is 10 \(got 10\)\."):
        config_check.check(settings)


def test_unneeded_stage_is_skipped_and_leaves_no_mark(tmp_path):
    stage = runner.Stage("features", lambda config: {}, lambda config: (), lambda config, report: pytest.fail("ran"))
    runner.run(stage, config_module.Config(tmp_path, strategy="finetune"), rich.console.Console(file=io.StringIO()))
    assert runner.read(tmp_path, "features") is None
