"""The web tier for tests: browsers, photos, and a model server that can be stopped and restarted on its port.

The server uses our own messages, because the official ones load TensorFlow; test_protos.py compares both. Run as a
program, this module starts a server that prints its address and never answers a photo.
"""

import concurrent.futures
import contextlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import click
import flask.testing
import flask_wtf.csrf
import grpc
import numpy as np
import sqlalchemy as sa
from flask import Flask, session
from PIL import Image

import web
from serving.protos import predict_pb2
from web import limits
from web.database import Upload, db

ROOT = pathlib.Path(__file__).parents[2]
CLASSES = ("glass", "metal", "paper")
COLOURS = {"glass": (230, 20, 20), "metal": (20, 230, 20), "paper": (20, 20, 230)}  # class -> colour of its photos
VERSION = 3
SETTINGS: dict[str, Any] = {  # of web/settings.py
    "pilah_env": "development",
    "admin_token": "an operator's token",
    "serving_timeout_seconds": 0.5,  # short, because tests wait for it when the server is stopped
    "retry_seconds": 0.05,
    "upload_rate": "100000 per minute",
    "visitor_rate": "100000 per day",
    "total_rate": "100000 per day",
    "TESTING": True,
}
# schema of this test process in the PostgreSQL of DATABASE_URL; other schemas are not touched
SCHEMA = f"pilah_tests_{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"
HAS_POSTGRESQL = os.environ.get("DATABASE_URL", "").startswith("postgresql")
NO_POSTGRESQL = "DATABASE_URL is not a PostgreSQL database: export DATABASE_URL=$(tests/postgres.sh start)"


def photo(class_name: str = "glass", size: tuple[int, int] = (40, 30), seed: int = 0, kind: str = "JPEG") -> bytes:
    """Return a photo that the model server classifies as `class_name`; each seed gives a different one."""
    noise = np.random.default_rng(seed).integers(-20, 20, (size[1], size[0], 3))
    stream = io.BytesIO()
    Image.fromarray((np.array(COLOURS[class_name]) + noise).astype(np.uint8)).save(stream, kind)
    return stream.getvalue()


def by_colour(picture: bytes) -> dict[str, float]:
    """Return scores from the picture's mean red, green and blue, so that a test can match them to the picture."""
    mean = np.asarray(Image.open(io.BytesIO(picture)), np.float64).mean(axis=(0, 1)) + 1
    return dict(zip(CLASSES, (mean / mean.sum()).tolist(), strict=True))


class ModelServer:
    """A gRPC server of the model `pilah`, without TensorFlow, which keeps its port when it is restarted.

    Attributes:
        photos: the pictures that were sent to it, in order.
        explained_versions: the versions that were asked for a heat map, in order.
        before_answer: called with each picture before the answer; may stop the server or raise `Refusal`.
        in_set, typicality: outputs that are sent with the scores, unless they are None, as of an earlier model.
        heatmap: answer to the signature `explain`; None if the model lacks it.
    """

    in_set: Sequence[bool] | None = None
    typicality: float | None = None
    heatmap: Sequence[Sequence[float]] | None = None

    def __init__(self) -> None:
        self.photos: list[bytes] = []
        self.explained_versions: list[int] = []
        self.before_answer: Callable[[bytes], None] = lambda picture: None
        self._port = 0
        self._grpc: grpc.Server | None = None

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def runs(self) -> bool:
        return self._grpc is not None

    def start(self) -> None:
        # Without this option, a server that is still stopping could share the port and receive calls.
        self._grpc = grpc.server(concurrent.futures.ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
        self._grpc.add_generic_rpc_handlers(_handlers(Predict=self._predict, GetModelStatus=self._status))
        self._port = self._grpc.add_insecure_port(self.target)
        self._grpc.start()

    def stop(self) -> None:
        """Stop at once; current calls fail."""
        if self._grpc:
            self._grpc.stop(None).wait()
            self._grpc = None

    def forget(self) -> None:
        """Reset it to a running server without recorded photos."""
        self.photos, self.before_answer, self.explained_versions = [], lambda picture: None, []
        self.in_set = self.typicality = self.heatmap = None
        if not self._grpc:
            self.start()

    def _predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        picture = request.inputs["image_bytes"].string_val[0]
        self.photos.append(picture)
        try:
            self.before_answer(picture)
        except Refusal as refusal:
            context.abort(refusal.code, "refused by the test")
        if request.model_spec.signature_name == "explain":
            self.explained_versions.append(request.model_spec.version.value)
            return self._explain(context)
        scores = by_colour(picture)
        response = predict_pb2.PredictResponse()
        response.model_spec.version.value = VERSION
        response.outputs["class_names"].string_val.extend(name.encode() for name in scores)
        response.outputs["scores"].float_val.extend(scores.values())
        if self.in_set is not None:
            response.outputs["in_set"].bool_val.extend(self.in_set)
        if self.typicality is not None:
            response.outputs["typicality"].float_val.append(self.typicality)
        return response

    def _explain(self, context: grpc.ServicerContext) -> Any:
        if self.heatmap is None:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, 'Serving signature key "explain" not found.')
        response = predict_pb2.PredictResponse()
        for row in self.heatmap or ():
            response.outputs["heatmap"].float_val.extend(row)
        for size in (1, len(self.heatmap or ()), len((self.heatmap or [[]])[0])):
            response.outputs["heatmap"].tensor_shape.dim.add(size=size)
        return response

    def _status(self, request: Any, context: grpc.ServicerContext) -> Any:
        response = predict_pb2.ModelStatusResponse()
        response.model_version_status.add(version=VERSION, state=predict_pb2.ModelVersionStatus.AVAILABLE)
        return response


