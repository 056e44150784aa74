"""Benchmark of time and memory with 2 and 4 times the photos: `make bench RUN=runs/thesis`.

It measures records, the features of one backbone and the search on them, each size in a separate process.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow reads both when it is imported
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import argparse
import collections
import json
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

from benchmarks.serving import ROOT, show

SMALLEST_PHOTOS = 75
SIZE_PX = 96


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run-dir", type=pathlib.Path, default=pathlib.Path("runs/demo"))
    parser.add_argument("--photos", type=int, help="Measure only this number of photos, in this process.")
    args = parser.parse_args()
    if args.photos:
        print(json.dumps(measure(args.run_dir, args.photos)))
        return
    photo_count = len((args.run_dir / "photos.csv").read_text().splitlines()) - 1
    smallest = min(SMALLEST_PHOTOS, photo_count // 4)
    print(f"{smallest}, {2 * smallest} and {4 * smallest} photos at {SIZE_PX} px, ResNet50, one view\n")
    costs = [measure_in_child_process(args.run_dir, times * smallest) for times in (1, 2, 4)]
    for times, cost in zip((2, 4), costs[1:], strict=True):
        bounds = ("<= 4.2", "<= 1.2") if times == 4 else ("", "")
        show(f"time of {times} times the photos", f"{cost['seconds'] / costs[0]['seconds']:.2f}", bounds[0])
        show(f"peak memory of {times} times the photos", f"{cost['peak_mib'] / costs[0]['peak_mib']:.2f}", bounds[1])
    print("  " + ", ".join(f"{cost['seconds']:.1f} s and {cost['peak_mib']:.0f} MiB" for cost in costs))


def measure_in_child_process(run_dir: pathlib.Path, photos: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.scaling", "--run-dir", str(run_dir), "--photos", str(photos)]
    output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return json.loads(output.splitlines()[-1])


def measure(run_dir: pathlib.Path, count: int) -> dict[str, float]:
    """Return the seconds of the three stages and the peak memory of this process, in MiB."""
    from components.data import augmentation, photos, records
    from components.models import backbones, extraction, features, inference
    from tuner import cross_validation, scenarios
    from tuner import study as study_module

    photo_list = photos.read(run_dir / "photos.csv")
    counts: collections.Counter[tuple[str, int]] = collections.Counter()

    def rank_in_class_and_fold(photo: photos.Photo) -> int:
        counts[photo.label, photo.fold] += 1
        return counts[photo.label, photo.fold]

    # takes the first photo of each class and fold, then the second, because every fold needs photos of every class
    selected = sorted(sorted(photo_list, key=rank_in_class_and_fold)[:count], key=lambda photo: photo.id)
    classes = photos.class_names(selected)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        started = time.perf_counter()
        records.build(
            folder / "dataset",
            selected,
            image_size_px=SIZE_PX,
            max_pixels=50_000_000,
            max_rejects=0.05,
            folds=2,
            beam_args=(),
            progress=ignore,
        )
        usable = photos.accepted(selected, folder / "dataset")
        precision = features.pick_precision("auto")
        engine = inference.pick("auto", "ResNet50", precision)
        extraction.extract(
            folder / "features" / "ResNet50",
            extraction.Source(folder / "dataset", [photo.id for photo in usable], augmentation.Augmentation(1)),
            extraction.Network("ResNet50", backbones.Weights(None, 1), SIZE_PX, engine, precision),
            views=1,
            test_views=1,
            progress=ignore,
        )
        study = study_module.Study(
            photo_list=usable,
            classes=classes,
            folds=5,
            features_dir=folder / "features",
            views=1,
            epochs=10,
            batch_size=32,
            learning_rate=1e-4,
            weight_decay=0.004,
            seed=1,
        )
        scenario_list = scenarios.list_scenarios(("ResNet50",), ("Adam",), (0.0,))
        cross_validation.search(study, scenario_list, folder / "trials", processes=1, progress=ignore)
        seconds = time.perf_counter() - started
    return {"seconds": seconds, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def ignore(done: int, total: int) -> None:
    pass


if __name__ == "__main__":
    main()
