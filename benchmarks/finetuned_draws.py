"""The macro F1 of a run's fine-tuning with other splits into folds and other seeds.

    python -m benchmarks.finetuned_draws --run-dir RUN --draws 3 --seeds 1

A draw is a new stratified split of the photos. The seed decides the first weights, the dropout masks and the order of
photos; all trainings read the same views. The run needs its records, and must fine-tune on frozen activations. Scores
of finished folds are kept in RUN/draws, and are not trained again. It prints the F1 of each fold and of the matrix
summed over the folds, for the mean over the members of the model and, if it has covariance heads, for each member.
"""

import argparse
import dataclasses
import itertools
import pathlib
import statistics
from collections.abc import Sequence

import keras
import numpy as np

from benchmarks import draws
from components.base import artifacts, metrics, seeds
from components.data import stratified_folds
from components.models import checkpoints, finetuning
from pipeline import config as config_module
from pipeline import recipe, trials
from pipeline.config import Config
from tuner import tasks, workers
from tuner.scenarios import Scenario
from tuner.study import Study

FOLDER = "draws"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run-dir", type=pathlib.Path, required=True, help="Run with records.")
    parser.add_argument("--draws", type=int, default=3, help="Number of splits; the first one is that of the run.")
    parser.add_argument("--seeds", type=int, default=1, help="Number of seeds; the first one is that of the run.")
    parser.add_argument("--folds", default="", help="Numbers of the folds, such as 1,2; all by default.")
    args = parser.parse_args(arguments)
    config = config_module.read(args.run_dir.resolve())
    study, scenario = recipe.study(config), fine_tuned(config)
    if not study.finetuning or not study.finetuning.frozen_activations_dir:
        parser.error(f"{args.run_dir} does not fine-tune on frozen activations")
    if args.seeds > 1 and not config.ensemble:
        parser.error("--seeds must be 1 for a run with --ensemble 0: covariance heads depend on no seed")
    splits, seed_list = ([config.seed + number for number in range(count)] for count in (args.draws, args.seeds))
    folds = [int(number) - 1 for number in args.folds.split(",")] if args.folds else list(range(study.folds))
    study.examples(scenario.backbone)  # write the frozen activations, with all cores
    study.covariance_activations()
    trainings = [
        (study, scenario, config.run_dir / FOLDER, split, seed, fold)
        for split, seed, fold in itertools.product(splits, seed_list, folds)
    ]
    with workers.pool(workers.count(len(trainings))) as executor:
        scores = list(tasks.results(executor, fold_scores, trainings, lambda done: None))
    by_training = {training[3:]: result for training, result in zip(trainings, scores, strict=True)}
    for member in (None, *range(len(scores[0]))) if len(scores[0]) > 1 else (None,):
        print(f"\n{'mean over the members' if member is None else f'member {member}'}\n")
        _print_table(study, by_training, list(itertools.product(splits, seed_list)), folds, member)


def fine_tuned(config: Config) -> Scenario:
    """Return the first scenario that the run fine-tunes."""
    return (trials.searched_scenarios(config) if config.strategy == "finetune" else recipe.refined(config))[0]


def fold_scores(study: Study, scenario: Scenario, folder: pathlib.Path, split: int, seed: int, fold: int) -> np.ndarray:
    """Return the scores of the photos of `fold` by each member, float32 [members, photos, classes].

    They are kept in `folder`, as are the checkpoints of an unfinished training.
    """
    recipe_of_fold = dataclasses.replace(study.recipe(scenario), seed=seed)
    name = artifacts.digest([study.settings(scenario), split, seed, fold])
    path, checkpoint = folder / f"{name}.npy", folder / name
    folder.mkdir(exist_ok=True)
    if path.exists():
        return artifacts.read_array(path)
    keras.utils.clear_session()
    examples, covariance_activations = study.examples(scenario.backbone), study.covariance_activations()
    in_fold = fold_of(study, split) == fold
    model, _ = finetuning.fit(
        recipe_of_fold,
        examples,
        np.flatnonzero(~in_fold),
        seed=seeds.derive(seed, seeds.FOLD, fold),
        checkpoint=checkpoint,
        covariance_activations=covariance_activations,
    )
    tested = np.flatnonzero(in_fold)
    if covariance_activations:
        scores = finetuning.predict_members(model, recipe_of_fold, tested, examples, covariance_activations)
    else:
        scores = finetuning.predict(model, examples.pixels, tested)[np.newaxis]
    with artifacts.writing_array(path, scores.shape, np.float32) as write:
        write(scores)
    checkpoints.clear(checkpoint)
    return scores


def fold_of(study: Study, split: int) -> np.ndarray:
    """Return the fold of each photo, int64 [photos], in the split with seed `split`."""
    if split == study.seed:
        return study.fold_of
    return stratified_folds.assign([photo.label for photo in study.photo_list], study.folds, split)


def _print_table(
    study: Study,
    scores: dict[tuple[int, int, int], np.ndarray],
    pairs: Sequence[tuple[int, int]],
    folds: Sequence[int],
    member: int | None,
) -> None:
    print("| split | seed | " + " | ".join(f"fold {fold + 1}" for fold in folds) + " | F1 | photos wrong |")
    print("|---:|---:|" + "---:|" * (len(folds) + 2))
    totals = []
    for split, seed in pairs:
        matrices = []
        for fold in folds:
            of_members = scores[split, seed, fold]
            of_fold = of_members.mean(axis=0) if member is None else of_members[member]
            actual = study.labels[fold_of(study, split) == fold]
            matrices.append(metrics.confusion(actual, of_fold.argmax(axis=1), len(study.classes)))
        total = np.sum(matrices, axis=0)
        totals.append(metrics.score(total, study.classes).f1)
        of_folds = " | ".join(f"{metrics.score(matrix, study.classes).f1:.4f}" for matrix in matrices)
        print(f"| {split} | {seed} | {of_folds} | {totals[-1]:.4f} | {total.sum() - np.trace(total)} |")
    print(f"\nmean {statistics.mean(totals):.4f}, standard deviation {draws.deviation(totals)}")


if __name__ == "__main__":
    main()