class Refusal(Exception):  # noqa: N818  # an answer, not a defect
    """Raised to answer with this gRPC status instead of scores."""

    def __init__(self, code: grpc.StatusCode):
        super().__init__(code.name)
        self.code = code


class Browser:
    """A visitor's browser, with its own cookies and the CSRF token of the forms."""

    def __init__(self, app: Flask, **environment: Any):
        self._app, self._environment = app, environment
        self.client = app.test_client()

    def get(self, path: str, **options: Any) -> Any:
        return self.client.get(path, **{**self._environment, **options})

    def post(self, path: str, fields: Mapping[str, Any] | None = None, **options: Any) -> Any:
        """Submit a form of a page with its CSRF token."""
        fields = {"csrf_token": self.csrf_token(), **(fields or {})}
        return self.client.post(path, data=fields, **{**self._environment, **options})

    def upload(self, content: bytes | None = None, name: str = "photo.jpg") -> Any:
        return self.post("/classify", {"image": (io.BytesIO(photo() if content is None else content), name)})

    def uploaded(self, content: bytes | None = None) -> str:
        """Upload a photo and return the id of its row."""
        response = self.upload(content)
        assert response.status_code == 303, response.text
        return response.location.rsplit("/", 1)[1]

    def cookie(self) -> str:
        """Return the value of the session cookie."""
        cookie = self.client.get_cookie(self._app.config["SESSION_COOKIE_NAME"])
        assert cookie
        return cookie.value

    def set_cookie(self, value: str) -> None:
        self.client.set_cookie(self._app.config["SESSION_COOKIE_NAME"], value)

    def csrf_token(self) -> str:
        with self.client.session_transaction(**self._environment) as cookie, self._app.test_request_context():
            session.update(cookie)
            token = flask_wtf.csrf.generate_csrf()
            cookie.update(session)
        return token


class _Client(flask.testing.FlaskClient):
    """A client that reads each response to its end, which closes the file that it is sent from."""

    def open(self, *args: Any, buffered: bool = True, **options: Any) -> Any:
        return super().open(*args, buffered=buffered, **options)


def classify(app: Flask, content: bytes, name: str = "photo.jpg", **options: Any) -> Any:
    """Return the API's response to an upload."""
    return app.test_client().post("/api/classify", data={"image": (io.BytesIO(content), name)}, **options)


def rows(app: Flask) -> list[Upload]:
    """Return all rows, oldest first."""
    with app.app_context():
        return list(db.session.scalars(sa.select(Upload).order_by(Upload.created_at, Upload.id)))


