"""The compatibility of our wire messages with those of TensorFlow Serving."""

import concurrent.futures
import pathlib
import re
import subprocess
import sys

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving import client
from serving.protos import predict_pb2 as ours

ROOT = pathlib.Path(__file__).parents[2]
PHOTO = b"\x89PNG\r\n\x1a\n\x00\x00\xff\x00 \xc3"  # has NUL bytes and is not UTF-8
NAMES = ["kaca", "métal", "纸板", "🥫 tin"]
SCORES = [0.125, 0.5, 0.25, 0.125]
OFFICIAL = {  # our message -> the official one
    ours.ModelSpec: model_pb2.ModelSpec,
    ours.Dimension: tensor_shape_pb2.TensorShapeProto.Dim,
    ours.TensorShape: tensor_shape_pb2.TensorShapeProto,
    ours.Tensor: tensor_pb2.TensorProto,
    ours.PredictRequest: predict_pb2.PredictRequest,
    ours.PredictResponse: predict_pb2.PredictResponse,
    ours.ModelStatusRequest: get_model_status_pb2.GetModelStatusRequest,
    ours.ModelVersionStatus: get_model_status_pb2.ModelVersionStatus,
    ours.ModelStatusResponse: get_model_status_pb2.GetModelStatusResponse,
}
VARINTS = {FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_ENUM}  # encoded in the same way
STATES = get_model_status_pb2.ModelVersionStatus.State.items()

both_directions = pytest.mark.parametrize("direction", ["ours to theirs", "theirs to ours"])


def transmit(message, fill, direction):
    """Return a message filled on one side and parsed on the other, and the same message filled on the other side."""
    sender, receiver = message, OFFICIAL[message]
    if direction == "theirs to ours":
        sender, receiver = receiver, sender
    return receiver.FromString(fill(sender()).SerializeToString()), fill(receiver())


@both_directions
@pytest.mark.parametrize("version", [None, 0, 3, 2**40])
def test_request_is_received_as_sent(direction, version):
    def fill(request):
        request.model_spec.name = "pilah"
        request.model_spec.signature_name = "serving_default"
        if version is not None:
            request.model_spec.version.value = version
        tensor = request.inputs["image_bytes"]
        tensor.dtype = 7
        tensor.tensor_shape.dim.add(size=2)
        tensor.string_val.extend([PHOTO, b""])
        return request

    read, expected = transmit(ours.PredictRequest, fill, direction)
    assert read == expected
    assert read.model_spec.HasField("version") == (version is not None)
    assert list(read.inputs["image_bytes"].string_val) == [PHOTO, b""]


@both_directions
@pytest.mark.parametrize("field", ["float_val", "tensor_content"])
def test_response_is_received_as_sent(direction, field):
    def fill(response):
        response.model_spec.name = "pilah"
        response.model_spec.version.value = 12
        scores, names = response.outputs["scores"], response.outputs["class_names"]
        scores.dtype, names.dtype = 1, 7
        for tensor in (scores, names):
            tensor.tensor_shape.dim.add(size=1)
            tensor.tensor_shape.dim.add(size=4)
        if field == "float_val":
            scores.float_val.extend(SCORES)
        else:
            scores.tensor_content = bytes.fromhex("0000003e 0000003f 0000803e 0000003e")
        names.string_val.extend(name.encode() for name in NAMES)
        return response

    read, expected = transmit(ours.PredictResponse, fill, direction)
    assert read == expected
    assert [name.decode() for name in read.outputs["class_names"].string_val] == NAMES
    assert [dim.size for dim in read.outputs["scores"].tensor_shape.dim] == [1, 4]
    assert list(read.outputs["scores"].float_val) == (SCORES if field == "float_val" else [])


@both_directions
def test_prediction_set_is_received_as_sent(direction):
    def fill(response):
        tensor = response.outputs["in_set"]
        tensor.dtype = 10
        for size in (1, 4):
            tensor.tensor_shape.dim.add(size=size)
        tensor.bool_val.extend([False, True, True, False])
        return response

    read, expected = transmit(ours.PredictResponse, fill, direction)
    assert read == expected
    assert list(read.outputs["in_set"].bool_val) == [False, True, True, False]


