"""OpenVINO as inference engine of frozen backbones."""

import collections
import pathlib
import tempfile
from collections.abc import Iterable, Iterator

import keras
import numpy as np

from components.base import machine, settings
from components.models import frozen_graph


def load(model: keras.Model, precision: settings.ComputeDtype) -> frozen_graph.Forward:
    """Return the function that runs `model`, built in float32, in `precision`.

    It runs a stream on each core, each with its own batch, so that no core waits for another.
    """
    import openvino  # here, because it takes half a second that other engines do not need

    core = openvino.Core()
    hints = {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "INFERENCE_NUM_THREADS": machine.cores(),
        "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
    }
    # by a frozen graph, because OpenVINO's converter for Keras models reports each use over the network
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "frozen.pb"
        frozen_graph.write(model, path)
        compiled = core.compile_model(core.read_model(path), "CPU", hints)
    # twice as many requests as run at once, so that a core always has its next batch ready
    count = 2 * compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")

    def forward(batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        free = [compiled.create_infer_request() for _ in range(count)]
        running: collections.deque = collections.deque()  # oldest first
        for pixels in batches:
            if not free:
                free.append(running.popleft())
                yield _result(free[-1])
            request = free.pop()
            request.start_async({0: pixels})
            running.append(request)
        yield from map(_result, running)

    return forward


def _result(request: object) -> np.ndarray:
    request.wait()  # type: ignore[attr-defined]
    return request.get_output_tensor().data.copy()  # type: ignore[attr-defined]
