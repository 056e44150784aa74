"""The client against a small server, over real sockets.

The server speaks our own messages, which test_protos.py compares with the official ones: those load TensorFlow.
"""

import base64
import concurrent.futures
import contextlib
import datetime
import io
import ipaddress
import json
import os
import pathlib
import re
import socket
import struct
import subprocess
import sys
import threading

import grpc
import numpy as np
import pytest
import upload_files
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from grpc._cython import cygrpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from PIL import Image

from serving import channel, client
from serving.protos import predict_pb2

ROOT = pathlib.Path(__file__).parents[2]
SCORES = {"kaca": 0.125, "métal": 0.625, "纸板": 0.25}  # exact in float32
AVAILABLE = {3: "AVAILABLE"}
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


def prediction(scores, version=3, field="float_val"):
    response = predict_pb2.PredictResponse()
    response.model_spec.version.value = version
    response.outputs["class_names"].string_val.extend(name.encode() for name in scores)
    if field == "float_val":
        response.outputs["scores"].float_val.extend(scores.values())
    else:
        response.outputs["scores"].tensor_content = struct.pack(f"<{len(scores)}f", *scores.values())
    return response


class Server:
    """A server of the model `pilah`, on any free port, that remembers what it was asked.

    Args:
        answer: gives the response to (request, context) of Predict.
        states: version -> state, by name.
        health_status: what the health service says of the whole server, by name.
    """

    def __init__(self, answer, states, health_status, credentials):
        self._answer, self._states = answer, states
        self.requests = []
        self._grpc = grpc.server(concurrent.futures.ThreadPoolExecutor(32))
        self._add("PredictionService", "Predict", self._predict, predict_pb2.PredictRequest)
        self._add("ModelService", "GetModelStatus", self._status, predict_pb2.ModelStatusRequest)
        checks = health.HealthServicer()
        checks.set("", health_pb2.HealthCheckResponse.ServingStatus.Value(health_status))
        health_pb2_grpc.add_HealthServicer_to_server(checks, self._grpc)
        if credentials:
            port = self._grpc.add_secure_port("127.0.0.1:0", credentials)
        else:
            port = self._grpc.add_insecure_port("127.0.0.1:0")
        self.target = f"127.0.0.1:{port}"
        self._grpc.start()

    def stop(self):
        self._grpc.stop(None).wait()

    def _add(self, service, method, call, request):
        handler = grpc.unary_unary_rpc_method_handler(call, request.FromString, lambda one: one.SerializeToString())
        services = grpc.method_handlers_generic_handler(f"tensorflow.serving.{service}", {method: handler})
        self._grpc.add_generic_rpc_handlers([services])

    def _predict(self, request, context):
        self.requests.append(request)
        return self._answer(request, context)

    def _status(self, request, context):
        self.requests.append(request)
        if request.model_spec.name != "pilah" or not self._states:
            context.abort(grpc.StatusCode.NOT_FOUND, "Could not find any versions of model")
        response = predict_pb2.ModelStatusResponse()
        for version, state in self._states.items():
            response.model_version_status.add(version=version, state=state)
        return response


