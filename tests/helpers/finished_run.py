"""Write the run folder of a finished run without training: four scenarios with invented predictions on tiny photos."""

import dataclasses
import pathlib
from typing import Any

import numpy as np
import photo_files

from components.audit import evaluation, tables
from components.base import artifacts, finding_types, settings
from components.base.answers import Answers
from components.data import feature_settings, listing, near_duplicates, photos
from components.models import prediction_sets, typicality
from pipeline import config as config_module
from pipeline import recipe, resolved_settings
from pipeline.stages import calibration
from tuner import choose, predictions, scenarios

CLASSES = ["glass", "metal", "paper & foil"]
FOLDS, EPOCHS, VIEWS = 2, 3, 2
SKILLS = (0.9, 0.88, 0.55, 0.5)  # share of correct predictions, by scenario
RESOLVED = resolved_settings.Resolved(
    {"ResNet50": "1234567890abcdef", "VGG19": "random weights, seed 42"},
    {"ResNet50": "openvino", "VGG19": "mnn"},
    "float32",
    False,
)
SCENARIOS = scenarios.list_scenarios(["ResNet50", "VGG19"], ["AdamW"], [0.0, 0.5])


def write(run_dir: pathlib.Path) -> pathlib.Path:
    """Write all files that the report reads, for 90 photos."""
    photo_list = [
        photos.Photo(artifacts.file_digest(path), str(path), CLASSES[number % 3], fold=number // 3 % FOLDS)
        for number in range(90)
        for path in [_photo(run_dir, number)]
    ]
    photos.write(run_dir / "photos.csv", photo_list)
    listing.write_duplicates(run_dir / "duplicates.csv", [])
    artifacts.write_csv(run_dir / "dataset" / "rejects.csv", ["id"], [])
    config = dataclasses.replace(
        config_module.of_profile("demo", run_dir),
        backbones=("ResNet50", "VGG19"),
        optimizers=("AdamW",),
        dropouts=(0.0, 0.5),
        folds=FOLDS,
        epochs=EPOCHS,
        views=VIEWS,
        coverage=0.95,
    )
    artifacts.write_json(run_dir / "run.json", config_module.to_json(config))
    resolved_settings.write(run_dir, RESOLVED)
    study = recipe.study(config)
    for backbone in config.backbones:
        artifacts.write_json(study.features_dir / backbone / "settings.json", _features(config, backbone, photo_list))
    for scenario, skill in zip(SCENARIOS, SKILLS, strict=True):
        folder = run_dir / "trials" / f"{scenario.number:02d}"
        artifacts.write_json(folder / "settings.json", study.settings(scenario))
        _write_predictions(folder, photo_list, skill)
    counts = {"ResNet50": 2_000_000, "VGG19": 1_000_000}
    parameters = {scenario.number: counts[scenario.backbone] for scenario in SCENARIOS}
    leaderboard = choose.leaderboard(run_dir / "trials", SCENARIOS, study, parameters)
    artifacts.write_json(run_dir / "leaderboard.json", leaderboard)
    calibrate(config)
    return run_dir


def calibrate(config: config_module.Config) -> None:
    """Write what the stage calibration does, with invented distances and heat maps."""
    path = config.run_dir / "trials" / "01" / "predictions.csv"
    answers, draw = predictions.read(path), np.random.default_rng(7)
    distances = draw.uniform(1, 2, len(answers.ids))
    sets = prediction_sets.cross_fitted(answers.probabilities, answers.actual, answers.fold, config.coverage)
    typical = typicality.cross_fitted(distances, answers.fold)
    calibration._write_photos(config, answers, sets, typical)
    heatmaps = draw.random(((answers.predicted != answers.actual).sum(), 3, 3), np.float32)
    for name, values in (("distances", distances), ("heatmaps", heatmaps)):
        np.save(config.run_dir / "calibration" / f"{name}.npy", values)
    figures = calibration._summary(answers, sets, typical, config.coverage)
    artifacts.write_json(
        config.run_dir / "calibration" / "calibration.json", {"predictions": artifacts.file_digest(path), **figures}
    )


def serve(run_dir: pathlib.Path) -> pathlib.Path:
    """Write the description of version 1 of the served model, without the model; return its folder."""
    leaderboard = artifacts.read_json(run_dir / "leaderboard.json")
    winner = leaderboard["winner"]
    description = {
        "version": 1,
        "scenario": {name: winner[name] for name in ("scenario", "backbone", "optimizer", "dropout", "parameters")},
        "figures": {"f1": winner["f1"]},
        "classes": leaderboard["classes"],
        "weights": "1234567890abcdef",
        "data": {"photos": leaderboard["photos"], "photos_and_folds": _fingerprint(run_dir), "drawn": True},
        "code": "0123456789abcdef",
        "packages": {"keras": "3.15.1"},
        "settings": artifacts.read_json(run_dir / "run.json"),
    }
    version = run_dir / "served" / "pilah" / "1"
    artifacts.write_json(version / "model.json", description)
    return version


def check(run_dir: pathlib.Path) -> None:
    """Write the results of an audit, a leakage check and an evaluation, with invented findings."""
    _write_audit(run_dir, photos.read(run_dir / "photos.csv"))
    _write_leakage_check(run_dir)
    actual, scores = np.array([0, 0, 0, 1, 1]), np.eye(3)[[0, 0, 2, 1, 0]] * 0.7 + 0.1
    in_set = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1], [0, 1, 0], [1, 1, 0]], bool)
    answers = Answers(scores, CLASSES, in_set, np.array([0.5, 0.005, 0.2, 0.9, 0.3]))
    own = evaluation.figures(np.array([0, 1, 2]), Answers(np.eye(3), CLASSES, np.eye(3, dtype=bool), np.ones(3)))
    results = {
        "images": "/somewhere/kitchen",
        "version": 1,
        "classes": CLASSES,
        **evaluation.figures(actual, answers),
        "stated_coverage": 0.95,
        "cross_validated_f1": artifacts.read_json(run_dir / "leaderboard.json")["winner"]["f1"],
        "cross_validated": own,
        "left_out": {"copy of another photo here": 2, "empty": 1},
        "training_photos_known": True,
    }
    artifacts.write_json(run_dir / "evaluations" / "kitchen.json", results)


