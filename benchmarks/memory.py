"""Benchmark of the memory of a run with many photos: `python -m benchmarks.memory --run-dir runs/many --photos 200000`.

It writes small photos, sends them through the first stages of a run in one process, and samples that process's memory.
If it is interrupted, the same command goes on with the stage that was not finished.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow reads both when it is imported
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import argparse
import dataclasses
import json
import pathlib
import threading
import time

import numpy as np
import rich.console
from PIL import Image

from components.base import artifacts
from pipeline import runner
from pipeline.config import Config
from pipeline.progress import Progress
from pipeline.runner import Stage

CLASSES = 10
SIZE_PX = 32  # the smallest that the backbones take
MEMORY = "memory.jsonl"  # a line for each sample
SAMPLE_SECONDS = 0.25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run-dir", type=pathlib.Path, required=True, help="New run folder.")
    parser.add_argument("--photos", type=int, default=200_000, help="Number of photos.")
    args = parser.parse_args()
    photos_dir = args.run_dir / "many-photos"
    write_photos(photos_dir, args.photos)
    run_stages(settings_of_run(args.run_dir, photos_dir))


def settings_of_run(run_dir: pathlib.Path, photos_dir: pathlib.Path) -> Config:
    """Return the settings of the run: one scenario, one augmented view, the smallest photos and random weights."""
    return Config(
        run_dir=run_dir,
        images=(photos_dir,),
        random_weights=True,
        backbones=("DenseNet121",),
        optimizers=("Adam",),
        dropouts=(0.0,),
        views=1,
        epochs=1,
        image_size_px=SIZE_PX,
    )


def write_photos(folder: pathlib.Path, count: int) -> None:
    """Write `count` photos of random pixels into class folders, except those that exist."""
    for number in range(count):
        path = folder / f"class-{number % CLASSES}" / f"photo-{number:09d}.jpg"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            rng = np.random.default_rng(number)
            Image.fromarray(rng.integers(0, 256, (SIZE_PX, SIZE_PX, 3), np.uint8)).save(path, quality=80)


def run_stages(config: Config) -> None:
    """Run the stages photos, dataset, features and search, and append samples of the memory to MEMORY."""
    from pipeline.stages import dataset, features, photos, search

    console = rich.console.Console()
    artifacts.write_json(config.run_dir / "run.json", {})
    for stage in (photos.STAGE, dataset.STAGE, features.STAGE, search.STAGE):
        runner.run(sampled(stage), config, console)


def sampled(stage: Stage) -> Stage:
    """Return a stage that also samples the memory of this process while it runs."""

    def run(config: Config, progress: Progress) -> None:
        state = {"done": 0, "total": 0}
        stop, started = threading.Event(), time.monotonic()

        def sample() -> None:
            with (config.run_dir / MEMORY).open("a", buffering=1) as file:
                while not stop.wait(SAMPLE_SECONDS):
                    seconds = round(time.monotonic() - started, 2)
                    file.write(json.dumps({"stage": stage.name, "seconds": seconds, **state, "mib": rss_mib()}) + "\n")

        def update(done: int, total: int, what: str = "", note: str = "") -> None:
            state.update(done=done, total=total)
            progress(done, total, what, note)

        sampler = threading.Thread(target=sample)
        sampler.start()
        try:
            stage.run(config, update)
        finally:
            stop.set()
            sampler.join()

    return dataclasses.replace(stage, run=run)


def rss_mib() -> float:
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


if __name__ == "__main__":
    main()