@pytest.fixture
def serve():
    """serve(answer, states=..., health_status=..., credentials=...): a Server, until the test ends."""
    servers = []

    def start(answer=lambda *_: prediction(SCORES), states=AVAILABLE, health_status="SERVING", credentials=None):
        servers.append(Server(answer, states, health_status, credentials))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def nowhere():
    """HOST:PORT of a port that nobody listens at."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


def refusal(code, details="the reason", times=1000):
    """What answers Predict with `code` so many times, and then as it should."""
    left = iter(range(times))

    def answer(_, context):
        if next(left, None) is not None:
            context.abort(code, details)
        return prediction(SCORES)

    return answer


@pytest.mark.parametrize("field", ["float_val", "tensor_content"])
def test_photo_gets_the_class_of_the_highest_score(serve, field):
    server = serve(lambda *_: prediction(SCORES, version=12, field=field))
    with client.Client(server.target) as asked:
        assert asked.classify(b"\x00photo\xff") == client.Prediction("métal", 0.625, SCORES, 12)


@pytest.mark.parametrize("version", [None, 0, 7])
def test_request_says_photo_model_signature_and_version(serve, version):
    server = serve()
    with client.Client(server.target) as asked:
        asked.classify(b"\x00photo\xff", model_version=version)
    (request,) = server.requests
    assert (request.model_spec.name, request.model_spec.signature_name) == ("pilah", "serving_default")
    assert request.model_spec.HasField("version") == (version is not None)
    assert request.model_spec.version.value == (version or 0)
    (tensor,) = request.inputs.values()
    assert "image_bytes" in request.inputs
    assert (tensor.dtype, list(tensor.string_val)) == (7, [b"\x00photo\xff"])
    assert [dim.size for dim in tensor.tensor_shape.dim] == [1]


def test_other_model_is_asked_for_by_its_name(serve):
    server = serve()
    with client.Client(server.target, model_name="other") as asked:
        asked.classify(b"")
        assert asked.available_versions() == []
    assert {request.model_spec.name for request in server.requests} == {"other"}


def test_answer_of_many_megabytes_is_read(serve):
    """gRPC's own limit is 4 MiB."""
    scores = {f"class {number} {'x' * 1_000_000}": number / 8 for number in range(5)}
    with client.Client(serve(lambda *_: prediction(scores)).target) as asked:
        assert asked.classify(b"").scores == scores


def test_unavailable_server_is_asked_again_until_it_answers(serve):
    server = serve(refusal(grpc.StatusCode.UNAVAILABLE, times=2))
    with client.Client(server.target) as asked:
        assert asked.classify(b"").class_name == "métal"
    assert len(server.requests) == 3


def test_server_that_stays_unavailable_is_told_as_such(serve):
    server = serve(refusal(grpc.StatusCode.UNAVAILABLE, "the queue is full"))
    with client.Client(server.target, timeout_seconds=0.6) as asked, pytest.raises(client.ServingUnavailable):
        asked.classify(b"")
    assert 1 < len(server.requests) <= channel.MAX_ATTEMPTS


@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "INTERNAL"])
def test_rejected_call_is_made_once(serve, code):
    server = serve(refusal(grpc.StatusCode[code], "no JPEG or PNG"))
    with client.Client(server.target) as asked, pytest.raises(client.ServingRejected) as caught:
        asked.classify(b"")
    assert len(server.requests) == 1
    for word in (server.target, code, "no JPEG or PNG"):
        assert word in str(caught.value)


def test_absent_server_is_told_on_one_line_with_the_next_step(nowhere):
    with (
        client.Client(nowhere, timeout_seconds=0.5) as asked,
        pytest.raises(client.ServingUnavailable) as caught,
    ):
        asked.classify(b"")
    (line,) = str(caught.value).splitlines()
    for word in ("within 0.5 s", f"at {nowhere}", "make serve"):
        assert word in line


def test_machine_that_takes_connections_and_says_nothing_is_unavailable():
    with socket.create_server(("127.0.0.1", 0)) as mute:
        target = f"127.0.0.1:{mute.getsockname()[1]}"
        with client.Client(target, timeout_seconds=0.3) as asked, pytest.raises(client.ServingUnavailable):
            asked.classify(b"")


def test_server_slower_than_the_deadline_is_unavailable(serve):
    over = threading.Event()

    def answer(*_):
        over.wait(30)
        return prediction(SCORES)

    server = serve(answer)
    with client.Client(server.target, timeout_seconds=0.3) as asked:
        with pytest.raises(client.ServingUnavailable, match=r"DEADLINE_EXCEEDED.*give it more time if it is busy"):
            asked.classify(b"")
        over.set()
        assert asked.classify(b"").class_name == "métal"