def as_earlier(results: dict[str, Any]) -> dict[str, Any]:
    """Return the results of an evaluation without the figures that earlier versions lack."""
    per_class = [
        {name: row[name] for name in finding_types.ClassScores.__required_keys__} for row in results["per_class"]
    ]
    return {name: results[name] for name in finding_types.Evaluation.__required_keys__} | {"per_class": per_class}


def _write_audit(run_dir: pathlib.Path, photo_list: list[photos.Photo]) -> None:
    """Write an audit with the near-duplicates 0 and 3 across folds, 1 and 2 across classes, 0 and 6 within both."""
    pairs = np.array([[0, 3], [0, 6], [1, 2]])
    group = near_duplicates.groups(pairs, len(photo_list))
    near = near_duplicates.NearDuplicates(pairs, np.array([2, 9, 3]), np.array([0.99, 0.95, 0.91]), 0.9, group)
    shares = np.roll(np.eye(3), 1, axis=1)[[CLASSES.index(photo.label) for photo in photo_list]] * 0.9 + 0.1 / 3
    lists = {
        "near_duplicates": (tables.NEAR_DUPLICATE_COLUMNS, tables.near_duplicate_rows(near, photo_list)),
        "label_doubts": (
            tables.LABEL_ISSUE_COLUMNS,
            tables.label_issue_rows(np.array([7, 5]), shares, photo_list, CLASSES),
        ),
        "odd_photos": (tables.IMAGE_QUALITY_COLUMNS, tables.image_quality_rows([(8, "blurred", 0.03)], photo_list)),
    }
    for name, (columns, rows) in lists.items():
        artifacts.write_csv(run_dir / "audit" / f"{name}.csv", columns, rows)
    results = {
        "photos": len(photo_list),
        "photos_and_folds": _fingerprint(run_dir),
        "exact_duplicates": {"copies": 4, "conflicts": 6},
        "near_duplicates": tables.near_duplicate_counts(lists["near_duplicates"][1]),
        "label_doubts": {"photos": 2, "pairs": []},
        "odd_photos": {"dark": 0, "blurred": 1},
        "folds": {
            "scenario": 1,
            "draws": [
                {"seed": 52, "plain": 0.83, "grouped": 0.8, "difference": -0.03},
                {"seed": 31, "plain": 0.84, "grouped": 0.82, "difference": -0.02},
            ],
            **{"plain_mean": 0.835, "grouped_mean": 0.81},
            **{"difference": -0.025, "standard_error": 0.005, "p": 0.0007},
        },
        "settings": {
            **{"scenario": 1, "backbone": "ResNet50"},
            **{"max_hamming_bits": 4, "hash_bits": 64, "min_cosine": 0.9, "fold_draws": 2},
        },
        "scenarios": {"1": artifacts.read_json(run_dir / "trials" / "01" / "settings.json")},
    }
    artifacts.write_json(run_dir / "audit" / "audit.json", results)


