"""Benchmark of fine-tuning on a GPU: photos a second, share of the GPU's matrix peak, and the time of the study.

`make bench-gpu`, with KERAS_BACKEND=jax where only JAX supports the GPU. Pixels and weights are random, which does not
change the speed. Without a GPU, it prints a message and exits with 0.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow reads it when it is imported

import argparse
import functools
import pathlib
import tempfile
import time
from collections.abc import Callable

import keras
import numpy as np

from benchmarks.serving import show
from components.base import settings
from components.data import pixels
from components.models import backbones, finetuning, inference

# multiply-adds of the forward pass of a 224x224 photo: He et al. 2015, Simonyan and Zisserman 2014, Huang et al. 2016
MULTIPLY_ADDS = {"ResNet50": 3.8e9, "VGG19": 19.6e9, "DenseNet121": 2.9e9}
TRAINING_COST = 3  # in forward passes: one, and two for the gradients of activations and weights
MATRIX_SIZE = 8192  # rows and columns of the matrices that measure the GPU's peak
EPOCHS_TIMED = 2
STUDY = {"photos of a fold's training": 2017, "folds": 5, "epochs": 10, "scenarios a backbone": 9}
BOUND_MINUTES = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=2048, help="Number of photos in a timed epoch.")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--image-size-px", type=int, default=224)
    parser.add_argument("--anyway", action="store_true", help="Measure without a GPU too.")
    args = parser.parse_args()
    backend = keras.config.backend()
    if not (inference.on_gpu() or args.anyway):
        print(f"bench-gpu: {backend} finds no GPU, so nothing was measured. Add --anyway to measure without one.")
        return
    peak = matrix_peak(MATRIX_SIZE if inference.on_gpu() else MATRIX_SIZE // 8)
    print(f"{backend}, bfloat16, {args.photos} photos of {args.image_size_px} px, batches of {args.batch_size}\n")
    show("matrix peak, bfloat16", f"{peak / 1e12:.1f} TFLOP/s")
    seconds = 0.0
    with tempfile.TemporaryDirectory() as folder:
        examples = random_examples(pathlib.Path(folder), args.photos, args.image_size_px)
        for name in settings.THESIS_BACKBONES:
            start_seconds, epoch_seconds = training_seconds(name, examples, args.image_size_px, args.batch_size)
            rate = args.photos / epoch_seconds
            flops_per_photo = 2 * TRAINING_COST * MULTIPLY_ADDS[name] * (args.image_size_px / 224) ** 2
            show(f"{name}: photos a second", f"{rate:.0f}")
            show(f"{name}: share of the matrix peak", f"{rate * flops_per_photo / peak:.2f}")
            show(f"{name}: start of a fold, first step included", f"{start_seconds:.1f} s")
            fold_seconds = start_seconds + STUDY["epochs"] * STUDY["photos of a fold's training"] / rate
            seconds += fold_seconds * STUDY["folds"] * STUDY["scenarios a backbone"]
    show("27 x 5 x 10, extrapolated from a start and an epoch", f"{seconds / 60:.0f} min", f"<= {BOUND_MINUTES} min")


def matrix_peak(size: int) -> float:
    """Return the floating-point operations per second of a product of large bfloat16 matrices."""
    matrix = keras.ops.ones((size, size), "bfloat16")
    wait(keras.ops.matmul(matrix, matrix))
    repeats = 20
    product = matrix

    def multiply() -> None:
        nonlocal product
        for _ in range(repeats):
            product = keras.ops.matmul(matrix, product)
        wait(product)

    return repeats * 2 * size**3 / seconds_of(multiply)


def random_examples(folder: pathlib.Path, count: int, size_px: int) -> pixels.Examples:
    rng = np.random.default_rng(1)
    photos = rng.integers(0, 256, (count, size_px, size_px, 3), np.uint8)
    np.save(folder / "pixels.npy", photos)
    ids = [f"{number:016x}" for number in range(count)]
    return pixels.Examples(ids, np.load(folder / "pixels.npy", mmap_mode="r"), np.arange(count) % 6)


def training_seconds(
    name: settings.Backbone, examples: pixels.Examples, size_px: int, batch_size: int
) -> tuple[float, float]:
    """Return the seconds of a fold's start, its first step included, and of a later epoch."""
    weights, rows = backbones.Weights(None, 1), np.arange(len(examples.labels))
    recipe = finetuning.Recipe(
        backbone=name,
        weights=weights,
        image_size_px=size_px,
        classes=6,
        optimizer="Adam",
        dropout=0.0,
        learning_rate=1e-4,
        weight_decay=0.0,
        epochs=EPOCHS_TIMED,
        batch_size=batch_size,
        seed=1,
        precision="bfloat16",
    )
    started = time.perf_counter()
    model = finetuning.build(recipe)
    finetuning.prepare(model, model, recipe, steps=-(-len(rows) // batch_size), epoch=0)
    first_batch = finetuning.batches(recipe, examples, rows[:batch_size], epoch=0, seed=1)
    model.fit(first_batch, shuffle=False, verbose=0)
    start_seconds = time.perf_counter() - started
    epoch_seconds = [
        seconds_of(functools.partial(model.fit, data, shuffle=False, verbose=0))
        for data in (finetuning.batches(recipe, examples, rows, epoch=epoch, seed=1) for epoch in range(EPOCHS_TIMED))
    ]
    return start_seconds, min(epoch_seconds)


def wait(tensor: object) -> None:
    """Wait until `tensor` is computed: GPUs work asynchronously."""
    float(keras.ops.convert_to_numpy(keras.ops.cast(tensor[0, 0], "float32")))  # type: ignore[index]


def seconds_of(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
