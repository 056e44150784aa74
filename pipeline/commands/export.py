"""Exports of the model of a finished run for phones and edge devices, into RUN/exports."""

import collections
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np
import rich.console

from components.base import artifacts, documents, rounding, settings
from components.base.errors import PilahError
from components.data import pixels, records
from components.models import assembly
from components.publish.devices import description
from components.publish.devices import export as device_export
from pipeline import config as config_module
from pipeline import lock, recipe, run_folder, runner
from pipeline.config import STAGES, Config
from pipeline.progress import Progress, reporting

READ = (run_folder.KERAS_MODEL, run_folder.LEADERBOARD, run_folder.CALIBRATION, *run_folder.USABLE_PHOTOS)


def run(run_dir: pathlib.Path, name: settings.DeviceFormat, console: rich.console.Console) -> None:
    """Write the model of the run in the format `name` to RUN/exports/NAME, and print how it compares.

    Raises:
        PilahError: the run has no validated model, a file of it has changed, or the export gives other answers.
    """
    config = config_module.read(run_dir)
    with lock.locked(config.run_dir):
        if left := [stage for stage in runner.left(config) if STAGES.index(stage) < STAGES.index("push")]:
            raise PilahError(
                f"An export needs a validated model, but {run_dir} lacks the stages {', '.join(left)}. Finish 'run' "
                "first."
            )
        runner.check_outputs(config.run_dir, lambda file: file in READ or file.startswith(f"{run_folder.DATASET}/"))
        with reporting(console, "export") as progress:
            described = write(config, name, progress)
    show(config.run_dir / run_folder.EXPORTS / name, described, console)


def write(config: Config, name: settings.DeviceFormat, progress: Progress) -> description.Description:
    """Write RUN/exports/NAME, and return its description."""
    study = recipe.study(config)
    return device_export.export(
        assembly.load(config.run_dir / run_folder.KERAS_MODEL),
        name,
        origin=_origin(config),
        photos=device_export.Photos(study.labels, lambda rows: read_pixels(config.run_dir / run_folder.DATASET, rows)),
        to=config.run_dir / run_folder.EXPORTS / name,
        progress=lambda done, total: progress(done, total, "photos"),
    )


def _origin(config: Config) -> device_export.Origin:
    leaderboard, pushed = run_folder.read_leaderboard(config.run_dir), config.run_dir / run_folder.PUSHED
    return device_export.Origin(
        leaderboard["classes"],
        leaderboard["winner"]["f1"],
        artifacts.read_json(config.run_dir / run_folder.CALIBRATION, documents.Calibration),
        artifacts.file_digest(config.run_dir / run_folder.KERAS_MODEL),
        artifacts.read_json(pushed, documents.Pushed)["version"] if pushed.exists() else None,
    )


def read_pixels(records_dir: pathlib.Path, rows: Sequence[int]) -> Iterator[np.ndarray]:
    """Yield the pixels of the photos `rows`, ascending, in batches, uint8 [n, size, size, 3]."""
    batch: list[np.ndarray] = []
    left = collections.deque(rows)
    for row, record in enumerate(records.read(records_dir).as_numpy_iterator()):
        if left and row == left[0]:
            left.popleft()
            batch.append(record["image"])
        if batch and (len(batch) == pixels.BATCH_SIZE or not left):
            yield np.stack(batch)
            batch = []
        if not left:
            return


def show(folder: pathlib.Path, described: description.Description, console: rich.console.Console) -> None:
    """Print the size of the model, how its answers compare with those of the Keras model, and how to try it."""
    size = sum(path.stat().st_size for path in folder.iterdir())
    figures = described["validation"]
    f1, f1_of_keras_model = (rounding.text(figures[name], ".4f") for name in ("f1", "f1_of_keras_model"))
    lines = (
        f"{folder}: {size / 1e6:.1f} MB",
        f"Compared with the Keras model on {figures['photos']} photos of the run: "
        f"{rounding.text(figures['same_class'], '.2%')} have the same class, scores differ by up to "
        f"{rounding.text(figures['max_score_difference'], '.5f')}, macro F1 {f1} against {f1_of_keras_model}",
        f"Try it:  python {folder / description.EXAMPLE} photo.jpg",
    )
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False)