def test_client_finds_a_killed_server_again_when_it_is_back():
    def start(port, version):
        command = [sys.executable, "-c", STANDALONE, port, version]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        return process, process.stdout.readline().strip()

    first, port = start("0", "1")
    second = None
    try:
        with client.Client(f"127.0.0.1:{port}", timeout_seconds=5) as asked:
            assert asked.classify(b"").model_version == 1
            first.kill()
            first.wait()
            assert not asked.is_healthy()
            second, _ = start(port, "2")
            assert asked.classify(b"").model_version == 2
    finally:
        for process in filter(None, (first, second)):
            process.kill()
            process.communicate()


def test_sixteen_threads_of_one_client_get_each_its_own_answer(serve):
    together = threading.Barrier(16)  # opens once 16 calls are under way at the same time

    def answer(request, _):
        together.wait(10)
        (photo,) = request.inputs["image_bytes"].string_val
        return prediction({photo.decode(): 1.0})

    photos = [f"photo {number}" for number in range(64)]
    with client.Client(serve(answer).target) as asked, concurrent.futures.ThreadPoolExecutor(16) as threads:
        answers = threads.map(lambda photo: asked.classify(photo.encode()).class_name, photos)
        assert list(answers) == photos


def test_server_with_versions_is_healthy_and_ready(serve):
    server = serve(states={6: "LOADING", 5: "AVAILABLE", 4: "END", 3: "AVAILABLE", 2: "UNLOADING", 1: "START"})
    with client.Client(server.target) as asked:
        assert asked.is_healthy() and asked.is_ready()
        assert asked.available_versions() == [3, 5]


@pytest.mark.parametrize("states", [{1: "LOADING"}, {1: "END"}, {}], ids=["loading", "failed", "none"])
def test_server_without_an_available_version_is_healthy_and_not_ready(serve, states):
    with client.Client(serve(states=states).target) as asked:
        assert asked.is_healthy() and not asked.is_ready()
        assert asked.available_versions() == []


def test_server_that_is_ending_is_not_healthy(serve):
    with client.Client(serve(health_status="NOT_SERVING").target) as asked:
        assert not asked.is_healthy()


def test_absent_server_is_neither_healthy_nor_ready(nowhere):
    with client.Client(nowhere, timeout_seconds=0.3) as asked:
        assert not asked.is_healthy() and not asked.is_ready()
        with pytest.raises(client.ServingUnavailable):
            asked.available_versions()


@pytest.fixture(scope="module")
def certificate():
    """Private key and self-signed certificate of 127.0.0.1, as PEM bytes."""
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
    with client.Client(tls_server.target, root_certificates=certificate[1]) as asked:
        assert asked.classify(b"").class_name == "métal"
        assert asked.is_healthy() and asked.is_ready()


@pytest.mark.parametrize("root_certificates", [b"", None], ids=["the system's", "no TLS"])
def test_tls_server_is_not_spoken_to_without_its_certificate(tls_server, root_certificates):
    with client.Client(tls_server.target, timeout_seconds=0.3, root_certificates=root_certificates) as asked:
        with pytest.raises(client.ServingUnavailable):
            asked.classify(b"")
        assert not asked.is_healthy()
    assert not tls_server.requests


def test_grpc_knows_every_option_of_client_and_server():
    """It passes over those that it does not know without a word."""
    library = pathlib.Path(cygrpc.__file__).read_bytes()
    named = {
        name for file in (ROOT / "serving").rglob("*.py") for name in re.findall(r'"(grpc\.[\w.]+)"', file.read_text())
    }
    assert {name for name, _ in channel.CHANNEL_OPTIONS} < named
    assert [name for name in named if name.encode() + b"\0" not in library] == []


@pytest.fixture
def photos(tmp_path):
    """Three paths: the second is of a folder, and so cannot be read."""
    paths = [tmp_path / name for name in ("a.jpg", "b.jpg", "c.png")]
    paths[0].write_bytes(upload_files.encoded("JPEG"))
    paths[1].mkdir()
    paths[2].write_bytes(upload_files.encoded("PNG"))
    return paths


def echo(request, _):
    """A JPEG is of class a, and all else of class c."""
    (photo,) = request.inputs["image_bytes"].string_val
    return prediction({"a" if photo.startswith(b"\xff\xd8") else "c": 0.75, "other": 0.25})