def files(app: Flask) -> list[str]:
    """Return the names of all stored picture files."""
    return sorted(path.name for path in (pathlib.Path(app.instance_path) / "uploads").rglob("*") if path.is_file())


def make(tables: str | pathlib.Path, data: pathlib.Path, server: ModelServer, **settings: Any) -> Flask:
    """Return an application on the folder `data`, which may have data already, with its `flask` commands."""
    if isinstance(tables, pathlib.Path):
        if not (data / tables.name).exists():
            shutil.copyfile(tables, data / tables.name)
        tables = ""
    locations = {"database_url": tables, "pilah_data": str(data), "serving_target": server.target}
    with click.Context(click.Command("tests")):
        app = web.create_app({**SETTINGS, **locations, **settings})
    app.test_client_class = _Client
    limits.limiter.reset()
    return app


def empty(app: Flask) -> None:
    """Delete all rows, pictures and rate limit counts."""
    with app.app_context():
        for table in db.metadata.sorted_tables:
            db.session.execute(sa.delete(table))
        db.session.commit()
    for folder in ("uploads", "exports"):
        shutil.rmtree(pathlib.Path(app.instance_path) / folder, ignore_errors=True)
    limits.limiter.reset()


def records(log: io.StringIO) -> list[dict[str, Any]]:
    """Return the records of a JSON log."""
    return [json.loads(line) for line in log.getvalue().splitlines()]


def wait_until(condition: Callable[[], Any], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition was not met in time"
        time.sleep(0.02)


def bring_back(app: Flask, server: ModelServer) -> None:
    """Start the model server, and wait until the application is connected to it."""
    server.start()
    wait_until(app.extensions["pilah_uploads"].caller.is_ready)


def close(*apps: Flask) -> None:
    """Stop the threads and close the connections of the applications."""
    for app in apps:
        app.extensions["pilah_uploads"].stop_retrying()
    for thread in threading.enumerate():
        if thread.name in ("retry", "prune"):
            thread.join()
    for app in apps:
        app.extensions["pilah_uploads"].caller.close()
        with app.app_context():
            db.engine.dispose()


def environment(**names: str) -> dict[str, str]:
    """Return the environment of a process that imports our packages."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **names}


def upgrade(data: pathlib.Path, database_url: str) -> None:
    """Create the tables with the command for operators."""
    variables = environment(PILAH_ENV="development", PILAH_DATA=str(data), DATABASE_URL=database_url)
    command = [sys.executable, "-m", "flask", "--app", "web", "db", "upgrade"]
    completed = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True)
    assert completed.returncode == 0, completed.stderr


@contextlib.contextmanager
def own_schema(database_url: str) -> Iterator[str]:
    """Yield `database_url` restricted to an empty schema for the tests, after which its connections are named."""
    url = sa.make_url(database_url).update_query_dict({"options": f"-csearch_path={SCHEMA}"})
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE"))
        connection.execute(sa.text(f"CREATE SCHEMA {SCHEMA}"))
        yield url.update_query_dict({"application_name": SCHEMA}).render_as_string(hide_password=False)
        connection.execute(sa.text(f"DROP SCHEMA {SCHEMA} CASCADE"))
    engine.dispose()


def _handlers(**behaviours: Any) -> tuple[Any, Any]:
    """Return the gRPC handlers of these methods."""
    services: dict[str, tuple[str, Any, Any]] = {  # method -> service, request, response
        "Predict": ("PredictionService", predict_pb2.PredictRequest, predict_pb2.PredictResponse),
        "GetModelStatus": ("ModelService", predict_pb2.ModelStatusRequest, predict_pb2.ModelStatusResponse),
    }
    return tuple(
        grpc.method_handlers_generic_handler(
            f"tensorflow.serving.{service}",
            {
                method: grpc.unary_unary_rpc_method_handler(
                    behaviours[method], request.FromString, response.SerializeToString
                )
            },
        )
        for method, (service, request, response) in services.items()
    )


def _serve_without_answers() -> None:
    server = ModelServer()
    server.before_answer = lambda picture: (print("asked", flush=True), threading.Event().wait())[0]
    server.start()
    print(server.target, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    _serve_without_answers()
