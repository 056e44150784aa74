"""The macro F1 of a run's frozen winner with other splits into folds and other seeds.

    python -m benchmarks.draws --run-dir RUN --draws 3 --seeds 3

A draw is a new stratified split of the photos. The seed decides the first weights of the head, its dropout masks and
the order of photos. All trainings read the features of the run. It prints the F1 of each fold and of the matrix summed
over the folds, and their means and standard deviations.
"""

import argparse
import dataclasses
import itertools
import pathlib
import statistics
from collections.abc import Sequence

import numpy as np

from components.base import metrics
from components.data import stratified_folds
from pipeline import config as config_module
from pipeline import recipe
from tuner import resplit, tasks, workers
from tuner.scenarios import Scenario
from tuner.study import Study


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run-dir", type=pathlib.Path, required=True, help="Finished run.")
    parser.add_argument("--draws", type=int, default=3, help="Number of splits; the first one is that of the run.")
    parser.add_argument("--seeds", type=int, default=3, help="Number of seeds; the first one is that of the run.")
    args = parser.parse_args(arguments)
    config = config_module.read(args.run_dir.resolve())
    study, winner = recipe.study(config), recipe.frozen_winner(config)
    splits, seeds = ([config.seed + number for number in range(count)] for count in (args.draws, args.seeds))
    pairs = list(itertools.product(splits, seeds))
    with workers.pool(workers.count(len(pairs))) as executor:
        trainings = [(study, winner, split, seed) for split, seed in pairs]
        scores = list(tasks.results(executor, fold_and_total_f1, trainings, lambda done: None))
    print("| split | seed | " + " | ".join(f"fold {fold + 1}" for fold in range(study.folds)) + " | F1 |")
    print("|---:|---:|" + "---:|" * (study.folds + 1))
    for (split, seed), (of_folds, total) in zip(pairs, scores, strict=True):
        print(f"| {split} | {seed} | " + " | ".join(f"{f1:.4f}" for f1 in of_folds) + f" | {total:.4f} |")
    totals = {pair: total for pair, (_, total) in zip(pairs, scores, strict=True)}
    print(f"\nmean {statistics.mean(totals.values()):.4f}, standard deviations:")
    print(f"all {deviation(list(totals.values()))}", end="")
    print(f", means of splits {deviation([_mean(totals, 0, split) for split in splits])}", end="")
    print(f", means of seeds {deviation([_mean(totals, 1, seed) for seed in seeds])}")


def fold_and_total_f1(study: Study, winner: Scenario, split: int, seed: int) -> tuple[list[float], float]:
    """Return the macro F1 of each fold, and that of the matrix summed over the folds."""
    labels = [photo.label for photo in study.photo_list]
    fold_of = study.fold_of
    if split != study.seed:
        fold_of = stratified_folds.assign(labels, study.folds, split)
    study = dataclasses.replace(resplit.with_folds(study, fold_of), seed=seed)
    predicted = resplit.predict(study, winner, range(study.folds))
    matrices = [
        metrics.confusion(study.labels[tested], predicted[tested], len(study.classes))
        for tested in (fold_of == fold for fold in range(study.folds))
    ]
    total = metrics.score(np.sum(matrices, axis=0), study.classes).f1
    return [metrics.score(matrix, study.classes).f1 for matrix in matrices], total


def _mean(totals: dict[tuple[int, int], float], position: int, value: int) -> float:
    return statistics.mean(total for pair, total in totals.items() if pair[position] == value)


def deviation(values: list[float]) -> str:
    return f"{statistics.stdev(values):.4f}" if len(values) > 1 else "unknown"


if __name__ == "__main__":
    main()
