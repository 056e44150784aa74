"""The client, tested against a small server."""

import concurrent.futures
import datetime
import ipaddress
import pathlib
import re
import socket
import subprocess
import sys
import threading

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fake_serving import SCORES, heatmap, prediction, refusal
from grpc._cython import cygrpc

from serving import channel, client

ROOT = pathlib.Path(__file__).parents[2]
STANDALONE = """
import concurrent.futures, sys, grpc
from serving.protos import predict_pb2

def answer(request, context):
    response = predict_pb2.PredictResponse()
    response.model_spec.version.value = int(sys.argv[2])
    response.outputs["class_names"].string_val.append(b"glass")
    response.outputs["scores"].float_val.append(1.0)
    return response

predict = grpc.unary_unary_rpc_method_handler(
    answer, predict_pb2.PredictRequest.FromString, predict_pb2.PredictResponse.SerializeToString
)
server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
server.add_generic_rpc_handlers(
    [grpc.method_handlers_generic_handler("tensorflow.serving.PredictionService", {"Predict": predict})]
)
port = server.add_insecure_port("127.0.0.1:" + sys.argv[1])
server.start()
print(port, flush=True)
server.wait_for_termination()
"""


@pytest.mark.parametrize("field", ["float_val", "tensor_content"])
def test_photo_gets_the_class_of_the_highest_score(serve, field):
    server = serve(lambda *_: prediction(SCORES, version=12, field=field))
    with client.Client(server.target) as caller:
        assert caller.classify(b"\x00photo\xff") == client.Prediction("métal", 0.625, SCORES, 12)


@pytest.mark.parametrize("field", ["float_val", "tensor_content"])
@pytest.mark.parametrize(
    ("in_set", "typicality", "prediction_set", "certainty"),
    [
        ([False, True, False], 0.011, ["métal"], "sure"),
        ([True, True, True], 1.0, ["métal", "纸板", "kaca"], "unsure"),
        ([False, True, False], 0.0, ["métal"], "untypical"),
        ([True, True, False], 0.0099, ["métal", "kaca"], "untypical"),
        ([False, True, False], None, ["métal"], "sure"),
        (None, 0.0, None, None),
        (None, None, None, None),
    ],
)
def test_photo_gets_its_prediction_set_and_certainty(serve, field, in_set, typicality, prediction_set, certainty):
    server = serve(lambda *_: prediction(SCORES, field=field, in_set=in_set, typicality=typicality))
    with client.Client(server.target) as caller:
        answer = caller.classify(b"photo")
    assert (answer.prediction_set, answer.certainty) == (prediction_set, certainty)
    assert answer.typicality == (None if typicality is None else pytest.approx(typicality))


@pytest.mark.parametrize("field", ["float_val", "tensor_content"])
def test_photo_is_explained_by_the_rows_of_its_heat_map(serve, field):
    server = serve(lambda *_: heatmap([0.0, 0.25, 0.5, 0.75, 1.0, 0.125], field=field))
    with client.Client(server.target) as caller:
        assert caller.explain(b"photo", model_version=5) == [[0.0, 0.25, 0.5], [0.75, 1.0, 0.125]]
    (request,) = server.requests
    assert (request.model_spec.signature_name, request.model_spec.version.value) == ("explain", 5)
    assert list(request.inputs["image_bytes"].string_val) == [b"photo"]


@pytest.mark.parametrize(
    ("values", "shape"),
    [
        ([0.5] * 6, (2, 3)),
        ([0.5] * 12, (2, 2, 3)),
        ([0.5] * 5, (1, 2, 3)),
        ([], (1, 0, 3)),
        ([0.5, 0.5, 0.5, 0.5, 0.5, 1.5], (1, 2, 3)),
        ([0.5, 0.5, 0.5, 0.5, 0.5, float("nan")], (1, 2, 3)),
    ],
)
def test_answer_that_is_not_a_heat_map_is_rejected(serve, values, shape):
    server = serve(lambda *_: heatmap(values, shape))
    with client.Client(server.target) as caller, pytest.raises(client.ServingRejected, match="a heat map") as caught:
        caller.explain(b"photo")
    assert caught.value.code is grpc.StatusCode.INTERNAL


