"""Benchmark of 1, 2 and 4 workers of a Dask cluster on this machine, against its own processes.

`python -m benchmarks.cluster --run-dir runs/mine` computes the features of some backbones and their scenarios on the
photos of a run, in new folders. Each round measures all; ratios are those within a round.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow reads both when it is imported
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import argparse
import contextlib
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from benchmarks.serving import ROOT, show
from components.base import settings

WORKERS = (0, 1, 2, 4)  # 0: no cluster
VIEWS = 2  # augmented ones
PORT = "18788"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run-dir", type=pathlib.Path, default=pathlib.Path("runs/demo"))
    parser.add_argument("--photos", type=int, default=1000, help="Number of photos.")
    parser.add_argument("--backbones", type=lambda text: tuple(text.split(",")), default=("ResNet50", "DenseNet121"))
    parser.add_argument("--image-size-px", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--measure", type=pathlib.Path, help="Measure in this prepared folder, in this process.")
    parser.add_argument("--cluster", help="With --measure: address of the scheduler.")
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.measure, args.backbones, args.image_size_px, args.cluster)))
        return
    with tempfile.TemporaryDirectory() as folder:
        prepared = pathlib.Path(folder, "prepared")
        prepare(args.run_dir, prepared, args.photos, args.image_size_px)
        networks = ["--backbones", ",".join(args.backbones), "--image-size-px", str(args.image_size_px)]
        for number in range(1, args.rounds + 1):
            print(f"\nround {number}: {args.photos} photos, {1 + VIEWS} views, {' '.join(networks)}", flush=True)
            print_round({workers: measure_with(workers, prepared, networks) for workers in WORKERS})


def print_round(seconds: dict[int, dict[str, float]]) -> None:
    total = {workers: sum(stages.values()) for workers, stages in seconds.items()}
    for name in ("features", "search"):
        show(f"{name}: 2 workers / 1 worker", f"{seconds[2][name] / seconds[1][name]:.3f}", "<= 0.56")
    show("both: 2 workers / 1 worker", f"{total[2] / total[1]:.3f}", "<= 0.56")
    show("both: 4 workers / 1 worker", f"{total[4] / total[1]:.3f}", "")
    show("both: 2 workers / processes of this machine", f"{total[2] / total[0]:.3f}", "<= 1.05")


def prepare(run_dir: pathlib.Path, folder: pathlib.Path, count: int, image_size_px: int) -> None:
    """Write the photo list and the records of up to `count` photos of a run into `folder`."""
    from components.data import photos, records

    photo_list = photos.read(run_dir / "photos.csv")
    selected = [photo_list[row] for row in photos.spread_rows(len(photo_list), count)]
    photos.write(folder / "photos.csv", selected)
    records.build(
        folder / "dataset",
        selected,
        image_size_px=image_size_px,
        max_pixels=52_000_000,
        max_rejects=0.02,
        folds=5,
        beam_args=[],
        progress=lambda done, total: None,
    )


def measure_with(workers: int, prepared: pathlib.Path, networks: list[str]) -> dict[str, float]:
    """Return stage -> seconds on a new cluster with this number of workers, in a child process."""
    with tempfile.TemporaryDirectory() as folder, cluster(workers) as address:
        run_dir = pathlib.Path(folder, "run")
        shutil.copytree(prepared, run_dir)
        command = [sys.executable, "-m", "benchmarks.cluster", "--measure", str(run_dir), *networks]
        command += ["--cluster", address] if address else []
        output = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
        seconds: dict[str, float] = json.loads(output.splitlines()[-1])
        print(f"  {workers or 'no'} workers: {seconds}", flush=True)
        return seconds


def measure(
    run_dir: pathlib.Path, backbones: tuple[settings.Backbone, ...], image_size_px: int, address: str | None
) -> dict[str, float]:
    import rich.console

    from pipeline import config, runner
    from pipeline.stages import features, search

    run_settings = config.Config(
        run_dir,
        random_weights=True,
        backbones=backbones,
        views=VIEWS,
        image_size_px=image_size_px,
        cluster=address,
    )
    (run_dir / "tmp").mkdir()
    for stage in (features.STAGE, search.STAGE):
        runner.run(stage, run_settings, rich.console.Console(quiet=True))
    return {name: (runner.read(run_dir, name) or {})["seconds"] for name in ("features", "search")}


@contextlib.contextmanager
def cluster(workers: int) -> Iterator[str | None]:
    """Yield the address of a scheduler with this number of workers; None for 0 workers."""
    if not workers:
        yield None
        return
    address = f"tcp://127.0.0.1:{PORT}"
    with (
        program("scheduler at", "scheduler", "--port", PORT, "--dashboard-port", "0"),
        program("workers for", "worker", address, "--workers", str(workers)),
    ):
        yield address


@contextlib.contextmanager
def program(ready: str, *arguments: str) -> Iterator[None]:
    """Run a command of the pipeline during the block, which starts when the command prints `ready`."""
    with tempfile.TemporaryDirectory() as folder:
        log = pathlib.Path(folder, "log.txt")
        with log.open("w") as stream:
            command = [sys.executable, "-m", "pipeline", *arguments]
            process = subprocess.Popen(command, cwd=ROOT, stdout=stream, stderr=stream)
        try:
            while ready not in log.read_text():
                if process.poll() is not None:
                    sys.exit(f"'{' '.join(arguments)}' ended: {log.read_text()}")
                time.sleep(0.2)
            yield
        finally:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    main()
