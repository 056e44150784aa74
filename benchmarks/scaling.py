"""What 2 and 4 times the photos cost in time and memory: `make bench RUN=runs/thesis`.

Records, features of one backbone and the search on them, each size in a process of its own.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow reads both as it is imported
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import argparse
import json
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

from benchmarks.serving import ROOT, show

SMALLEST = 75
SIZE_PX = 96


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run-dir", type=pathlib.Path, default=pathlib.Path("runs/demo"))
    parser.add_argument("--photos", type=int, help="measure one size, in this process")
    given = parser.parse_args()
    if given.photos:
        print(json.dumps(measure(given.run_dir, given.photos)))
        return
    there = len((given.run_dir / "photos.csv").read_text().splitlines()) - 1
    smallest = min(SMALLEST, there // 4)
    print(f"{smallest}, {2 * smallest} and {4 * smallest} photos at {SIZE_PX} px, ResNet50, one view\n")
    costs = [child(given.run_dir, times * smallest) for times in (1, 2, 4)]
    for times, cost in zip((2, 4), costs[1:], strict=True):
        bounds = ("<= 4.2", "<= 1.2") if times == 4 else ("", "")
        show(f"time of {times} times the photos", f"{cost['seconds'] / costs[0]['seconds']:.2f}", bounds[0])
        show(f"peak memory of {times} times the photos", f"{cost['peak_mib'] / costs[0]['peak_mib']:.2f}", bounds[1])
    print("  " + ", ".join(f"{cost['seconds']:.1f} s and {cost['peak_mib']:.0f} MiB" for cost in costs))


def child(run_dir: pathlib.Path, photos: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.scaling", "--run-dir", str(run_dir), "--photos", str(photos)]
    answer = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return json.loads(answer.splitlines()[-1])


def measure(run_dir: pathlib.Path, count: int) -> dict[str, float]:
    """Seconds of the three stages, and the most memory that the process has held."""
    from components.data import augment, photos, records
    from components.models import backbones, features, inference
    from tuner import cross_validation, scenarios, study

    listed = photos.read(run_dir / "photos.csv")
    chosen = listed[:: max(1, len(listed) // count)][:count]
    classes = photos.class_names(chosen)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        started = time.perf_counter()
        records.build(folder / "dataset", chosen, SIZE_PX, 50_000_000, 0.05, 2, (), ignore)
        usable = photos.accepted(chosen, folder / "dataset")
        ids = [photo.id for photo in usable]
        extract = (folder / "features" / "ResNet50", folder / "dataset", ids, "ResNet50", backbones.Weights(None, 1))
        augmentation = augment.Augmentation(1)
        features.extract(
            *extract, 1, 1, augmentation, SIZE_PX, inference.pick("auto"), features.pick_precision("auto"), ignore
        )
        ours = study.Study(usable, classes, 5, folder / "features", 1, 10, 32, 1e-4, 0.004, 1)
        one = scenarios.list_scenarios(("ResNet50",), ("Adam",), (0.0,))
        cross_validation.search(ours, one, folder / "trials", processes=1, progress=ignore)
        seconds = time.perf_counter() - started
    return {"seconds": seconds, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def ignore(done: int, total: int) -> None:
    pass


if __name__ == "__main__":
    main()