def _write_leakage_check(run_dir: pathlib.Path) -> None:
    """Write a leakage check in which each scenario is better by 0.05."""
    scenario_rows = artifacts.read_json(run_dir / "leaderboard.json")["scenarios"]
    settings = {
        str(row["scenario"]): artifacts.read_json(run_dir / "trials" / f"{row['scenario']:02d}" / "settings.json")
        for row in scenario_rows
    }
    artifacts.write_json(
        run_dir / "audit" / "leakage_check" / "settings.json", {"leaking": True, "scenarios": settings}
    )
    rows = [
        {**row, "leaking": True, "f1": row["f1"] + 0.05, "fold_f1": [row["f1"], row["f1"] + 0.1]}
        for row in scenario_rows
    ]
    near = {"mean_difference": 0.05, "mean_absolute_difference": 0.05, "rank_correlation": 1.0}
    by_fold = {"honest": [0.7, 0.71], "carried": [0.7, 0.8]}
    results = {
        "leaking": True,
        "warning": "LEAKING",
        "scenarios": rows,
        "compared": {"honest_and_carried": near},
        "mean_of_folds": by_fold,
        "folds": dict.fromkeys(("ResNet50", "VGG19"), by_fold),
    }
    artifacts.write_json(run_dir / "audit" / "leakage_check.json", results)


def _fingerprint(run_dir: pathlib.Path) -> str:
    return photos.fingerprint(photos.read(run_dir / "photos.csv"))


def _photo(run_dir: pathlib.Path, number: int) -> pathlib.Path:
    return photo_files.write_photo(run_dir / "images" / CLASSES[number % 3] / f"{number}.png", number)


def _features(
    config: config_module.Config, backbone: settings.Backbone, photo_list: list[photos.Photo]
) -> dict[str, Any]:
    """Return the settings that the stage `features` writes with the features of `backbone`."""
    return feature_settings.of_features(
        backbone,
        RESOLVED.weights[backbone],
        engine=RESOLVED.engines[backbone],
        precision=RESOLVED.precision,
        image_size_px=config.image_size_px,
        photo_ids=[photo.id for photo in photo_list],
        augmentation=feature_settings.of_augmentation(config.seed, config.flips, config.augmentation),
    )


def _write_predictions(folder: pathlib.Path, photo_list: list[photos.Photo], skill: float) -> None:
    """Write predictions of which the share `skill` is correct; the same photos are hard for every scenario."""
    draw = np.random.default_rng(11)
    labels = np.array([CLASSES.index(photo.label) for photo in photo_list])
    predicted = np.where(
        draw.random(len(photo_list)) < skill, labels, (labels + draw.integers(1, 3, len(photo_list))) % 3
    )
    confidence = draw.uniform(0.4, 1.0, len(photo_list))
    probabilities = np.repeat((1 - confidence)[:, np.newaxis] / 2, 3, axis=1)
    probabilities[np.arange(len(photo_list)), predicted] = confidence
    history = {"loss": [1.0, 0.6, 0.4], "accuracy": [0.4, 0.7, 0.8]}
    for fold in range(FOLDS):
        test_rows = [row for row, photo in enumerate(photo_list) if photo.fold == fold]
        rows = [photo_list[row] for row in test_rows]
        predictions.write(folder / f"fold-{fold + 1}.csv", rows, probabilities[test_rows], CLASSES)
        artifacts.write_json(folder / f"fold-{fold + 1}.json", {"seconds": 1.5, "history": history})
    predictions.join([folder / f"fold-{fold + 1}.csv" for fold in range(FOLDS)], photo_list, folder / "predictions.csv")
