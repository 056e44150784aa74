"""The rows of the conformance table over gRPC."""

from typing import Any

import conformance_both
import conformance_calls as calls
import tensorflow as tf
from grpc_health.v1 import health_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    predict_pb2,
    regression_pb2,
)
from tensorflow_serving.config import model_server_config_pb2

Code = calls.Code
INIT_SIGNATURE = "__saved_model_init_op"  # TensorFlow 2 saves it with every model, and TensorFlow Serving shows it
MESSAGE_LIMIT = 1024  # characters
X, A_B, SCALARS = conformance_both.X, conformance_both.A_B, conformance_both.SCALARS
Health = health_pb2.HealthCheckResponse


def answered(id: str, request: Any, answer: Any, **more: Any) -> calls.Row:
    return calls.Row(id, request, Code.OK, answer, **more)


def refused(id: str, request: Any, message: str, code: Code = Code.INVALID_ARGUMENT, **more: Any) -> calls.Row:
    return calls.Row(id, request, code, message=message, **more)


def metadata_row(id: str, request: Any, model: str, version: int, **inputs: tuple[str, list[int]]) -> calls.Row:
    """Return a row with the metadata of a model with one signature, whose `inputs` have these dtypes and shapes."""
    answer = (model, version, {"serving_default": inputs, INIT_SIGNATURE: {}})
    return answered(id, request, answer, extract=_signatures)


def _signatures(body: get_model_metadata_pb2.GetModelMetadataResponse) -> tuple[str, int, dict[str, Any]]:
    signatures = get_model_metadata_pb2.SignatureDefMap()
    body.metadata["signature_def"].Unpack(signatures)
    inputs = {
        key: {
            name: (tf.as_dtype(info.dtype).name, [dim.size for dim in info.tensor_shape.dim])
            for name, info in signature.inputs.items()
        }
        for key, signature in signatures.signature_def.items()
    }
    return body.model_spec.name, body.model_spec.version.value, inputs


def reload_changed(**fields: str) -> Any:
    """Return a reload request with other fields for the first model."""
    change = model_server_config_pb2.ModelConfig(**fields)
    return calls.reload(lambda config, _: config.model_config_list.config[0].MergeFrom(change))


def _list_first_model_twice(config: calls.Config, _: str) -> None:
    config.model_config_list.config.append(config.model_config_list.config[0])


def _clear_platform(config: calls.Config, _: str) -> None:
    config.model_config_list.config[0].ClearField("model_platform")


def _add_model_of_unknown_platform(config: calls.Config, base_path: str) -> None:
    config.model_config_list.config.add(name="extra", base_path=f"{base_path}/scale", model_platform="torch")


