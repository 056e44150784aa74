"""`python -m serving.client`, tested against a small server."""

import base64
import contextlib
import io
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import threading

import grpc
import numpy as np
import pytest
import upload_files
from fake_serving import SCORES, prediction, refusal
from PIL import Image

from serving.client import __main__ as command

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def photos(tmp_path):
    """Return three paths; the second cannot be read, because it is a folder."""
    paths = [tmp_path / name for name in ("a.jpg", "b.jpg", "c.png")]
    paths[0].write_bytes(upload_files.encoded("JPEG"))
    paths[1].mkdir()
    paths[2].write_bytes(upload_files.encoded("PNG"))
    return paths


def class_by_format(request, _):
    """Answer class a for a JPEG and class c for any other photo."""
    (photo,) = request.inputs["image_bytes"].string_val
    return prediction({"a" if photo.startswith(b"\xff\xd8") else "c": 0.75, "other": 0.25})


def test_command_prints_one_row_per_photo(serve, photos, capsys):
    del photos[1]
    assert command.main(["classify", *map(str, photos), "--target", serve(class_by_format).target]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.split() == [str(photos[0]), "a", "75.0%", "version", "3"]
    assert second.split() == [str(photos[1]), "c", "75.0%", "version", "3"]


@pytest.mark.parametrize(("score", "shown"), [(0.99996, ">99.9%"), (1.0, "100.0%"), (0.0625, "6.2%")])
def test_row_shows_100_percent_only_for_a_score_of_1(serve, photos, capsys, score, shown):
    server = serve(lambda request, _: prediction({"a": score}))
    assert command.main(["classify", str(photos[0]), "--target", server.target]) == 0
    assert capsys.readouterr().out.split() == [str(photos[0]), "a", shown, "version", "3"]


@pytest.mark.parametrize(
    ("in_set", "typicality", "answer"),
    [
        ([False, True, False], 0.5, "métal"),
        ([False, True, True], 0.5, "métal or 纸板"),
        ([True, True, True], 0.011, "métal, 纸板 or kaca"),
        ([True, True, False], 0.0099, "untypical (métal?)"),
        ([False, True, False], None, "métal"),
        (None, None, "métal"),
    ],
)
def test_row_names_the_classes_of_the_prediction_set(serve, photos, capsys, in_set, typicality, answer):
    server = serve(lambda *_: prediction(SCORES, in_set=in_set, typicality=typicality))
    assert command.main(["classify", str(photos[0]), "--target", server.target]) == 0
    assert capsys.readouterr().out.split() == [str(photos[0]), *answer.split(), "62.5%", "version", "3"]


def test_json_has_the_prediction_set_typicality_and_certainty(serve, photos, capsys):
    server = serve(lambda *_: prediction(SCORES, in_set=[True, True, False], typicality=0.25))
    assert command.main(["classify", str(photos[0]), "--target", server.target, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["prediction_set"], result["typicality"]) == (["métal", "kaca"], 0.25)
    assert result["certainty"] == "unsure"


@pytest.mark.parametrize("exif", [upload_files.exif(6), *upload_files.ODD_EXIF], ids=["turned", "negative", "fraction"])
def test_command_rotates_a_photo_as_its_exif_says(serve, tmp_path, exif):
    path = tmp_path / "portrait.jpg"
    path.write_bytes(upload_files.encoded("JPEG", size=(40, 30), exif=exif))
    server = serve()
    assert command.main(["classify", str(path), "--target", server.target]) == 0
    (sent,) = server.requests[0].inputs["image_bytes"].string_val
    image = Image.open(io.BytesIO(sent))
    assert (image.format, image.mode, image.size) == ("PNG", "RGB", (30, 40))
    pixels = np.asarray(image)
    assert pixels[5, 15].sum() > pixels[35, 15].sum()  # the light half is on top


@pytest.mark.parametrize("exif", [b"", upload_files.exif(1), b"Exif\0\0junk"], ids=["none", "upright", "broken"])
def test_command_sends_an_upright_photo_with_its_pixels_as_encoded(serve, tmp_path, exif):
    path = tmp_path / "photo.jpg"
    path.write_bytes(upload_files.encoded("JPEG", exif=exif))
    server = serve()
    command.main(["classify", str(path), "--target", server.target])
    assert list(server.requests[0].inputs["image_bytes"].string_val) == [upload_files.encoded("JPEG")]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: upload_files.encoded("PNG", size=(12, 12)), "too small: 12x12 pixels"),
        (lambda: upload_files.cut("JPEG", 0.9), "truncated: "),
        (upload_files.psd, "not an image: "),
    ],
    ids=["small", "cut", "psd"],
)
def test_command_prints_why_a_photo_cannot_be_normalized_and_does_not_send_it(serve, tmp_path, capsys, make, reason):
    path = tmp_path / "photo"
    path.write_bytes(make())
    server = serve()
    assert command.main(["classify", str(path), "--target", server.target]) == 1
    assert f"{path}  not classified: {reason}" in capsys.readouterr().out
    assert not server.requests


