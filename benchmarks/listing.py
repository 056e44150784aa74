"""Benchmark of a list of many photos: `python -m benchmarks.listing --run-dir runs/many-files --photos 1000000`.

It writes tiny files, and measures the stage photos and the command status on them, each in a separate process. Their
processor time counts, because the time that passes depends on what else the machine does.
"""

import argparse
import pathlib
import resource
import subprocess
import sys
import time

import rich.console

from components.base import artifacts
from pipeline import config as config_module
from pipeline.commands import status
from pipeline.config import Config
from pipeline.stages import photos

CLASSES = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run-dir", type=pathlib.Path, required=True, help="New run folder.")
    parser.add_argument("--photos", type=int, default=1_000_000, help="Number of files.")
    parser.add_argument("--step", choices=("photos", "status"), help="Measure only this, in this process.")
    args = parser.parse_args()
    config = Config(run_dir=args.run_dir, images=(args.run_dir / "many-files",))
    if args.step:
        measure(config, args.step)
        return
    write_files(config.images[0], args.photos)
    artifacts.write_json(config.run_dir / "run.json", config_module.to_json(config))
    for step in ("photos", "status"):
        subprocess.run([sys.executable, "-m", "benchmarks.listing", *sys.argv[1:], "--step", step], check=True)


def write_files(folder: pathlib.Path, count: int) -> None:
    for number in range(CLASSES):
        (folder / f"class-{number}").mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"class-{number % CLASSES}" / f"photo-{number:09d}.jpg").write_bytes(b"%d" % number)


def measure(config: Config, step: str) -> None:
    """Print processor time, time and peak memory of a step."""
    started = time.perf_counter()
    if step == "photos":
        photos.check(config)
        photos.inputs(config)
        photos.run(config, lambda done, total, what="", note="": None)
    else:
        status.show(config.run_dir, rich.console.Console(quiet=True))
    seconds, peak_mib = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{step}: {time.process_time():.1f} s of processor time, {seconds:.1f} s, {peak_mib:.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
