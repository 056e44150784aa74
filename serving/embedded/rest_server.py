"""The REST server, with the paths, status codes and JSON of TensorFlow Serving."""

import json
import re
import threading
import zlib
from typing import Any
from urllib.parse import unquote

import werkzeug
from google.protobuf import json_format, message
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, model_pb2

from serving.embedded import handlers, json_tensors, limits, metrics, model_config, status, strict_http, versions

_NAME = r"/(?P<name>[^/:]+)"
_VERSION = r"(?:(?i:/versions/)(?P<version>\d+)|(?i:/labels/)(?P<label>[^/:]+))?"
PREDICT_PATH = re.compile(rf"(?i:/v1/models){_NAME}{_VERSION}:(?P<method>classify|regress|predict)")
STATUS_PATH = re.compile(rf"(?i:/v1/models)(?:{_NAME})?{_VERSION}(?P<metadata>(?i:/metadata))?")
CALLS = {"predict": "Predict", "classify": "Classify", "regress": "Regress"}
MAX_UNZIPPED_BYTES = 100 * 1024 * 1024  # TensorFlow Serving's limit
RETRY_SECONDS = 1  # of refused requests
READERS = 256  # threads that read requests and send responses, besides those of predictions
GZIP_WBITS = 16 + zlib.MAX_WBITS  # makes zlib expect gzip's header and trailer


