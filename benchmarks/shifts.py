"""Measure how the winner of a run answers photos unlike those it was trained on.

    python -m benchmarks.shifts --run-dir runs/thesis --folds 1,2 --out shifts.json

Photos are shifted synthetically, which is only a stand-in for photos from elsewhere: other cameras, rooms and kinds of
waste differ in ways that no filter imitates. Each photo is answered by a model that was not trained on its fold, and
the thresholds of prediction sets and of typicality come from the other folds too.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow reads both when it is imported
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import argparse
import pathlib
import sys
import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from benchmarks import fold_models, shift_tables, shifted_photos
from components.base import artifacts
from components.base.errors import PilahError
from components.data import photos, records
from components.models import features
from pipeline import config as config_module
from pipeline import recipe, run_folder
from pipeline.config import Config
from tuner.scenarios import Scenario
from tuner.study import Study


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run-dir", type=pathlib.Path, required=True, help="Finished run.")
    parser.add_argument("--folds", type=_numbers, help="Folds to test, such as 1,2; all by default.")
    parser.add_argument("--photos-per-fold", type=int, default=60, help="Number of photos of each fold (default: 60).")
    parser.add_argument(
        "--severities",
        type=_numbers,
        default=shifted_photos.SEVERITIES,
        help="Severities of ImageNet-C (default: all).",
    )
    parser.add_argument("--out", type=pathlib.Path, help="File for the figures and the answers, JSON.")
    parser.add_argument("--compare", type=pathlib.Path, help="File of another run with the same folds and photos.")
    args = parser.parse_args()
    try:
        measure(args)
    except PilahError as error:
        sys.exit(f"shifts: {error}")


def measure(args: argparse.Namespace) -> None:
    """Answer the shifted photos, print the tables, and write them with the answers if --out names a file.

    Raises:
        PilahError: an option is out of range, the run is not finished, or it has no model of a fold.
    """
    config = config_module.read(args.run_dir)
    tested = [number - 1 for number in args.folds or range(1, config.folds + 1)]
    _check(args, config, tested)
    study, winner = recipe.study(config), recipe.winner(config)
    conditions = shifted_photos.conditions(args.severities)
    per_fold = [_answers_of_fold(config, study, winner, fold, conditions, args.photos_per_fold) for fold in tested]
    cells = {condition: shift_tables.joined([answers[condition] for answers in per_fold]) for condition in conditions}
    document = shift_tables.document(cells, study.classes, study.labels, [photo.id for photo in study.photo_list])
    title = f"{config.run_dir}: {winner.backbone}, {winner.strategy}, augmentation {config.augmentation}"
    print(f"\n{title}, folds {', '.join(str(fold + 1) for fold in tested)}.")
    print(shift_tables.text(document, config.coverage))
    if args.out:
        artifacts.write_json(args.out, document)
    if args.compare:
        print(shift_tables.comparison(document, artifacts.read_json(args.compare), args.compare))


def _check(args: argparse.Namespace, config: Config, tested: Sequence[int]) -> None:
    wrong = [fold + 1 for fold in tested if not 0 <= fold < config.folds]
    if wrong:
        raise PilahError(f"--folds must be between 1 and {config.folds}, the folds of the run (got {wrong[0]}).")
    if args.photos_per_fold < 1:
        raise PilahError(f"--photos-per-fold must be at least 1 (got {args.photos_per_fold}).")
    wrong = [severity for severity in args.severities if severity not in shifted_photos.SEVERITIES]
    if wrong:
        raise PilahError(f"--severities must be between 1 and 5 (got {wrong[0]}).")
    if args.compare and not args.compare.exists():
        raise PilahError(f"--compare must be a file that --out wrote, and {args.compare} does not exist.")
    if not (config.run_dir / run_folder.CALIBRATION).exists():
        raise PilahError(
            f"--run-dir must hold a finished run, and {config.run_dir} has no calibration. Finish it with run."
        )


def _answers_of_fold(
    config: Config,
    study: Study,
    winner: Scenario,
    fold: int,
    conditions: Mapping[shifted_photos.Condition, shifted_photos.Shift],
    count: int,
) -> dict[shifted_photos.Condition, shift_tables.Answers]:
    """Return condition -> answers to `count` photos of `fold`."""
    started = time.monotonic()
    rows = sampled(study, fold, count)
    photo_pixels = _pixels(config.run_dir / run_folder.DATASET, rows)
    model = fold_models.build(config, study, winner, fold)
    tags: list[tuple[shifted_photos.Condition, int]] = []

    def shifted() -> Iterator[np.ndarray]:
        for condition, shift in conditions.items():
            for row in rows:
                picture = shifted_photos.shifted(photo_pixels[row], study.photo_list[row].id, condition, shift)
                if picture is not None:
                    tags.append((condition, row))
                    yield picture

    outputs = np.concatenate(list(model.forward(_batched(shifted()))))
    print(f"fold {fold + 1}: {len(tags)} answers in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    answers = {}
    for condition in conditions:
        numbers = [number for number, (tag, _) in enumerate(tags) if tag == condition]
        rows_of_condition = np.array([tags[number][1] for number in numbers], np.int64)
        answers[condition] = model.answers(outputs[numbers], rows_of_condition)
    return answers


def sampled(study: Study, fold: int, count: int) -> list[int]:
    """Return the rows of about `count` photos of `fold`, evenly spread over its photos in the order of the classes."""
    in_fold = np.flatnonzero(study.fold_of == fold)
    by_class = in_fold[np.argsort(study.labels[in_fold], kind="stable")]
    return [int(by_class[number]) for number in photos.spread_rows(len(by_class), count)]


def _pixels(records_dir: pathlib.Path, rows: Sequence[int]) -> dict[int, np.ndarray]:
    """Return row -> its photo, uint8 [size, size, 3]; the run folder is not changed."""
    chosen = set(rows)
    numbered = enumerate(records.read(records_dir).as_numpy_iterator())
    return {row: record["image"] for row, record in numbered if row in chosen}


def _batched(pictures: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    batch: list[np.ndarray] = []
    for picture in pictures:
        batch.append(picture)
        if len(batch) == features.BATCH_SIZE:
            yield np.stack(batch)
            batch = []
    if batch:
        yield np.stack(batch)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


if __name__ == "__main__":
    main()