def test_command_prints_a_row_a_photo(serve, photos, capsys):
    del photos[1]
    assert client.main(["classify", *map(str, photos), "--target", serve(echo).target]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.split() == [str(photos[0]), "a", "75.0%", "version", "3"]
    assert second.split() == [str(photos[1]), "c", "75.0%", "version", "3"]


@pytest.mark.parametrize("exif", [upload_files.exif(6), *upload_files.ODD_EXIF], ids=["turned", "negative", "fraction"])
def test_command_turns_a_photo_upright_that_its_exif_says_is_not(serve, tmp_path, exif):
    path = tmp_path / "portrait.jpg"
    path.write_bytes(upload_files.encoded("JPEG", size=(40, 30), exif=exif))
    server = serve()
    assert client.main(["classify", str(path), "--target", server.target]) == 0
    (sent,) = server.requests[0].inputs["image_bytes"].string_val
    image = Image.open(io.BytesIO(sent))
    assert (image.format, image.mode, image.size) == ("PNG", "RGB", (30, 40))
    pixels = np.asarray(image)
    assert pixels[5, 15].sum() > pixels[35, 15].sum()  # the light half is above


@pytest.mark.parametrize("exif", [b"", upload_files.exif(1), b"Exif\0\0junk"], ids=["none", "upright", "broken"])
def test_command_sends_a_photo_that_stands_upright_as_it_is(serve, tmp_path, exif):
    path = tmp_path / "photo.jpg"
    path.write_bytes(upload_files.encoded("JPEG", exif=exif))
    server = serve()
    client.main(["classify", str(path), "--target", server.target])
    assert list(server.requests[0].inputs["image_bytes"].string_val) == [path.read_bytes()]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: upload_files.encoded("PNG", size=(12, 12)), "too small: 12x12 pixels"),
        (lambda: upload_files.cut("JPEG", 0.9), "truncated: "),
        (upload_files.psd, "not an image: "),
    ],
    ids=["small", "cut", "psd"],
)
def test_command_sends_no_photo_that_cannot_be_normalized_and_says_why(serve, tmp_path, capsys, make, reason):
    path = tmp_path / "photo"
    path.write_bytes(make())
    server = serve()
    assert client.main(["classify", str(path), "--target", server.target]) == 1
    assert f"{path}  not classified: {reason}" in capsys.readouterr().out
    assert not server.requests


def test_command_sends_a_photo_that_tensorflow_does_not_read_as_png(serve, tmp_path):
    path = tmp_path / "photo.tif"
    path.write_bytes(upload_files.encoded("TIFF"))
    server = serve()
    assert client.main(["classify", str(path), "--target", server.target]) == 0
    (sent,) = server.requests[0].inputs["image_bytes"].string_val
    assert Image.open(io.BytesIO(sent)).format == "PNG"


