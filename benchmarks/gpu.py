"""Fine-tuning on a GPU: photos a second, share of the GPU's matrix peak, and the time of the whole study.

`make bench-gpu`, with KERAS_BACKEND=jax where the GPU's libraries are JAX's. Photos are random pixels and weights
random: neither changes the speed. Without a GPU it says so and ends with 0.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow reads it as it is imported

import argparse
import functools
import pathlib
import tempfile
import time
from collections.abc import Callable

import keras
import numpy as np

from benchmarks.serving import show
from components.data import pixels
from components.models import backbones, finetune, inference

# multiply-adds of one 224x224 photo, forward: He et al. 2015, Simonyan and Zisserman 2014, Huang et al. 2016
MULTIPLY_ADDS = {"ResNet50": 3.8e9, "VGG19": 19.6e9, "DenseNet121": 2.9e9}
TRAINING = 3  # a step costs the forward pass, and twice as much for the gradients of activations and of weights
MATRIX = 8192  # rows and columns of the matrices that show the GPU's peak
EPOCHS_TIMED = 2
STUDY = {"photos of a fold's training": 2017, "folds": 5, "epochs": 10, "scenarios a backbone": 9}
BOUND_MINUTES = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=2048, help="of an epoch that is timed")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--image-size-px", type=int, default=224)
    parser.add_argument("--anyway", action="store_true", help="measure whatever there is in place of a GPU")
    given = parser.parse_args()
    backend = keras.config.backend()
    if not (inference.on_gpu() or given.anyway):
        print(f"bench-gpu: a GPU is needed. Received: none that {backend} can see. Nothing was measured.")
        return
    peak = matrix_peak(MATRIX if inference.on_gpu() else MATRIX // 8)
    print(f"{backend}, bfloat16, {given.photos} photos of {given.image_size_px} px, batches of {given.batch_size}\n")
    show("matrix peak, bfloat16", f"{peak / 1e12:.1f} TFLOP/s")
    seconds = 0.0
    with tempfile.TemporaryDirectory() as folder:
        examples = random_examples(pathlib.Path(folder), given.photos, given.image_size_px)
        for name in backbones.BACKBONES:
            start, epoch = training(name, examples, given.image_size_px, given.batch_size)
            rate = given.photos / epoch
            work = 2 * TRAINING * MULTIPLY_ADDS[name] * (given.image_size_px / 224) ** 2
            show(f"{name}: photos a second", f"{rate:.0f}")
            show(f"{name}: share of the matrix peak", f"{rate * work / peak:.2f}")
            show(f"{name}: until the first step of a fold", f"{start:.1f} s")
            fold = start + STUDY["epochs"] * STUDY["photos of a fold's training"] / rate
            seconds += fold * STUDY["folds"] * STUDY["scenarios a backbone"]
    show("27 x 5 x 10, by what an epoch and a start take", f"{seconds / 60:.0f} min", f"<= {BOUND_MINUTES} min")


def matrix_peak(size: int) -> float:
    """Floating-point operations a second of a product of large matrices in bfloat16."""
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
    draw = np.random.default_rng(1)
    photos = draw.integers(0, 256, (count, size_px, size_px, 3), np.uint8)
    np.save(folder / "pixels.npy", photos)
    ids = [f"{number:016x}" for number in range(count)]
    return pixels.Examples(ids, np.load(folder / "pixels.npy", mmap_mode="r"), np.arange(count) % 6)


def training(name: str, examples: pixels.Examples, size_px: int, batch_size: int) -> tuple[float, float]:
    """Seconds from nothing to the end of the first step of a fold, and of an epoch after it."""
    weights, rows = backbones.Weights(None, 1), np.arange(len(examples.labels))
    recipe = finetune.Recipe(
        name,
        weights,
        size_px,
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
    model = finetune.build(recipe)
    finetune.prepare(model, model, recipe, -(-len(rows) // batch_size), epoch=0)
    model.fit(finetune.batches(recipe, examples, rows[:batch_size], 0, 1), shuffle=False, verbose=0)
    start = time.perf_counter() - started
    epochs = [
        seconds_of(functools.partial(model.fit, data, shuffle=False, verbose=0))
        for data in (finetune.batches(recipe, examples, rows, epoch, 1) for epoch in range(EPOCHS_TIMED))
    ]
    return start, min(epochs)


def wait(tensor: object) -> None:
    """Until `tensor` is there: GPUs are asked and not waited for."""
    float(keras.ops.convert_to_numpy(keras.ops.cast(tensor[0, 0], "float32")))  # type: ignore[index]


def seconds_of(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
