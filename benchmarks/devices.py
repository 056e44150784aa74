"""Measure the exports for devices of a finished run: macro F1 in int8, size and latency.

    python -m benchmarks.devices --run-dir runs/thesis f1 --folds 1,2
    python -m benchmarks.devices --run-dir runs/thesis latency

f1: the model of each fold, trained on the others, is quantized with photos of the others and answers the photos of the
fold. latency: needs the exports of the run (python -m pipeline export) and its SavedModel. Each turn sends one photo to
each of them; the figures are medians, and ratios to the SavedModel in the same process.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow reads both when it is imported
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import argparse
import functools
import io
import multiprocessing
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import get_args

import numpy as np
from PIL import Image

from benchmarks import fold_models
from components.base import machine, metrics, settings
from components.base.errors import PilahError
from components.data import photos
from components.models import inference
from components.publish import validate
from components.publish.devices import check, export, formats
from pipeline import config as config_module
from pipeline import recipe, run_folder
from pipeline.commands.export import read_pixels
from pipeline.config import Config
from tuner.scenarios import Scenario
from tuner.study import Study

INT8: settings.DeviceFormat = "litert-int8"
MIN_SIZE_RATIO = 3.0  # of float32 to int8
SAVED_MODEL = "SavedModel"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run-dir", type=pathlib.Path, required=True, help="Finished run.")
    commands = parser.add_subparsers(dest="command", required=True)
    f1 = commands.add_parser("f1", help="Macro F1 of int8 on held-out photos.")
    f1.add_argument("--folds", type=_numbers, help="Folds to test, such as 1,2; all by default.")
    latency = commands.add_parser("latency", help="Size of the exports, and time for one photo.")
    latency.add_argument("--turns", type=int, default=50, help="Number of photos for each export (default: 50).")
    latency.add_argument("--threads", type=_numbers, default=(1, 2), help="Numbers of threads (default: 1,2).")
    args = parser.parse_args()
    try:
        config = config_module.read(args.run_dir)
        if args.command == "f1":
            measure_f1(config, args.folds)
        else:
            measure_latency(config, args.threads, args.turns)
    except PilahError as error:
        sys.exit(f"devices: {error}")


def measure_f1(config: Config, numbers: Sequence[int] | None) -> None:
    """Print macro F1, agreement and file size of int8 over the held-out photos of the folds.

    Raises:
        PilahError: the run has no such fold, or no model of it.
    """
    tested = [number - 1 for number in numbers or range(1, config.folds + 1)]
    if wrong := [fold + 1 for fold in tested if not 0 <= fold < config.folds]:
        raise PilahError(f"--folds must be between 1 and {config.folds}, the folds of the run (got {wrong[0]}).")
    study, winner = recipe.study(config), recipe.winner(config)
    print(f"{config.run_dir}: {winner.backbone}, {winner.strategy}")
    answers = []
    for fold in tested:
        answers.append(_answers_of_fold(config, study, winner, fold))
        labels, of_float, of_int8 = (np.concatenate(arrays) for arrays in zip(*answers, strict=True))
        print(f"\n{len(labels)} held-out photos of folds {', '.join(str(done + 1) for done in tested[: len(answers)])}")
        _print_f1(labels, of_float, of_int8, study.classes)


def _print_f1(labels: np.ndarray, of_float: np.ndarray, of_int8: np.ndarray, classes: Sequence[str]) -> None:
    f1, f1_int8 = (
        metrics.score(metrics.confusion(labels, scores.argmax(axis=1), len(classes)), classes).f1
        for scores in (of_float, of_int8)
    )
    difference, same = np.abs(of_float - of_int8), of_float.argmax(axis=1) == of_int8.argmax(axis=1)
    print(f"macro F1          {f1:.4f} in float32, {f1_int8:.4f} in int8")
    print(f"loss of macro F1  {f1 - f1_int8:+.4f}   bound <= {check.MAX_F1_LOSS}")
    print(f"same class        {same.mean():.2%}")
    print(f"score difference  {difference.mean():.4f} on average, {difference.max():.4f} at most", flush=True)


def _answers_of_fold(config: Config, study: Study, winner: Scenario, fold: int) -> tuple[np.ndarray, ...]:
    """Return labels, int64 [photos], and scores in float32 and in int8, [photos, classes], of the photos of `fold`."""
    started = time.monotonic()
    model = fold_models.keras_model(config, study, winner, fold)
    read = functools.partial(read_pixels, config.run_dir / run_folder.DATASET)
    others, rows = np.flatnonzero(study.fold_of != fold).tolist(), np.flatnonzero(study.fold_of == fold).tolist()
    calibration_rows = [others[number] for number in photos.spread_rows(len(others), export.CALIBRATION_PHOTOS)]
    forward = inference.load(inference.pick(config.engine, winner.backbone, "float32"), model, "float32")
    of_float = np.concatenate(list(forward(read(rows))))
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / formats.FORMATS[INT8].file
        formats.FORMATS[INT8].write(model, path, np.concatenate(list(read(calibration_rows))))
        predict = formats.FORMATS[INT8].load(path, machine.cores())
        of_int8 = np.concatenate([predict(pixels) for pixels in read(rows)])
    print(f"fold {fold + 1}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return study.labels[rows], of_float, of_int8


def measure_latency(config: Config, threads: Sequence[int], turns: int) -> None:
    """Print a table with the size of each export, and its time for one photo with each number of threads.

    Raises:
        PilahError: the run has no exports.
    """
    folders = {name: config.run_dir / run_folder.EXPORTS / name for name in get_args(settings.DeviceFormat)}
    names = [name for name, folder in folders.items() if folder.is_dir()]
    if not names:
        raise PilahError(f"--run-dir must have exports, and {config.run_dir} has none. Make one with 'export'.")
    medians = [_in_process_with(number, config, names, turns) for number in threads]
    sizes = {name: _size(folders[name]) for name in names} | {SAVED_MODEL: _size(config.run_dir / run_folder.EXPORT)}
    print(
        f"{config.run_dir}: one photo of {config.image_size_px}x{config.image_size_px} pixels, medians of {turns} turns"
    )
    heads = [text for number in threads for text in (f"ms, {number} threads", "ratio")]
    print(f"| export | MB | {' | '.join(heads)} |")
    print(f"|---|{'---:|' * (1 + len(heads))}")
    for name in (SAVED_MODEL, *names):
        cells = [f"{row[name] * 1e3:.1f} | {row[name] / row[SAVED_MODEL]:.2f}" for row in medians]
        print(f"| {name} | {sizes[name] / 1e6:.1f} | {' | '.join(cells)} |")
    if {INT8, "onnx"} <= set(names):
        print(f"float32 : int8 in size  {sizes['onnx'] / sizes[INT8]:.2f}   bound >= {MIN_SIZE_RATIO}")


def _size(folder: pathlib.Path) -> int:
    """Return the bytes of the files of a model, without those beside it."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.suffix not in (".json", ".py", ".txt"))