class RestServer:
    """An HTTP server for `models`; `start` makes it listen.

    Args:
        host: address of the network interface to listen on, 0.0.0.0 for all.
        metrics_path: path of the Prometheus metrics, None to publish none.
        threads: number of predictions at the same time; others are refused.
    """

    def __init__(self, models: versions.Models, host: str, port: int, metrics_path: str | None, threads: int):
        self._models, self._metrics_path = models, metrics_path
        self._limit = limits.ConcurrencyLimit(threads)
        self._server = strict_http.Server(
            (host, port), self._application, numthreads=threads + READERS, server_name="pilah"
        )
        self._server.shutdown_timeout = None

    def start(self) -> int:
        """Start to listen and return the port.

        Raises:
            OSError: the port is in use.
        """
        self._server.prepare()
        self._server.slow.start()
        threading.Thread(target=self._server.serve, name="rest", daemon=True).start()
        return self._server.bind_addr[1]

    def drain(self, grace_seconds: float) -> None:
        """Refuse new requests; return when the current ones have finished, or after `grace_seconds`."""
        self._server.shutdown_timeout = grace_seconds
        self._server.stop()
        self._server.slow.stop()

    @property
    def _application(self) -> Any:
        return werkzeug.Request.application(self.respond)

    def respond(self, request: werkzeug.Request) -> werkzeug.Response:
        body = strict_http.Body(request.environ)
        response = self._response(request, body)
        body.finish()
        return response

    def _response(self, request: werkzeug.Request, body: strict_http.Body) -> werkzeug.Response:
        if self._metrics_path and request.path == self._metrics_path:
            return werkzeug.Response(metrics.page(), content_type="text/plain")
        if not request.path.lower().startswith("/v1/"):
            return _json({"error": f"No such path: {request.path}. Paths start with /v1/models/."}, 404)
        try:
            return _json(self._answer(request, body), 200)
        except status.StatusError as error:
            return _json({"error": error.message}, status.HTTP_STATUS[error.code])

    def _answer(self, request: werkzeug.Request, body: strict_http.Body) -> Any:
        path = request.environ.get("REQUEST_URI", request.path).partition("?")[0]
        pattern = {"POST": PREDICT_PATH, "GET": STATUS_PATH}.get(request.method)
        match = pattern and pattern.fullmatch(path)
        if not match:
            raise status.invalid_argument(f"Malformed request: {request.method} {path}")
        spec = _spec(match)
        if request.method == "POST":
            call = CALLS[match["method"]]
            with metrics.observe_request(call, "REST", self._models, spec.name):
                content = _content(request, body)
                with self._limit.acquire():
                    return self._predict(call, spec, content)
        call = "GetModelMetadata" if match["metadata"] else "GetModelStatus"
        with metrics.observe_request(call, "REST", self._models, spec.name):
            return self._metadata(spec) if match["metadata"] else self._status(spec)

    def _predict(self, call: str, spec: model_pb2.ModelSpec, body: bytes) -> Any:
        if call != "Predict":
            raise status.StatusError(
                status.Code.UNIMPLEMENTED,
                f"The embedded server does not support {call}. Use :predict, or run TensorFlow Serving.",
            )
        document = json_tensors.parse(body)
        name = json_tensors.signature_name(document)
        with self._models.handle(spec) as servable:
            if name not in servable.signatures:
                raise status.invalid_argument(f'Serving signature name: "{name}" not found in signature def')
            infos = dict(servable.signatures[name].inputs)  # a protobuf map refuses keys that are not UTF-8
            inputs, row_by_row = json_tensors.inputs(document, infos)
            return json_tensors.outputs(servable.predict(name, inputs), row_by_row)

    def _status(self, spec: model_pb2.ModelSpec) -> Any:
        request = get_model_status_pb2.GetModelStatusRequest(model_spec=spec)
        return _to_dict(handlers.model_status(self._models, request))

    def _metadata(self, spec: model_pb2.ModelSpec) -> Any:
        request = get_model_metadata_pb2.GetModelMetadataRequest(
            model_spec=spec, metadata_field=[handlers.SIGNATURES_FIELD]
        )
        response = handlers.metadata(self._models, request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata[handlers.SIGNATURES_FIELD].Unpack(signatures)
        return {
            "model_spec": _to_dict(response.model_spec),
            "metadata": {handlers.SIGNATURES_FIELD: _to_dict(signatures)},
        }


def _content(request: werkzeug.Request, body: strict_http.Body) -> bytes:
    """Return the body, decompressed where it is gzip.

    Raises:
        StatusError: INVALID_ARGUMENT, the body or its gzip stream is damaged, incomplete or too large.
    """
    received = body.read()
    if "gzip" not in request.headers.get("Content-Encoding", ""):
        return received
    unzip = zlib.decompressobj(GZIP_WBITS)
    try:
        content = unzip.decompress(received, MAX_UNZIPPED_BYTES)
        is_complete = unzip.eof and not unzip.unused_data
    except zlib.error:
        is_complete = False
    if not is_complete:
        raise status.invalid_argument(
            "JSON Parse error: The document is empty. "  # TensorFlow Serving's message ends here
            f"With Content-Encoding: gzip, the body must be one complete gzip stream of at most {MAX_UNZIPPED_BYTES} "
            f"bytes after decompression (got {len(received)} bytes). Compress it again, or send it uncompressed."
        )
    return content


def _spec(match: re.Match[str]) -> model_pb2.ModelSpec:
    if not match["name"]:
        raise status.invalid_argument("Missing model name in request.")
    spec = model_pb2.ModelSpec(name=unquote(match["name"]))
    if match["version"]:
        digits = match["version"].lstrip("0") or "0"
        # checks the length first, because int() refuses more than 4,300 digits
        if len(digits) > len(str(model_config.MAX_VERSION)) or int(digits) > model_config.MAX_VERSION:
            raise status.invalid_argument(f"Failed to convert version: {match['version']} to numeric.")
        spec.version.value = int(digits)
    if match["label"]:
        spec.version_label = unquote(match["label"])
    return spec


def _to_dict(proto: message.Message) -> Any:
    return json_format.MessageToDict(proto, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def _json(value: Any, http_status: int) -> werkzeug.Response:
    # Strings that are not UTF-8 are sent as their bytes, as TensorFlow Serving does.
    text = json.dumps(value, indent=4, ensure_ascii=False).encode("utf-8", "surrogateescape")
    headers = {"Retry-After": str(RETRY_SECONDS)} if http_status in (429, 503) else {}
    return werkzeug.Response(text, http_status, headers, content_type="application/json")
