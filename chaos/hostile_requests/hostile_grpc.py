"""Hostile gRPC calls: seeded mutations of requests to the model server, and the statuses that may answer them."""

import random
import time
from collections.abc import Callable
from typing import Any

import grpc
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import predict_pb2

from chaos import probes, servers

METHODS = (
    *(f"PredictionService/{name}" for name in ("Predict", "GetModelMetadata", "Classify", "Regress", "MultiInference")),
    *(f"ModelService/{name}" for name in ("GetModelStatus", "HandleReloadConfigRequest")),
)
PREDICT = METHODS[0]
REFUSALS = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNAVAILABLE,
}
NAMES = ("", "pilah", "nothing", "x" * 5000, "\0", "../..", "päläh", "%s{}", "serving_default", "double", "a\nb")
SIZES = (0, 1, 2, 3, 4, 17, 1000, -1, -(2**63), 2**31, 2**62, 2**63 - 1)
FIELDS = ("float_val", "double_val", "int_val", "int64_val", "uint32_val", "bool_val", "half_val", "string_val")
MANY = 100_000


def valid(rng: random.Random) -> predict_pb2.PredictRequest:
    """Return a valid request for one of the signatures."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "pilah"
    if rng.random() < 0.5:
        request.model_spec.signature_name = "serving_default"
        tensor = request.inputs["image_bytes"]
        tensor.dtype = 7
        tensor.tensor_shape.dim.add(size=1)
        tensor.string_val.append(probes.photo())
    else:
        request.model_spec.signature_name = "double"
        tensor = request.inputs["x"]
        tensor.dtype = 1
        tensor.tensor_shape.dim.add(size=1)
        tensor.tensor_shape.dim.add(size=3)
        tensor.float_val.extend([1.0, 2.0, 3.0])
    return request


def _tensor(request: predict_pb2.PredictRequest) -> tensor_pb2.TensorProto:
    return next(iter(request.inputs.values()))


def flipped(rng: random.Random) -> bytes:
    """Return a valid request with changed, missing or more bytes."""
    message = bytearray(valid(rng).SerializeToString())
    for _ in range(rng.randint(1, 8)):
        message[rng.randrange(len(message))] = rng.randrange(256)
    end = rng.choice((len(message), rng.randrange(len(message))))
    return bytes(message[:end]) + rng.randbytes(rng.choice((0, 0, 5)))


def wrong_dtype(rng: random.Random) -> bytes:
    request = valid(rng)
    tensor = _tensor(request)
    tensor.dtype = rng.choice((*range(27), 101, 119, 127, 200, -1))
    field = rng.choice(FIELDS)
    getattr(tensor, field).extend([b"x" if field == "string_val" else 1] * rng.choice((0, 1, 3)))
    return bytes(request.SerializeToString())


def wrong_shape(rng: random.Random) -> bytes:
    request = valid(rng)
    tensor = _tensor(request)
    del tensor.tensor_shape.dim[:]
    for _ in range(rng.choice((0, 1, 1, 2, 2, 3, 70, 300))):
        tensor.tensor_shape.dim.add(size=rng.choice(SIZES))
    tensor.tensor_shape.unknown_rank = rng.random() < 0.1
    if rng.random() < 0.3:
        tensor.tensor_content = rng.randbytes(rng.choice((1, 11, 12, 4096)))
    return bytes(request.SerializeToString())


def wrong_names(rng: random.Random) -> bytes:
    request = valid(rng)
    request.model_spec.name = rng.choice(("pilah", *NAMES))
    request.model_spec.signature_name = rng.choice(NAMES)
    if rng.random() < 0.5:
        request.model_spec.version.value = rng.choice((0, 1, 2, -1, 2**63 - 1, -(2**63)))
    elif rng.random() < 0.5:
        request.model_spec.version_label = rng.choice(NAMES)
    request.output_filter.extend(rng.choices(("scores", "y", *NAMES), k=rng.randrange(4)))
    for name in rng.choices(NAMES, k=rng.randrange(3)):
        request.inputs[name].CopyFrom(_tensor(request))
    return bytes(request.SerializeToString())


def wrong_count(rng: random.Random) -> bytes:
    """Return a request with another number of values than its shape has."""
    request = valid(rng)
    tensor = _tensor(request)
    tensor.tensor_shape.dim[0].size = rng.choice((0, 2, 3, 16, 17, 1000, MANY, 2**24, 2**25))
    values = tensor.string_val if tensor.dtype == 7 else tensor.float_val
    values.extend(list(values) * rng.choice((0, 1, 10)))
    return bytes(request.SerializeToString())


def large(rng: random.Random) -> bytes:
    """Return a request with 100,000 rows, or with a photo of 20 MB that is none."""
    request = valid(rng)
    tensor = _tensor(request)
    if tensor.dtype == 1 or rng.random() < 0.5:
        tensor.tensor_shape.dim[0].size = MANY
        values = tensor.string_val if tensor.dtype == 7 else tensor.float_val
        value = b"x" if tensor.dtype == 7 else 1.0
        del values[:]
        values.extend([value] * (MANY * (1 if tensor.dtype == 7 else 3)))
    else:
        tensor.string_val[0] = bytes(20_000_000)
    return bytes(request.SerializeToString())


def not_a_photo(rng: random.Random) -> bytes:
    request = valid(rng)
    if _tensor(request).dtype == 7:
        content = probes.photo()
        _tensor(request).string_val[0] = rng.choice((b"", b"\xff\xd8", content[:50], rng.randbytes(300), b"GIF89a"))
    return bytes(request.SerializeToString())


MUTATIONS: dict[str, tuple[Callable[[random.Random], bytes], int]] = {  # name -> function, and how often
    "changed bytes": (flipped, 20),
    "dtype": (wrong_dtype, 20),
    "shape": (wrong_shape, 20),
    "names": (wrong_names, 15),
    "count": (wrong_count, 10),
    "photo": (not_a_photo, 10),
    "random bytes": (lambda rng: rng.randbytes(rng.choice((0, 1, 10, 1000, 100_000))), 10),
    "large": (large, 1),
}


def call(channel: grpc.Channel, rng: random.Random) -> str:
    """Send one hostile call; return "", or what was wrong with its end."""
    name = rng.choices(list(MUTATIONS), [weight for _, weight in MUTATIONS.values()])[0]
    message = MUTATIONS[name][0](rng)
    method = PREDICT if rng.random() < 0.8 else rng.choice((*METHODS, "PredictionService/Nothing", "No/Predict"))
    interruption = rng.choice(("none",) * 8 + ("deadline", "cancel"))
    seconds = rng.choice((0.0, 0.001, 0.01)) if interruption == "deadline" else probes.GIVE_UP_SECONDS
    remote: Any = channel.unary_unary(f"/tensorflow.serving.{method}")  # takes and returns bytes
    future = remote.future(message, timeout=seconds)
    if interruption == "cancel":
        time.sleep(rng.choice((0.0, 0.002, 0.02)))
        future.cancel()
    try:
        code, details = future.code(), future.details() or ""
    except grpc.FutureCancelledError:
        return ""
    allowed = REFUSALS | {grpc.StatusCode.OK}
    # gRPC's own answer to a message that cannot be parsed
    allowed |= {grpc.StatusCode.INTERNAL} if "deserializing" in details else set()
    allowed |= {"deadline": {grpc.StatusCode.DEADLINE_EXCEEDED}, "cancel": {grpc.StatusCode.CANCELLED}}.get(
        interruption, set()
    )
    if code not in allowed or "Traceback" in details or len(details) > 1100:
        return f"{name} to {method} ended with {code.name}: {details[:200]!r}"
    return ""


def attack(model: servers.Process, seed: int, count: int) -> list[str]:
    """Send `count` hostile calls, one after the other; return what was wrong."""
    rng = random.Random(seed)
    options = [("grpc.max_receive_message_length", -1), ("grpc.enable_retries", 0)]
    with grpc.insecure_channel(f"{servers.HOST}:{model.port}", options) as channel:
        return [failure for _ in range(count) if (failure := call(channel, rng))]
