"""What prediction sets, typicality and heat maps cost: `python -m benchmarks.extra_outputs --run-dir RUN`.

Each figure is a ratio of medians of calls with one photo, made in turn in one process.
"""

import argparse
import functools
import pathlib
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np

from components.data import images, photos
from components.publish import export, push
from pipeline import run_folder
from serving.embedded import saved_model

CALLS = {  # name -> signature and outputs
    "scores alone": (export.SIGNATURE, ("scores", "class_names")),
    "all outputs": (export.SIGNATURE, ("scores", "class_names", "in_set", "typicality")),
    "heat map": (export.EXPLAIN, ("heatmap",)),
}
BOUNDS = {"all outputs": "<= 1.05", "heat map": "<= 4"}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run-dir", type=pathlib.Path, required=True, help="Finished run with a pushed model.")
    parser.add_argument("--photos", type=int, default=64, help="Number of photos of the run to send.")
    args = parser.parse_args(arguments)
    base, photo_list = args.run_dir / run_folder.SERVED, run_folder.usable_photos(args.run_dir)
    model = saved_model.SavedModel(base / str(push.versions(base)[-1]))
    times: dict[str, list[float]] = {name: [] for name in CALLS}
    for number, row in enumerate([0, *photos.spread_rows(len(photo_list), args.photos)]):
        photo = images.plain_bytes(photos.read_bytes(photo_list[row].path, photo_list[row].id))[0]
        for name, (signature, outputs) in CALLS.items():
            inputs = {"image_bytes": np.array([photo], object)}
            seconds = seconds_of(functools.partial(model.run, signature, inputs, outputs))
            if number:  # the first call of each builds its program
                times[name].append(seconds)
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"scores alone: {medians['scores alone'] * 1e3:.1f} ms a photo")
    for name, bound in BOUNDS.items():
        print(f"{name} : scores alone  {medians[name] / medians['scores alone']:.3f}   bound {bound}")


def seconds_of(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