@pytest.mark.parametrize("version", [None, 0, 7])
def test_request_has_photo_model_signature_and_version(serve, version):
    server = serve()
    with client.Client(server.target) as caller:
        caller.classify(b"\x00photo\xff", model_version=version)
    (request,) = server.requests
    assert (request.model_spec.name, request.model_spec.signature_name) == ("pilah", "serving_default")
    assert request.model_spec.HasField("version") == (version is not None)
    assert request.model_spec.version.value == (version or 0)
    (tensor,) = request.inputs.values()
    assert "image_bytes" in request.inputs
    assert (tensor.dtype, list(tensor.string_val)) == (7, [b"\x00photo\xff"])
    assert [dim.size for dim in tensor.tensor_shape.dim] == [1]


def test_model_name_is_sent_in_every_request(serve):
    server = serve()
    with client.Client(server.target, model_name="other") as caller:
        caller.classify(b"")
        assert caller.available_versions() == []
    assert {request.model_spec.name for request in server.requests} == {"other"}


def test_answer_of_many_megabytes_is_read(serve):
    """By default, gRPC refuses more than 4 MiB."""
    scores = {f"class {number} {'x' * 1_000_000}": number / 8 for number in range(5)}
    with client.Client(serve(lambda *_: prediction(scores)).target) as caller:
        assert caller.classify(b"").scores == scores


def test_call_is_retried_until_the_unavailable_server_answers(serve):
    server = serve(refusal(grpc.StatusCode.UNAVAILABLE, times=2))
    with client.Client(server.target) as caller:
        assert caller.classify(b"").class_name == "métal"
    assert len(server.requests) == 3


def test_server_that_stays_unavailable_raises_serving_unavailable(serve):
    server = serve(refusal(grpc.StatusCode.UNAVAILABLE, "the queue is full"))
    with client.Client(server.target, timeout_seconds=0.6) as caller, pytest.raises(client.ServingUnavailable):
        caller.classify(b"")
    assert 1 < len(server.requests) <= channel.MAX_ATTEMPTS


@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "INTERNAL"])
def test_rejected_call_is_not_retried(serve, code):
    server = serve(refusal(grpc.StatusCode[code], "no JPEG or PNG"))
    with client.Client(server.target) as caller, pytest.raises(client.ServingRejected) as caught:
        caller.classify(b"")
    assert len(server.requests) == 1
    for word in (server.target, code, "no JPEG or PNG"):
        assert word in str(caught.value)


def test_missing_server_raises_one_line_that_says_what_to_do(nowhere):
    with (
        client.Client(nowhere, timeout_seconds=0.5) as caller,
        pytest.raises(client.ServingUnavailable) as caught,
    ):
        caller.classify(b"")
    (line,) = str(caught.value).splitlines()
    for word in ("within 0.5 s", f"at {nowhere}", "make serve"):
        assert word in line


def test_server_that_accepts_connections_and_never_answers_is_unavailable():
    with socket.create_server(("127.0.0.1", 0)) as silent_server:
        target = f"127.0.0.1:{silent_server.getsockname()[1]}"
        with client.Client(target, timeout_seconds=0.3) as caller, pytest.raises(client.ServingUnavailable):
            caller.classify(b"")


def test_server_slower_than_the_deadline_is_unavailable(serve):
    may_answer = threading.Event()

    def answer(*_):
        may_answer.wait(30)
        return prediction(SCORES)

    server = serve(answer)
    with client.Client(server.target, timeout_seconds=0.3) as caller:
        with pytest.raises(client.ServingUnavailable, match=r"DEADLINE_EXCEEDED.*allow more time if it is busy"):
            caller.classify(b"")
        may_answer.set()
        assert caller.classify(b"").class_name == "métal"


def test_client_reconnects_to_a_restarted_server():
    def start(port, version):
        command = [sys.executable, "-c", STANDALONE, port, version]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        return process, process.stdout.readline().strip()

    first, port = start("0", "1")
    second = None
    try:
        with client.Client(f"127.0.0.1:{port}", timeout_seconds=5) as caller:
            assert caller.classify(b"").model_version == 1
            first.kill()
            first.wait()
            assert not caller.is_healthy()
            second, _ = start(port, "2")
            assert caller.classify(b"").model_version == 2
    finally:
        for process in filter(None, (first, second)):
            process.kill()
            process.communicate()


def test_sixteen_threads_of_one_client_each_get_their_own_answer(serve):
    all_calls = threading.Barrier(16)  # opens when 16 calls are in progress at the same time

    def answer(request, _):
        all_calls.wait(10)
        (photo,) = request.inputs["image_bytes"].string_val
        return prediction({photo.decode(): 1.0})

    photos = [f"photo {number}" for number in range(64)]
    with client.Client(serve(answer).target) as caller, concurrent.futures.ThreadPoolExecutor(16) as threads:
        answers = threads.map(lambda photo: caller.classify(photo.encode()).class_name, photos)
        assert list(answers) == photos