@both_directions
@pytest.mark.parametrize("version", [None, 3])
def test_status_request_is_received_as_sent(direction, version):
    def fill(request):
        request.model_spec.name = "pilah"
        if version is not None:
            request.model_spec.version.value = version
        return request

    read, expected = transmit(ours.ModelStatusRequest, fill, direction)
    assert read == expected


@both_directions
def test_status_with_every_state_is_received_as_sent(direction):
    def fill(response):
        for version, (_, state) in enumerate(STATES):
            response.model_version_status.add(version=version, state=state)
        return response

    read, expected = transmit(ours.ModelStatusResponse, fill, direction)
    assert read == expected
    assert [status.state for status in read.model_version_status] == [state for _, state in STATES]


def test_every_state_has_the_official_number():
    assert ours.ModelVersionStatus.State.items() == STATES


def test_fields_that_our_messages_lack_are_skipped():
    response = get_model_status_pb2.GetModelStatusResponse()
    failed = response.model_version_status.add(version=2, state=50)
    failed.status.error_code = 3
    failed.status.error_message = "no such file"
    (read,) = ours.ModelStatusResponse.FromString(response.SerializeToString()).model_version_status
    assert (read.version, read.state) == (2, ours.ModelVersionStatus.END)


@pytest.mark.parametrize("message", OFFICIAL, ids=lambda message: message.DESCRIPTOR.name)
def test_every_field_has_the_official_name_number_and_type(message):
    theirs = OFFICIAL[message].DESCRIPTOR.fields_by_name
    for field in message.DESCRIPTOR.fields:
        official = theirs[field.name]
        assert field.number == official.number, field.name
        assert field.is_repeated == official.is_repeated, field.name
        assert field.type == official.type or {field.type, official.type} == VARINTS, field.name


class Official(prediction_service_pb2_grpc.PredictionServiceServicer, model_service_pb2_grpc.ModelServiceServicer):
    """Services of a model with one class and version 12."""

    def Predict(self, request, context):  # noqa: N802
        response = predict_pb2.PredictResponse()
        response.model_spec.version.value = 12
        response.outputs["class_names"].string_val.append(NAMES[2].encode())
        response.outputs["scores"].float_val.append(float(list(request.inputs["image_bytes"].string_val) == [PHOTO]))
        return response

    def GetModelStatus(self, request, context):  # noqa: N802
        response = get_model_status_pb2.GetModelStatusResponse()
        response.model_version_status.add(version=12, state="AVAILABLE")
        return response


def test_client_reads_the_answers_of_the_official_services():
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Official(), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(Official(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with client.Client(f"127.0.0.1:{port}") as caller:
        assert caller.classify(PHOTO) == client.Prediction(NAMES[2], 1.0, {NAMES[2]: 1.0}, 12)
        assert caller.available_versions() == [12]
    server.stop(None).wait()


def without_compiler_version(text):
    """Remove the lines of generated code that depend only on the compiler's version."""
    return re.sub(r"^(# Protobuf Python Version: .*|    \d+,|    '[^/]*',)$", "", text, flags=re.MULTILINE)


def test_generated_code_is_up_to_date(tmp_path):
    protos = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "serving" / "protos").glob("*.proto"))
    outputs = [f"--python_out={tmp_path}", f"--pyi_out={tmp_path}"]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", "-I.", *outputs, *protos], cwd=ROOT, check=True)
    generated = {path.name: path for path in (tmp_path / "serving" / "protos").iterdir()}
    assert set(generated) == {path.name for path in (ROOT / "serving" / "protos").glob("*_pb2.py*")}
    for name, path in generated.items():
        committed = (ROOT / "serving" / "protos" / name).read_text()
        assert without_compiler_version(committed) == without_compiler_version(path.read_text()), f"{name}: make protos"