def _in_process_with(
    threads: int, config: Config, names: Sequence[settings.DeviceFormat], turns: int
) -> dict[str, float]:
    """Return the result of `_medians` in a new process, as libraries keep the number of threads they start with."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_medians, (threads, config, names, turns))


def _medians(threads: int, config: Config, names: Sequence[settings.DeviceFormat], turns: int) -> dict[str, float]:
    """Return the median seconds for one photo of the SavedModel and of each export, on as many cores as threads."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    rows = photos.spread_rows(len(run_folder.usable_photos(config.run_dir)), turns)
    squares = np.concatenate(list(read_pixels(config.run_dir / run_folder.DATASET, rows)))
    saved_model = validate.load_signature(config.run_dir / run_folder.EXPORT)
    calls: dict[str, Callable[[np.ndarray], object]] = {SAVED_MODEL: lambda pixels: saved_model([_png(pixels[0])])}
    for name in names:
        path = config.run_dir / run_folder.EXPORTS / name / formats.FORMATS[name].file
        calls[name] = formats.FORMATS[name].load(path, threads)
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for pixels in (squares[:1], *squares[:, np.newaxis]):
        for called, call in calls.items():
            call(pixels)  # so that the caches hold this model, not the one before
            started = time.perf_counter()
            call(pixels)
            seconds[called].append(time.perf_counter() - started)
    # the first turn builds programs
    return {called: statistics.median(values[1:]) for called, values in seconds.items()}


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


if __name__ == "__main__":
    main()
