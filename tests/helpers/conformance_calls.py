"""The row of the conformance table, and functions that make its calls and answers."""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import conformance_models
import grpc
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_pb2,
    predict_pb2,
)
from tensorflow_serving.config import model_server_config_pb2

Code: TypeAlias = grpc.StatusCode
State: TypeAlias = get_model_status_pb2.ModelVersionStatus.State
Config: TypeAlias = model_server_config_pb2.ModelServerConfig
Values = Mapping[str, Any]  # name -> values for tensor(), or a TensorProto
# dtype -> field of TensorProto
FIELDS = {"float32": "float_val", "float64": "double_val", "int64": "int64_val", "uint64": "uint64_val"}
FIELDS |= {"int32": "int_val", "uint8": "int_val", "bool": "bool_val", "string": "string_val"}


@dataclasses.dataclass(frozen=True)
class Row:
    """A call and its result: `answer`, or an error whose message contains `message`.

    Args:
        request: a protobuf message, or a function of the models' base path that returns one; over REST an Http.
        status: gRPC or HTTP status.
        extract: returns the part of the response that is compared with `answer`; by default all of it.
        batching: status and `message` of a server with batching, if it refuses the call for that reason.
        embedded_only: TensorFlow Serving answers differently.
        not_embedded: the embedded server answers differently (docs/serving.md).
    """

    id: str
    request: Any
    status: grpc.StatusCode | int
    answer: Any = None
    message: str = ""
    extract: Callable[[Any], Any] | None = None
    batching: tuple[grpc.StatusCode | int, str] | None = None
    embedded_only: bool = False
    not_embedded: bool = False

    def for_server(self, batches: bool) -> "Row":
        """Return the row with what a server with or without batching is expected to answer."""
        if not (batches and self.batching):
            return self
        status, message = self.batching
        return dataclasses.replace(self, status=status, message=message, answer=None)


@dataclasses.dataclass(frozen=True)
class Http:
    method: str
    path: str
    body: bytes | None = None
    encoding: str = ""  # Content-Encoding of the body; "" is none


def tensor(values: Any, dtype: str | None = None) -> tensor_pb2.TensorProto:
    """Return a tensor with `values` in the field of their dtype, like TensorFlow Serving; floats are float32."""
    packed = tf.make_tensor_proto(values, dtype)
    proto = tensor_pb2.TensorProto(dtype=packed.dtype, tensor_shape=packed.tensor_shape)
    getattr(proto, FIELDS[tf.as_dtype(packed.dtype).name]).extend(tf.make_ndarray(packed).ravel().tolist())
    return proto


def float_tensor(size: int, **fields: Any) -> tensor_pb2.TensorProto:
    """Return a float32 tensor of shape [size] with these other fields, valid or not."""
    proto = tensor_pb2.TensorProto(**{"dtype": tf.float32.as_datatype_enum, **fields})
    proto.tensor_shape.dim.add(size=size)
    return proto


def predict(model: str, inputs: Values, outputs: Sequence[str] = (), **spec: Any) -> predict_pb2.PredictRequest:
    return predict_pb2.PredictRequest(model_spec=_spec(model, **spec), inputs=_tensors(inputs), output_filter=outputs)


def predicted(
    model: str, outputs: Values, version: int = 1, signature: str = "serving_default"
) -> predict_pb2.PredictResponse:
    spec = _spec(model, version, signature=signature)
    return predict_pb2.PredictResponse(model_spec=spec, outputs=_tensors(outputs))


def metadata(
    model: str, fields: Sequence[str] = ("signature_def",), **spec: Any
) -> get_model_metadata_pb2.GetModelMetadataRequest:
    return get_model_metadata_pb2.GetModelMetadataRequest(model_spec=_spec(model, **spec), metadata_field=fields)


def model_status(model: str, **spec: Any) -> get_model_status_pb2.GetModelStatusRequest:
    return get_model_status_pb2.GetModelStatusRequest(model_spec=_spec(model, **spec))


def available(*versions: int) -> get_model_status_pb2.GetModelStatusResponse:
    response = get_model_status_pb2.GetModelStatusResponse()
    for version in versions:
        response.model_version_status.add(version=version, state=State.AVAILABLE).status.error_code = 0
    return response


def reload(change: Callable[[Config, str], object]) -> Callable[[str], model_management_pb2.ReloadConfigRequest]:
    """Return a function of the models' base path that makes a reload request of the configuration after `change`."""

    def request(base_path: str) -> model_management_pb2.ReloadConfigRequest:
        config = conformance_models.config(base_path)
        change(config, base_path)
        return model_management_pb2.ReloadConfigRequest(config=config)

    return request


def post(path: str, body: str | bytes | Mapping[str, Any], method: str = "POST") -> Http:
    """Return a call of /v1/models/`path`."""
    text = json.dumps(body) if isinstance(body, Mapping) else body
    return Http(method, f"/v1/models/{path}", text if isinstance(text, bytes) else text.encode())


def get(path: str) -> Http:
    """Return a call of /v1/models/`path`, or of `path` if it begins with a slash."""
    return Http("GET", path if path.startswith("/") else f"/v1/models/{path}")


def _spec(
    name: str, version: int | None = None, label: str | None = None, signature: str | None = None
) -> model_pb2.ModelSpec:
    spec = model_pb2.ModelSpec(name=name, signature_name=signature or "")
    if version is not None:
        spec.version.value = version
    if label is not None:
        spec.version_label = label
    return spec


def _tensors(named: Values) -> dict[str, tensor_pb2.TensorProto]:
    return {
        name: value if isinstance(value, tensor_pb2.TensorProto) else tensor(value) for name, value in named.items()
    }
