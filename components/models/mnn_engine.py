"""MNN as inference engine of frozen backbones; its Winograd convolutions make VGG19 twice as fast on CPUs."""

import collections
import concurrent.futures
import contextlib
import ctypes
import functools
import importlib.util
import os
import pathlib
import queue
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator

import keras
import numpy as np

from components.base import machine
from components.models import frozen_graph

CONVERSION = pathlib.Path(__file__).with_name("mnn_conversion.py")
TOLERANCE = 0.01  # share of the largest activation; VGG19's activations differ by up to 0.0005 on random pixels
PHOTOS_AT_ONCE = 4  # per session; larger batches are not faster, and 16 photos need 0.3 GB more


class UnusableError(Exception):
    """MNN cannot run a model; the message completes the sentence that starts with "MNN"."""


@functools.cache
def problem() -> str:
    """Return why MNN cannot run a convolutional network on this machine, or "" if it can."""
    pixels = keras.Input((8, 8, 3), dtype="uint8")
    x = keras.layers.Conv2D(4, 3, activation="relu")(keras.ops.cast(pixels, "float32"))
    try:
        load(keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(x)))
    except UnusableError as error:
        return str(error)
    return ""


def load(model: keras.Model) -> frozen_graph.Forward:
    """Return the function that runs `model` in float32.

    It runs a single-threaded session for each core, each with its own batch and its own copy of the weights, because
    sessions of the same interpreter wait for each other. The results do not depend on the number of cores.

    Raises:
        UnusableError: MNN is not installed, cannot load the model, or gives other activations than Keras.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.mnn"
        _convert(model, path)
        with _native_output_discarded():
            sessions = [_Session(path) for _ in range(machine.cores())]

    def forward(batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        free: queue.SimpleQueue[_Session] = queue.SimpleQueue()
        for session in sessions:
            free.put(session)

        def run(pixels: np.ndarray) -> np.ndarray:
            session = free.get()
            try:
                return session.run(pixels)
            finally:
                free.put(session)

        running: collections.deque[concurrent.futures.Future] = collections.deque()  # oldest first
        executor = concurrent.futures.ThreadPoolExecutor(len(sessions))
        try:
            for pixels in batches:
                if len(running) == 2 * len(sessions):  # so that a session always has its next batch ready
                    yield running.popleft().result()
                running.append(executor.submit(run, pixels))
            while running:
                yield running.popleft().result()
        finally:
            executor.shutdown(cancel_futures=True)

    _check(forward, model)
    return forward


def _check(forward: frozen_graph.Forward, model: keras.Model) -> None:
    """Compare the output for random pixels with Keras's, because the converter leaves out unknown operations."""
    pixels = np.random.default_rng(0).integers(0, 256, (1, *model.input_shape[1:]), np.uint8)
    output, expected = next(forward([pixels])), np.asarray(model(pixels, training=False))
    if output.shape != expected.shape or not np.abs(output - expected).max() <= TOLERANCE * np.abs(expected).max():
        raise UnusableError("gives other activations than Keras for the same pixels")


class _Session:
    """A network that runs on one thread."""

    def __init__(self, path: pathlib.Path) -> None:
        import MNN

        self._mnn = MNN
        self._interpreter = MNN.Interpreter(str(path))
        self._session = self._interpreter.createSession({"backend": "CPU", "precision": "high", "numThread": 1})
        self._shape: tuple[int, ...] = ()

    def run(self, pixels: np.ndarray) -> np.ndarray:
        """Return the output for `pixels`, uint8 [n, size, size, 3]: float32 [n, ...]."""
        parts = [pixels[start : start + PHOTOS_AT_ONCE] for start in range(0, len(pixels), PHOTOS_AT_ONCE)]
        return np.concatenate([self._run(part) for part in parts])

    def _run(self, pixels: np.ndarray) -> np.ndarray:
        mnn, inputs = self._mnn, self._interpreter.getSessionInput(self._session)
        if pixels.shape != self._shape:
            self._interpreter.resizeTensor(inputs, pixels.shape)
            self._interpreter.resizeSession(self._session)
            self._shape = pixels.shape
        channels_last = mnn.Tensor_DimensionType_Tensorflow
        inputs.copyFrom(mnn.Tensor(pixels.shape, mnn.Halide_Type_Uint8, np.ascontiguousarray(pixels), channels_last))
        self._interpreter.runSession(self._session)
        output = self._interpreter.getSessionOutput(self._session)
        values, layout = np.zeros(output.getShape(), np.float32), output.getDimensionType()
        on_host = mnn.Tensor(values.shape, mnn.Halide_Type_Float, values, layout)
        output.copyToHostTensor(on_host)
        values = np.array(on_host.getNumpyData())
        return values if layout == channels_last else np.moveaxis(values, 1, -1)


def _convert(model: keras.Model, path: pathlib.Path) -> None:
    if importlib.util.find_spec("MNN") is None:
        raise UnusableError("is not installed")
    graph = path.with_suffix(".pb")
    frozen_graph.write(model, graph)
    # -P, because otherwise modules in the script's folder hide others of the same name
    command = [sys.executable, "-P", str(CONVERSION), str(graph), str(path), str(model.input_shape[1])]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode < 0:
        raise UnusableError(f"crashed with signal {-result.returncode}")
    if result.returncode:
        raise UnusableError(f"reports: {result.stderr.strip().splitlines()[-1]}")


@contextlib.contextmanager
def _native_output_discarded() -> Iterator[None]:
    """Discard what MNN's C++ code prints on standard output when it loads a model."""
    sys.stdout.flush()
    stdout, devnull = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    try:
        yield
    finally:
        ctypes.CDLL(None).fflush(None)
        os.dup2(stdout, 1)
        os.close(stdout)
        os.close(devnull)
