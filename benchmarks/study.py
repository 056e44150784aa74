"""Benchmark of the study: features against bare engine loops, the search, and the whole against naive training.

`make bench RUN=runs/thesis`. Each figure is a ratio of two measurements of the same benchmark, on that run's photos.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow reads both when it is imported
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import argparse
import functools
import itertools
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, get_args

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from benchmarks.serving import ROOT, show
from components.base import artifacts, settings
from components.data import augmentation, images, photos, records
from components.models import backbones, features, frozen_graph, inference
from pipeline import config as config_module
from pipeline import run_folder
from tuner import cross_validation, scenarios, trial_folder, workers
from tuner import study as study_module

PHOTOS_AT_ONCE = 16
# backbone -> photos of a measurement: a few batches for each core
MEASURED_PHOTOS = {"ResNet50": 96, "VGG19": 64, "DenseNet121": 96}
NAIVE_BATCH, NAIVE_TEST = 32, 8  # photos; testing is 2.5 % of the time
RECORD_PHOTOS = 1_280
THESIS = {"photos": 2521, "folds": 5, "epochs": 10, "views": 10, "scenarios": 27, "scenarios a backbone": 9}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run-dir", type=pathlib.Path, default=pathlib.Path("runs/demo"))
    parser.add_argument("--weights-dir", type=pathlib.Path, help="Folder of ImageNet weights; random ones are as fast.")
    parser.add_argument("--long", action="store_true", help="Search all 27 scenarios instead of nine.")
    args = parser.parse_args()
    if not (args.run_dir / "dataset" / "rejects.csv").exists():
        sys.exit(f"bench: --run-dir must hold a run with records, and {args.run_dir} has none. Make one with make run.")
    config = config_module.read(args.run_dir)
    precision = features.pick_precision("auto")
    print(f"{args.run_dir}, {config.image_size_px} px, {precision}, {os.cpu_count()} cores\n")
    print(f"{'what':66} {'figure':>12}   bound")
    paths = [pathlib.Path(photo.path) for photo in run_folder.usable_photos(config.run_dir)]
    stage_seconds = {"preprocessing": preprocessing(config)}
    naive = 0.0
    for name in settings.THESIS_BACKBONES:
        file = backbones.BACKBONES[name].weights_file
        weights = backbones.Weights(str(args.weights_dir / file) if args.weights_dir else None, 1)
        rate = extraction(config, name, weights, precision)
        stage_seconds[name] = (THESIS["views"] + 1) * THESIS["photos"] / rate
        naive += naive_seconds(config, name, weights, paths)
    stage_seconds["search"] = search(args.long)
    show("naive training, hours, extrapolated from a batch", f"{naive / 3600:.1f} h")
    show("this pipeline, hours, extrapolated from its rates", f"{sum(stage_seconds.values()) / 3600:.2f} h")
    print("  " + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in stage_seconds.items()))
    show("naive training : this pipeline", f"{naive / sum(stage_seconds.values()):.1f}", ">= 65")


def preprocessing(config: config_module.Config) -> float:
    """Return the seconds of writing the records of the thesis's photos."""
    photo_list = run_folder.usable_photos(config.run_dir)[:RECORD_PHOTOS]
    with tempfile.TemporaryDirectory() as folder:
        build = functools.partial(records.build, pathlib.Path(folder), image_size_px=config.image_size_px)
        options: dict[str, Any] = {
            "max_pixels": images.MAX_PIXELS,
            "max_rejects": 0.05,
            "folds": 2,
            "beam_args": (),
            "progress": ignore,
        }
        build(photo_list[: RECORD_PHOTOS // 4], **options)  # warm-up; with fewer photos, a fold may lack a class
        seconds = seconds_of(lambda: build(photo_list, **options))
    show("records per second", f"{len(photo_list) / seconds:.0f}")
    return seconds * THESIS["photos"] / len(photo_list)


def extraction(
    config: config_module.Config,
    name: settings.Backbone,
    weights: backbones.Weights,
    precision: settings.ComputeDtype,
) -> float:
    """Compare feature extraction from records with bare engine loops; return photos per second."""
    size_px, count, engine = config.image_size_px, MEASURED_PHOTOS[name], inference.pick("auto", name, precision)
    model = backbones.build(name, weights, size_px, "float32")
    baselines: tuple[settings.InferenceEngine, ...] = ("openvino", "tensorflow")
    others = [other for other in baselines if other != engine]
    forwards = {engine: inference.load(engine, model, precision)}
    forwards |= {other: inference.load(other, model, "float32") for other in others}
    pixels = np.random.default_rng(1).integers(0, 256, (PHOTOS_AT_ONCE, size_px, size_px, 3), np.uint8)
    ids = [photo.id for photo in run_folder.usable_photos(config.run_dir)]
    maps = augmentation.transforms(ids, 1, augmentation.Augmentation(1), size_px)

    def extraction_rate() -> float:
        batches = features.batches(config.run_dir / "dataset", maps, view=1).repeat().take(count // PHOTOS_AT_ONCE)
        return rate_of(forwards[engine], (batch for _, batch in batches.as_numpy_iterator()))

    def bare_rate(engine: settings.InferenceEngine, photos: int) -> float:
        return rate_of(forwards[engine], itertools.repeat(pixels, photos // PHOTOS_AT_ONCE))

    # measured before and after, because the machine's speed changes
    before, rate, after = bare_rate(engine, count), extraction_rate(), bare_rate(engine, count)
    show(f"{name}: features per second : bare loop of {engine}", f"{2 * rate / (before + after):.2f}", ">= 0.9")
    for other in others:
        bound = ">= 2.0" if (engine, other) == ("mnn", "openvino") else ""
        ratio = rate / bare_rate(other, count if other == "openvino" else count // 2)
        show(f"{name}: features per second : bare loop of {other}, float32", f"{ratio:.2f}", bound)
    print(f"  {rate:.1f} photos per second")
    return rate


def rate_of(forward: frozen_graph.Forward, batches: Iterable[np.ndarray]) -> float:
    """Return photos per second, from the first batch to the last result."""
    started = time.perf_counter()
    done = sum(len(activations) for activations in forward(batches))
    return done / (time.perf_counter() - started)


def naive_seconds(
    config: config_module.Config, name: settings.Backbone, weights: backbones.Weights, paths: Sequence[pathlib.Path]
) -> float:
    """Return the seconds of one backbone's scenarios, trained like the thesis from files in every epoch of every fold.

    Keras's ImageDataGenerator augments and `fit` trains the head on the frozen backbone, measured over a batch;
    `predict` scores the fold, measured over a few photos.
    """
    backbone, size = backbones.BACKBONES[name], (config.image_size_px, config.image_size_px)
    network = backbone.build(weights=weights.source, include_top=False, input_shape=(*size, 3))
    network.trainable = False
    x = keras.layers.GlobalAveragePooling2D()(network.output)
    x = keras.layers.Dense(settings.HIDDEN_UNITS, "relu")(x)
    model = keras.Model(network.input, keras.layers.Dense(6, "softmax")(x))
    model.compile(keras.optimizers.Adam(1e-4), "sparse_categorical_crossentropy", metrics=["accuracy"])
    count = NAIVE_BATCH
    arrays = [np.asarray(Image.open(path).convert("RGB").resize(size), np.float32) for path in paths[:count]]
    generator = tf.keras.preprocessing.image.ImageDataGenerator(
        preprocessing_function=backbone.preprocess,
        rotation_range=20,
        shear_range=0.2,
        zoom_range=0.2,
        width_shift_range=0.1,
        height_shift_range=0.1,
        horizontal_flip=True,
    )
    batches = generator.flow(np.stack(arrays), np.arange(count) % 6, batch_size=NAIVE_BATCH)
    model.fit(batches, epochs=1, verbose=0)  # warm-up
    train = seconds_of(lambda: model.fit(batches, epochs=1, verbose=0)) / count
    tested = np.stack(arrays[:NAIVE_TEST])
    model.predict(tested, verbose=0)
    test = seconds_of(lambda: model.predict(tested, verbose=0)) / NAIVE_TEST
    photos_of_fold = THESIS["photos"] / THESIS["folds"]
    fold_seconds = THESIS["epochs"] * train * (THESIS["photos"] - photos_of_fold) + test * photos_of_fold
    return fold_seconds * THESIS["folds"] * THESIS["scenarios a backbone"]


def search(long: bool) -> float:
    """Return the seconds of 27 scenarios x 5 folds x 10 epochs on random features of the thesis's shape.

    Unless `long`, nine are timed: each backbone with each optimizer and each dropout once. The start of the processes
    is counted once, the rest three times.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        count, classes = THESIS["photos"], list("abcdef")
        listed = [photos.Photo(f"{i:016x}", f"{i}.jpg", classes[i % 6], i // 6 % THESIS["folds"]) for i in range(count)]
        rng = np.random.default_rng(1)
        for backbone, channels in (("ResNet50", 2048), ("VGG19", 512), ("DenseNet121", 1024)):
            artifacts.write_json(folder / backbone / "settings.json", {})
            for view in range(3):
                np.save(features.view_path(folder / backbone, view), rng.random((count, channels), np.float32))
        study = study_module.Study(
            photo_list=listed,
            classes=classes,
            folds=THESIS["folds"],
            features_dir=folder,
            views=2,
            epochs=THESIS["epochs"],
            batch_size=32,
            learning_rate=1e-4,
            weight_decay=0.004,
            seed=1,
        )
        thesis = scenarios.list_scenarios(settings.THESIS_BACKBONES, get_args(settings.Optimizer), settings.DROPOUTS)
        third = [scenario for i, scenario in enumerate(thesis) if (i // 9 + i // 3 + i) % 3 == 0]
        selected, processes = thesis if long else third, workers.count(len(thesis))
        start = 0.0 if long else seconds_of(lambda: start_workers(processes))
        search = functools.partial(cross_validation.search, processes=processes, progress=ignore)
        timed = seconds_of(lambda: search(study, selected, folder / "trials"))
    seconds = start + (timed - start) * len(thesis) / len(selected)
    suffix = "" if long else ", a third x 3"
    show(f"search of 27 x 5 x 10 on finished features{suffix}", f"{seconds:.0f} s", "<= 120 s")
    return seconds


def start_workers(processes: int) -> None:
    """Start the processes of a search, with all their imports."""
    with workers.pool(processes) as executor:
        list(executor.map(trial_folder.path, [pathlib.Path()] * processes, range(processes)))


def seconds_of(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def ignore(done: int, total: int) -> None:
    pass


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
