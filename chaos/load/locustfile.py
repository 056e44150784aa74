"""Users of the load trial, run by locust in a process of its own, because gevent replaces blocking calls.

CHAOS_LOAD names a file of JSON with `address`, `rate` (requests a second and user; 0 for as many as are answered) and
`results`, the file to write: for each request, its second, status, seconds, and whether a refusal lacks Retry-After.
A file of the same name and the suffix .stopping says that no further request is sent.
"""

import abc
import base64
import json
import os
import pathlib
import random
import time
from typing import Any

import grpc
import locust
from grpc.experimental import gevent as grpc_gevent
from locust.contrib.fasthttp import FastHttpUser

from chaos import probes
from serving import channel
from serving.protos import predict_pb2

OPTIONS = json.loads(pathlib.Path(os.environ["CHAOS_LOAD"]).read_text())
PHOTO = base64.b64decode(OPTIONS["photo"])
RESULTS: list[tuple[float, str, float, bool]] = []
grpc_gevent.init_gevent()


@locust.events.test_stopping.add_listener
def mark_end(**_: Any) -> None:
    pathlib.Path(OPTIONS["results"]).with_suffix(".stopping").touch()


@locust.events.quitting.add_listener
def write_results(**_: Any) -> None:
    pathlib.Path(OPTIONS["results"]).write_text(json.dumps(RESULTS))


class _Load(locust.User):
    """What all users have in common: the times of their requests, which do not depend on the answers."""

    abstract = True
    host = f"http://{OPTIONS['address']}"
    _next = 0.0  # time of the next request; 0 before the first one

    @locust.task
    def request(self) -> None:
        if self._next or not OPTIONS["rate"]:
            self.send()

    def wait_time(self) -> float:
        if not OPTIONS["rate"]:
            return 0.0
        seconds = 1 / OPTIONS["rate"]
        now = time.time()
        self._next = self._next + seconds if self._next else now + random.random() * seconds
        return max(0.0, self._next - now)

    @abc.abstractmethod
    def send(self) -> None:
        """Send a request, and add it to RESULTS."""


class _Http(_Load, FastHttpUser):
    """Sends each request on a new connection, as those of different people are."""

    abstract = True
    connection_timeout = network_timeout = probes.GIVE_UP_SECONDS * 2
    path, headers = "", {"Content-Type": "application/json", "Connection": "close"}
    body: Any = b""  # locust's type hint lacks bytes

    def send(self) -> None:
        start = time.time()
        with self.client.post(self.path, data=self.body, headers=self.headers, catch_response=True) as response:
            status = str(response.status_code or type(response.error).__name__)
            lacks = status in ("429", "503") and "Retry-After" not in response.headers
            RESULTS.append((start, status, time.time() - start, lacks))
            response.success()


class Page(_Http):
    path, headers, body = (
        "/api/classify",
        {**probes.FORM_HEADERS, "Connection": "close"},
        probes.form(PHOTO),
    )


class Rest(_Http):
    path = "/v1/models/pilah:predict"
    body = json.dumps({"instances": [{"b64": base64.b64encode(PHOTO).decode()}]}).encode()


class Grpc(_Load):
    def on_start(self) -> None:
        # without the first option, the service config, whose retries would hide refusals
        self._channel = grpc.insecure_channel(OPTIONS["address"], channel.CHANNEL_OPTIONS[1:])
        self._predict = self._channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "pilah"
        tensor = request.inputs["image_bytes"]
        tensor.dtype = 7
        tensor.tensor_shape.dim.add(size=1)
        tensor.string_val.append(PHOTO)
        self._request = request.SerializeToString()

    def on_stop(self) -> None:
        self._channel.close()

    def send(self) -> None:
        start = time.time()
        try:
            self._predict(self._request, timeout=probes.GIVE_UP_SECONDS * 2)
            status = "200"
        except grpc.RpcError as error:
            status = str(error.code().name)
        RESULTS.append((start, status, time.time() - start, False))
        self.environment.events.request.fire(
            request_type="grpc", name="Predict", response_time=0, response_length=0, exception=None, context={}
        )