PREDICT = [
    refused("nothing", predict_pb2.PredictRequest(), "Missing ModelSpec"),
    refused("no_name", calls.predict("", X), "ModelSpec has no name specified."),
    refused(
        "unknown_signature",
        calls.predict("scale", X, signature="nope"),
        'Serving signature key "nope" not found.',
        Code.FAILED_PRECONDITION,
    ),
    answered(
        "strings",
        calls.predict("strings", {"text": [b"bin", b"\xff\x00"]}, signature="echo_bytes"),
        calls.predicted("strings", {"text_bytes": [b"bin", b"\xff\x00"]}, signature="echo_bytes"),
    ),
    answered(
        "output_filter",
        calls.predict("signatures", A_B, ["sum"], signature="combine"),
        calls.predicted("signatures", {"sum": [6.0, 9.0]}, signature="combine"),
    ),
    answered(
        "output_filter_of_all",
        calls.predict("signatures", A_B, ["sum", "difference"], signature="combine"),
        calls.predicted("signatures", {"sum": [6.0, 9.0], "difference": [4.0, 5.0]}, signature="combine"),
    ),
    answered(  # requests for a part of the outputs are not batched
        "output_filter_of_scalars",
        calls.predict("two_scalars", SCALARS, ["sum"]),
        calls.predicted("two_scalars", {"sum": 5.0}),
    ),
    refused(
        "unknown_output",
        calls.predict("signatures", A_B, ["nope"], signature="combine"),
        "output tensor alias not found in signature: nope Outputs expected to be in the set {difference,sum}.",
    ),
    refused(
        "output_twice",
        calls.predict("signatures", A_B, ["sum", "sum"], signature="combine"),
        "duplicate output tensor alias: sum",
    ),
    refused(
        "int64_for_float",
        calls.predict("scale", {"x": calls.tensor([1], "int64")}),
        "Expects arg[0] to be float but int64 is provided",
    ),
    refused(
        "string_for_float",
        calls.predict("scale", {"x": ["1"]}),
        "Expects arg[0] to be float but string is provided",
    ),
    refused(
        "float_for_string",
        calls.predict("strings", {"text": [1.0]}),
        "Expects arg[0] to be string but float is provided",
    ),
    refused("wrong_rank", calls.predict("signatures", X), "In[0]"),
    refused(
        "input_missing",
        calls.predict("signatures", {"a": [1.0]}, signature="combine"),
        "input size does not match signature: 1!=2 len({a}) != len({a,b}). Sent extra: {}. Missing but required: {b}.",
    ),
    refused(
        "input_too_many",
        calls.predict("scale", {"x": [1.0], "z": [1.0]}),
        "input size does not match signature: 2!=1 len({x,z}) != len({x}). Sent extra: {z}. Missing but required: {}.",
    ),
    refused("input_misnamed", calls.predict("scale", {"z": [1.0]}), "Signature input alias: x(feed name: "),
    refused("no_input", calls.predict("scale", {}), "Sent extra: {}. Missing but required: {x}."),
    answered(
        "default_input",
        calls.predict("signatures", {"x": [1.0]}, signature="defaulted"),
        calls.predicted("signatures", {"y": [11.0]}, signature="defaulted"),
    ),
    answered(
        "default_input_overridden",
        calls.predict("signatures", {"x": [1.0], "offset": [2.0]}, signature="defaulted"),
        calls.predicted("signatures", {"y": [3.0]}, signature="defaulted"),
    ),
    answered(
        "signature_without_inputs",
        calls.predict("signatures", {}, signature="no_inputs"),
        calls.predicted("signatures", {"y": [1.0, 2.0]}, signature="no_inputs"),
        batching=(Code.INVALID_ARGUMENT, "must have at least one input tensor"),
    ),
    answered(
        "values_as_bytes",
        calls.predict("scale", {"x": tf.make_tensor_proto([1.0, 2.0])}),
        calls.predicted("scale", {"y": [3.0, 6.0]}, 3),
    ),
    refused(
        "bytes_of_another_size",
        calls.predict("scale", {"x": calls.float_tensor(2, tensor_content=b"abc")}),
        "tensor parsing error: x",
    ),
    refused("no_dtype", calls.predict("scale", {"x": calls.float_tensor(2, dtype=0)}), "tensor parsing error: x"),
    answered(
        "no_values_for_the_shape",
        calls.predict("scale", {"x": calls.float_tensor(2)}),
        calls.predicted("scale", {"y": [0.0, 0.0]}, 3),
    ),
    answered(
        "fewer_values_than_the_shape",
        calls.predict("scale", {"x": calls.float_tensor(3, float_val=[1.0, 2.0])}),
        calls.predicted("scale", {"y": [3.0, 6.0, 6.0]}, 3),
    ),
    answered(
        "more_values_than_the_shape",
        calls.predict("scale", {"x": calls.float_tensor(2, float_val=[1.0, 2.0, 9.0])}),
        calls.predicted("scale", {"y": [3.0, 6.0]}, 3),
    ),
    refused(
        "long_message_is_cut",
        calls.predict("scale", {"x": [1.0], "z" * 2000: [1.0]}),
        f"input size does not match signature: 2!=1 len({{x,{'z' * 2000}"[:MESSAGE_LIMIT] + "...TRUNCATED",
    ),
]