def test_server_with_versions_is_healthy_and_ready(serve):
    server = serve(states={6: "LOADING", 5: "AVAILABLE", 4: "END", 3: "AVAILABLE", 2: "UNLOADING", 1: "START"})
    with client.Client(server.target) as caller:
        assert caller.is_healthy() and caller.is_ready()
        assert caller.available_versions() == [3, 5]


@pytest.mark.parametrize("states", [{1: "LOADING"}, {1: "END"}, {}], ids=["loading", "failed", "none"])
def test_server_without_an_available_version_is_healthy_and_not_ready(serve, states):
    with client.Client(serve(states=states).target) as caller:
        assert caller.is_healthy() and not caller.is_ready()
        assert caller.available_versions() == []


def test_server_that_shuts_down_is_not_healthy(serve):
    with client.Client(serve(health_status="NOT_SERVING").target) as caller:
        assert not caller.is_healthy()


def test_missing_server_is_neither_healthy_nor_ready(nowhere):
    with client.Client(nowhere, timeout_seconds=0.3) as caller:
        assert not caller.is_healthy() and not caller.is_ready()
        with pytest.raises(client.ServingUnavailable):
            caller.available_versions()


@pytest.fixture(scope="module")
def certificate():
    """Return the private key and self-signed certificate of 127.0.0.1 as PEM bytes."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now - day).not_valid_after(now + day)
    builder = builder.add_extension(address, critical=False)
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private, builder.sign(key, hashes.SHA256()).public_bytes(pem)


@pytest.fixture
def tls_server(serve, certificate):
    return serve(credentials=grpc.ssl_server_credentials([certificate]))


def test_tls_server_is_trusted_by_its_certificate(tls_server, certificate):
    with client.Client(tls_server.target, root_certificates=certificate[1]) as caller:
        assert caller.classify(b"").class_name == "métal"
        assert caller.is_healthy() and caller.is_ready()


@pytest.mark.parametrize("root_certificates", [b"", None], ids=["the system's", "no TLS"])
def test_tls_server_gets_no_request_without_its_certificate(tls_server, root_certificates):
    with client.Client(tls_server.target, timeout_seconds=0.3, root_certificates=root_certificates) as caller:
        with pytest.raises(client.ServingUnavailable):
            caller.classify(b"")
        assert not caller.is_healthy()
    assert not tls_server.requests


def test_every_channel_option_exists_in_grpc():
    """gRPC ignores unknown options without a warning."""
    library = pathlib.Path(cygrpc.__file__).read_bytes()
    options = {
        name for file in (ROOT / "serving").rglob("*.py") for name in re.findall(r'"(grpc\.[\w.]+)"', file.read_text())
    }
    assert {name for name, _ in channel.CHANNEL_OPTIONS} < options
    assert [name for name in options if name.encode() + b"\0" not in library] == []


def test_client_loads_without_tensorflow_pillow_and_components():
    heavy = {"tensorflow", "tensorflow_serving", "keras", "numpy", "PIL", "pillow_heif", "components"}
    code = f"import sys, serving.client; print(sorted({heavy} & set(sys.modules)))"
    completed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert completed.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "scores",
    [{"glass": float("nan"), "metal": float("nan")}, {"glass": float("inf"), "metal": 0.0}, {}],
    ids=["nan", "infinite", "none"],
)
def test_answer_that_is_not_a_classification_is_rejected(serve, scores):
    server = serve(lambda *_: prediction(scores))
    with (
        client.Client(server.target) as caller,
        pytest.raises(client.ServingRejected, match="is broken or not a classifier: ") as caught,
    ):
        caller.classify(b"photo")
    assert caught.value.code is grpc.StatusCode.INTERNAL


@pytest.mark.parametrize(
    ("in_set", "typicality", "reason"),
    [
        ([True, False, False], 0.5, "must have one value for each of the 3 classes and contain métal"),
        ([False, True], 0.5, "must have one value for each"),
        ([], 0.5, "must have one value for each"),
        ([False, True, False], float("nan"), "typicality"),
        ([False, True, False], 1.5, "typicality"),
    ],
)
def test_answer_with_an_invalid_prediction_set_or_typicality_is_rejected(serve, in_set, typicality, reason):
    server = serve(lambda *_: prediction(SCORES, in_set=in_set, typicality=typicality))
    with client.Client(server.target) as caller, pytest.raises(client.ServingRejected, match=reason) as caught:
        caller.classify(b"photo")
    assert caught.value.code is grpc.StatusCode.INTERNAL