def test_command_prints_a_line_of_json_a_photo(serve, photos, capsys):
    del photos[1]
    assert client.main(["classify", *map(str, photos), "--target", serve(echo).target, "--json"]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == {
        "photo": str(photos[0]),
        "class_name": "a",
        "score": 0.75,
        "scores": {"a": 0.75, "other": 0.25},
        "model_version": 3,
    }
    assert second["class_name"] == "c"


def test_command_goes_on_after_a_photo_that_cannot_be_read(serve, photos, capsys):
    assert client.main(["classify", *map(str, photos), "--target", serve(echo).target]) == 1
    first, second, third = capsys.readouterr().out.splitlines()
    assert " a " in first and " c " in third
    assert second.startswith(str(photos[1])) and "not classified: " in second


def test_command_tells_in_json_why_a_photo_was_not_classified(serve, photos, capsys):
    assert client.main(["classify", *map(str, photos), "--target", serve(echo).target, "--json"]) == 1
    _, second, third = map(json.loads, capsys.readouterr().out.splitlines())
    assert second.keys() == {"photo", "error"} and str(photos[1]) in second["error"]
    assert third["class_name"] == "c"


def test_command_goes_on_after_a_photo_that_is_rejected(serve, photos, capsys):
    server = serve(refusal(grpc.StatusCode.INVALID_ARGUMENT, "not a picture\n\t [[{{node decode}}]]", times=1))
    assert client.main(["classify", str(photos[0]), str(photos[2]), "--target", server.target]) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert "not classified: " in first and "INVALID_ARGUMENT, not a picture" in first
    assert "métal" in second


def test_command_passes_model_and_deadline_on(serve, photos):
    seconds_left = []

    def answer(_, context):
        seconds_left.append(context.time_remaining())
        return prediction(SCORES)

    server = serve(answer)
    client.main(["classify", str(photos[0]), "--target", server.target, "--model_name", "other", "--timeout", "5"])
    assert [request.model_spec.name for request in server.requests] == ["other"]
    assert [4 < seconds < 6 for seconds in seconds_left] == [True]  # the clocks of both sides differ by a little


@pytest.mark.parametrize("flags", [[], ["--json"]], ids=["table", "json"])
def test_command_without_a_server_is_one_line_of_error_and_code_1(nowhere, photos, capsys, flags):
    assert client.main(["classify", str(photos[0]), "--target", nowhere, "--timeout", "0.3", *flags]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("serving.client: ") and nowhere in line and "make serve" in line


def test_command_pointed_at_the_rest_port_names_the_port(photos, capsys):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        thread = threading.Thread(target=speak_http, args=[listener], daemon=True)
        thread.start()
        assert client.main(["classify", str(photos[0]), "--target", address, "--timeout", "0.3"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"serving.client: {address} speaks HTTP, not gRPC") and "8500" in line


def speak_http(listener):
    """Answer every connection as a REST server does, until `listener` is closed."""
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def test_command_whose_reader_has_gone_ends_quietly(tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "serving.client", "classify", "missing1.jpg", "missing2.jpg"]
    done = subprocess.run(command, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


def test_command_whose_output_finds_the_disk_full_says_so_in_one_line():
    command = [sys.executable, "-m", "serving.client", "classify", "missing1.jpg", "missing2.jpg"]
    with pathlib.Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "serving.client: the output cannot be written: No space left on device\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["classify"],
        ["classify", "a.jpg", "--timeout", "soon"],
        ["classify", "a.jpg", "--timeout", "0"],
        ["classify", "a.jpg", "--timeout", "nan"],
        ["classify", "a.jpg", "--target", "http://localhost:8500"],
        ["classify", "a.jpg", "--target", "localhost"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as ending:
        client.main(arguments)
    assert ending.value.code == 2
    assert "usage: python -m serving.client" in capsys.readouterr().err


def test_curl_line_of_the_guide_sends_a_photo_that_is_longer_than_an_argument_may_be(tmp_path):
    (line,) = re.findall(r"\n(.*) \| curl -d @- \S+:predict\n", (ROOT / "docs" / "SERVING.md").read_text())
    photo = bytes(range(256)) * 4096
    (tmp_path / "photo.jpg").write_bytes(photo)
    piped = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    body = json.loads(piped.replace("\n", ""))  # as curl -d reads a file
    assert base64.b64decode(body["instances"][0]["b64"]) == photo


def test_client_loads_without_tensorflow_pillow_and_components():
    heavy = {"tensorflow", "tensorflow_serving", "keras", "numpy", "PIL", "pillow_heif", "components"}
    code = f"import sys, serving.client; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "scores",
    [{"glass": float("nan"), "metal": float("nan")}, {"glass": float("inf"), "metal": 0.0}, {}],
    ids=["nan", "infinite", "none"],
)
def test_answer_that_is_no_classification_is_rejected(serve, scores):
    server = serve(lambda *_: prediction(scores))
    with (
        client.Client(server.target) as asked,
        pytest.raises(client.ServingRejected, match=f"served at {server.target} is broken or no classifier") as caught,
    ):
        asked.classify(b"photo")
    assert caught.value.code is grpc.StatusCode.INTERNAL