METADATA = [
    metadata_row("metadata", calls.metadata("scale"), "scale", 3, x=("float32", [-1])),
    metadata_row("metadata_of_version", calls.metadata("scale", version=2), "scale", 2, x=("float32", [-1])),
    metadata_row("metadata_of_label", calls.metadata("scale", label="stable"), "scale", 2, x=("float32", [-1])),
    metadata_row(
        "metadata_of_scalars", calls.metadata("two_scalars"), "two_scalars", 1, a=("float32", []), b=("float32", [])
    ),
    refused("metadata_of_no_field", calls.metadata("scale", []), "must specify at least one metadata_field"),
    refused("metadata_of_unknown_field", calls.metadata("scale", ["nope"]), "Metadata field "),
    refused("metadata_of_unknown_model", calls.metadata("nope"), "Latest(nope)", Code.NOT_FOUND),
    refused("metadata_of_unknown_version", calls.metadata("scale", version=9), "Specific(scale, 9)", Code.NOT_FOUND),
    refused(
        "metadata_of_unknown_label", calls.metadata("scale", label="old"), "Unrecognized servable version label: old"
    ),
    refused(
        "metadata_of_nothing",
        get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"]),
        "Missing ModelSpec",
    ),
    refused("metadata_without_name", calls.metadata(""), "ModelSpec has no name specified."),
]

STATUS = [
    answered("status", calls.model_status("scale"), calls.available(3, 2)),
    answered("status_of_version", calls.model_status("scale", version=2), calls.available(2)),
    answered("status_takes_no_label", calls.model_status("scale", label="stable"), calls.available(3, 2)),
    refused(
        "status_of_unknown_model",
        calls.model_status("nope"),
        "Could not find any versions of model nope",
        Code.NOT_FOUND,
    ),
    refused(
        "status_of_version_on_disk_alone",
        calls.model_status("scale", version=1),
        "Could not find version 1 of model scale",
        Code.NOT_FOUND,
    ),
    refused("status_of_nothing", get_model_status_pb2.GetModelStatusRequest(), "Missing ModelSpec"),
    refused("status_without_name", calls.model_status(""), "Could not find any versions of model ", Code.NOT_FOUND),
]

RELOAD = [
    answered("reload", calls.reload(lambda *_: None), 0, extract=lambda body: body.status.error_code),
    refused(
        "reload_of_nothing",
        model_management_pb2.ReloadConfigRequest(),
        "Only ModelConfigList is currently supported",
    ),
    refused(
        "reload_with_model_twice",
        calls.reload(_list_first_model_twice),
        "Illegal to list model two_scalars multiple times in config list",
    ),
    refused(
        "reload_with_relative_path",
        reload_changed(base_path="models"),
        "Expected model two_scalars to have an absolute path or URI; got base_path()=models",
    ),
    refused(
        "reload_without_platform",
        calls.reload(_clear_platform),
        "Illegal setting neither ModelServerConfig::model_type (deprecated) nor ModelServerConfig::model_platform",
    ),
    refused(
        "reload_with_other_platform",
        reload_changed(model_platform="torch"),
        "Illegal to change a model's platform. For model two_scalars platform was tensorflow",
    ),
    refused(
        "reload_with_model_of_unknown_platform",
        calls.reload(_add_model_of_unknown_platform),
        "Model extra requests unsupported platform torch",
    ),
]

OTHERS = [
    answered("health", health_pb2.HealthCheckRequest(), Health(status=Health.SERVING)),
    refused("health_of_unknown_service", health_pb2.HealthCheckRequest(service="nope"), "", Code.NOT_FOUND),
    refused(  # gRPC's health service reports only the server as a whole
        "health_of_one_service",
        health_pb2.HealthCheckRequest(service="tensorflow.serving.PredictionService"),
        "",
        Code.NOT_FOUND,
    ),
    *(
        refused(call, request(), call, Code.UNIMPLEMENTED, embedded_only=True)
        for call, request in {
            "Classify": classification_pb2.ClassificationRequest,
            "Regress": regression_pb2.RegressionRequest,
            "MultiInference": inference_pb2.MultiInferenceRequest,
        }.items()
    ),
]

ROWS = [*(row.over_grpc() for row in conformance_both.ROWS), *PREDICT, *METADATA, *STATUS, *RELOAD, *OTHERS]