def test_command_converts_a_format_that_tensorflow_cannot_read_to_png(serve, tmp_path):
    path = tmp_path / "photo.tif"
    path.write_bytes(upload_files.encoded("TIFF"))
    server = serve()
    assert command.main(["classify", str(path), "--target", server.target]) == 0
    (sent,) = server.requests[0].inputs["image_bytes"].string_val
    assert Image.open(io.BytesIO(sent)).format == "PNG"


def test_command_prints_one_line_of_json_per_photo(serve, photos, capsys):
    del photos[1]
    assert command.main(["classify", *map(str, photos), "--target", serve(class_by_format).target, "--json"]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == {
        "photo": str(photos[0]),
        "class_name": "a",
        "score": 0.75,
        "scores": {"a": 0.75, "other": 0.25},
        "model_version": 3,
        "prediction_set": None,
        "typicality": None,
        "certainty": None,
    }
    assert second["class_name"] == "c"


def test_command_continues_after_a_photo_that_cannot_be_read(serve, photos, capsys):
    assert command.main(["classify", *map(str, photos), "--target", serve(class_by_format).target]) == 1
    first, second, third = capsys.readouterr().out.splitlines()
    assert " a " in first and " c " in third
    assert second.startswith(str(photos[1])) and "not classified: " in second


def test_command_prints_the_error_of_a_photo_as_json(serve, photos, capsys):
    assert command.main(["classify", *map(str, photos), "--target", serve(class_by_format).target, "--json"]) == 1
    _, second, third = map(json.loads, capsys.readouterr().out.splitlines())
    assert second.keys() == {"photo", "error"} and str(photos[1]) in second["error"]
    assert third["class_name"] == "c"


def test_command_continues_after_a_rejected_photo(serve, photos, capsys):
    server = serve(refusal(grpc.StatusCode.INVALID_ARGUMENT, "not a picture\n\t [[{{node decode}}]]", times=1))
    assert command.main(["classify", str(photos[0]), str(photos[2]), "--target", server.target]) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert "not classified: " in first and "INVALID_ARGUMENT, not a picture" in first
    assert "métal" in second


def test_command_sends_model_name_and_deadline(serve, photos):
    seconds_left = []

    def answer(_, context):
        seconds_left.append(context.time_remaining())
        return prediction(SCORES)

    server = serve(answer)
    command.main(["classify", str(photos[0]), "--target", server.target, "--model_name", "other", "--timeout", "5"])
    assert [request.model_spec.name for request in server.requests] == ["other"]
    assert [4 < seconds < 6 for seconds in seconds_left] == [True]  # the clocks of client and server differ slightly


@pytest.mark.parametrize("flags", [[], ["--json"]], ids=["table", "json"])
def test_command_without_a_server_prints_one_line_and_exits_with_1(nowhere, photos, capsys, flags):
    assert command.main(["classify", str(photos[0]), "--target", nowhere, "--timeout", "0.3", *flags]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("serving.client: ") and nowhere in line and "make serve" in line


def test_command_with_the_rest_port_says_to_use_the_grpc_port(photos, capsys):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        thread = threading.Thread(target=speak_http, args=[listener], daemon=True)
        thread.start()
        assert command.main(["classify", str(photos[0]), "--target", address, "--timeout", "0.3"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"serving.client: {address} speaks HTTP, not gRPC") and "8500" in line


def speak_http(listener):
    """Answer every connection like a REST server until `listener` is closed."""
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def test_command_whose_output_pipe_is_closed_exits_silently(tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    arguments = [sys.executable, "-m", "serving.client", "classify", "missing1.jpg", "missing2.jpg"]
    completed = subprocess.run(arguments, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (completed.returncode, completed.stderr) == (1, b"")


def test_command_that_writes_to_a_full_disk_prints_one_line():
    arguments = [sys.executable, "-m", "serving.client", "classify", "missing1.jpg", "missing2.jpg"]
    with pathlib.Path("/dev/full").open("wb") as full:
        completed = subprocess.run(arguments, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert completed.returncode == 1
    assert completed.stderr == "serving.client: the output cannot be written: No space left on device\n"


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
def test_wrong_usage_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as exit_info:
        command.main(arguments)
    assert exit_info.value.code == 2
    assert "usage: python -m serving.client" in capsys.readouterr().err


def test_curl_example_of_the_docs_sends_a_photo_that_is_too_long_for_an_argument(tmp_path):
    (line,) = re.findall(r"\n(.*) \| curl -d @- \S+:predict\n", (ROOT / "docs" / "serving.md").read_text())
    photo = bytes(range(256)) * 4096
    (tmp_path / "photo.jpg").write_bytes(photo)
    piped = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    body = json.loads(piped.replace("\n", ""))  # as curl -d reads a file
    assert base64.b64decode(body["instances"][0]["b64"]) == photo
