"""Compare the winner's macro F1, plain and corrected for its selection, with nested cross-validation of the search.

    python -m benchmarks.nested --run-dir runs/thesis

Nested cross-validation chooses a scenario for each fold, without the photos of the fold, so that its F1 needs no
correction. The outer folds are those of the run, and the inner folds are the others: each scenario is trained once
without each pair of folds, and tested on both. This is (folds - 1) / 2 times the training of the search.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow reads both when it is imported
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import argparse
import dataclasses
import itertools
import pathlib
import sys
import time
from collections.abc import Mapping, Sequence

import numpy as np

from components.base import metrics
from components.base.errors import PilahError
from pipeline import config as config_module
from pipeline import recipe, run_folder, trials
from tuner import choose, folds, predictions
from tuner.scenarios import Scenario
from tuner.study import Study

Inner = Mapping[tuple[int, int], np.ndarray]  # outer fold, scenario -> classes of photos by models without the fold


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run-dir", type=pathlib.Path, required=True, help="Finished run with frozen backbones.")
    try:
        compare(parser.parse_args().run_dir)
    except PilahError as error:
        sys.exit(f"nested: {error}")


def compare(run_dir: pathlib.Path) -> None:
    """Print the scenario chosen for each fold, and macro F1 of the search: plain, corrected and nested.

    Raises:
        PilahError: the run has fine-tuned scenarios, fewer than 3 folds or no leaderboard, or another version of Pilah
            trained it.
    """
    config = config_module.read(run_dir)
    if config.finetunes or config.folds < 3:
        raise PilahError(
            f"--run-dir must hold a run with frozen backbones alone and at least 3 folds (got {config.folds}, refine "
            f"{config.refine}, strategy {config.strategy}). Choose another run."
        )
    if not (config.run_dir / run_folder.LEADERBOARD).exists():
        raise PilahError(f"--run-dir must hold a finished search, and {config.run_dir} has none. Finish it with run.")
    trials.check_version(config.run_dir)
    study, scenario_list = recipe.study(config), trials.searched_scenarios(config)
    parameters = recipe.parameters(config, scenario_list)
    outer = {
        scenario.number: predictions.read(config.run_dir / run_folder.predictions(scenario.number)).predicted
        for scenario in scenario_list
    }
    inner = inner_predictions(study, scenario_list)
    chosen = [choose_without(study, scenario_list, fold, inner, parameters) for fold in range(study.folds)]
    for fold, number in enumerate(chosen):
        print(f"fold {fold + 1}: scenario {number} is the best by the other folds")
    predicted = np.choose(study.fold_of, [outer[number] for number in chosen])
    winner = choose.leaderboard(config.run_dir / run_folder.TRIALS, scenario_list, study, parameters)["winner"]
    print(f"{config.run_dir}: {len(scenario_list)} scenarios, {len(study.labels)} photos, macro F1 of the best")
    print(f"  plain      {winner['f1']:.4f}")
    if winner["f1_corrected"] is not None:
        low, high = winner["f1_corrected_low"], winner["f1_corrected_high"]
        print(f"  corrected  {winner['f1_corrected']:.4f}, 95 % interval {low:.4f} to {high:.4f} (BBC-CV)")
    nested = metrics.confusion(study.labels, predicted, len(study.classes))
    print(f"  nested     {metrics.score(nested, study.classes).f1:.4f}")


def inner_predictions(study: Study, scenario_list: Sequence[Scenario]) -> Inner:
    """Train each scenario without each pair of folds, and predict the photos of both.

    Returns:
        Outer fold and scenario number -> class of each photo, int64 [photos], by models that were trained neither on
        its fold nor on the outer fold; -1 for the photos of the outer fold.
    """
    numbers = [scenario.number for scenario in scenario_list]
    inner = {key: np.full(len(study.labels), -1) for key in itertools.product(range(study.folds), numbers)}
    pairs = list(itertools.combinations(range(study.folds), 2))
    started = time.monotonic()
    for done, (scenario, (first, second)) in enumerate(itertools.product(scenario_list, pairs), start=1):
        predicted = _predict_without(study, scenario, first, second)
        for outer, tested in ((first, second), (second, first)):
            in_fold = study.fold_of == tested
            inner[outer, scenario.number][in_fold] = predicted[in_fold]
        seconds = time.monotonic() - started
        print(f"{done} of {len(scenario_list) * len(pairs)} heads in {seconds:.0f} s", file=sys.stderr, flush=True)
    return inner


def choose_without(
    study: Study, scenario_list: Sequence[Scenario], fold: int, inner: Inner, parameters: Mapping[int, int]
) -> int:
    """Return the scenario that the leaderboard of the other folds ranks first."""
    others, rows = study.fold_of != fold, []
    for scenario in scenario_list:
        predicted = inner[fold, scenario.number][others]
        matrix = metrics.confusion(study.labels[others], predicted, len(study.classes))
        rows.append(choose.make_row(scenario, matrix, study.classes, seconds=0.0))
    return choose.rank(rows, parameters)[0]["scenario"]


def _predict_without(study: Study, scenario: Scenario, first: int, second: int) -> np.ndarray:
    """Return the class of each photo in two folds, by a new head trained on the other folds; -1 for other photos."""
    photo_list = [
        dataclasses.replace(photo, fold=first) if photo.fold == second else photo for photo in study.photo_list
    ]
    _, probabilities = folds.train_head(dataclasses.replace(study, photo_list=photo_list), scenario, first)
    predicted = np.full(len(study.labels), -1)
    predicted[np.isin(study.fold_of, (first, second))] = probabilities.argmax(axis=1)
    return predicted


if __name__ == "__main__":
    main()
