"""A single request to the page, to REST or by gRPC, as a well-behaved client sends it during a trial."""

import base64
import http.client
import io
import json
import time
from collections.abc import Callable

import grpc
from PIL import Image

from chaos import servers
from serving import client

GIVE_UP_SECONDS = 30.0  # timeout of a request: more is a hang
RECOVERY_SECONDS = 5.0  # until an answer after the trial
FORM_HEADERS = {"Content-Type": "multipart/form-data; boundary=x"}


def photo() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (64, 64), (10, 200, 30)).save(stream, "JPEG")
    return stream.getvalue()


def form(content: bytes) -> bytes:
    """Return a form with a photo."""
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
    return head + content + b"\r\n--x--\r\n"


def upload(port: int) -> str:
    """Return the status of an upload to the page."""
    return _request(port, "POST", "/api/classify", form(photo()), FORM_HEADERS)


def rest(port: int) -> str:
    """Return the status of a prediction over REST."""
    body = json.dumps({"instances": [{"b64": base64.b64encode(photo()).decode()}]}).encode()
    return _request(port, "POST", "/v1/models/pilah:predict", body, {})


def call(port: int) -> str:
    """Return the status of a gRPC call on a new connection."""
    with client.Client(f"{servers.HOST}:{port}", timeout_seconds=GIVE_UP_SECONDS) as caller:
        try:
            caller.classify(photo())
        except client.ServingUnavailable as error:
            cause = error.__cause__
            return cause.code().name if isinstance(cause, grpc.Call) else "UNAVAILABLE"
        except client.ServingRejected as error:
            return str(error.code.name)
    return "200"


def recover(ask: Callable[[int], str], port: int) -> tuple[str, float]:
    """Ask until an answer, or for GIVE_UP_SECONDS. Return the last status, and the seconds until it came."""
    start = time.monotonic()
    while (status := ask(port)) != "200" and time.monotonic() - start < GIVE_UP_SECONDS:
        time.sleep(0.1)
    return status, time.monotonic() - start


def _request(port: int, method: str, path: str, body: bytes, headers: dict[str, str]) -> str:
    connection = http.client.HTTPConnection(servers.HOST, port, timeout=GIVE_UP_SECONDS)
    try:
        connection.request(method, path, body, {**headers, "Connection": "close"})
        return str(connection.getresponse().status)
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    finally:
        connection.close()
