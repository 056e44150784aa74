import io
import json

import grpc
import hypothesis
import jsonschema
import pytest
import schemathesis
import web_app
from hypothesis import strategies as st
from schemathesis.checks import positive_data_acceptance
from schemathesis.generation import GenerationMode

from web import uploads

pytestmark = pytest.mark.databases("sqlite")  # no test depends on the database
DESCRIPTION = json.loads((web_app.ROOT / "web" / "static" / "openapi.json").read_text(encoding="utf-8"))
OPERATIONS = [(method.upper(), path) for path, methods in DESCRIPTION["paths"].items() for method in methods]
PHOTOS = [web_app.photo(name, kind=kind) for name in web_app.CLASSES for kind in ("JPEG", "PNG")]
EXAMPLES = [
    pytest.param(content["schema"], example["value"], id=f"{method} {status} {name}")
    for path in DESCRIPTION["paths"].values()
    for method, operation in path.items()
    for status, response in operation["responses"].items()
    for content in response.get("content", {}).values()
    for name, example in content["examples"].items()
]

schemathesis.openapi.format("binary", st.one_of(st.sampled_from(PHOTOS), st.binary(max_size=100)))


@pytest.fixture
def api(app):
    return schemathesis.openapi.from_wsgi("/api/openapi.json", app)


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_generated_requests_are_answered_as_described(api, method, path, mode):
    @hypothesis.settings(max_examples=25, deadline=None, derandomize=True)
    @hypothesis.given(case=api[path][method].as_strategy(generation_mode=mode))
    def check_answer(case):
        # Most generated files are no photos.
        case.call_and_validate(excluded_checks=[positive_data_acceptance])

    check_answer()


def test_description_is_valid(api):
    api.validate()
    result = "/api/results/{id}"
    assert [("POST", "/api/classify"), ("GET", result), ("DELETE", result)] == OPERATIONS


@pytest.mark.parametrize(("schema", "example"), EXAMPLES)
def test_example_matches_its_schema(schema, example):
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    jsonschema.Draft202012Validator({**DESCRIPTION, **schema}, format_checker=checker).validate(example)


def check(api, method, path, answer, status):
    assert answer.status_code == status
    response = schemathesis.schemas.Response.from_any(answer)
    api[path][method].validate_response(response)


def send(app, *contents, **options):
    files = [(io.BytesIO(content), "photo.jpg") for content in contents]
    return app.test_client().post("/api/classify", data={"image": files}, **options)


def test_answered_photo_is_as_described(app, api):
    answer = send(app, web_app.photo())
    check(api, "POST", "/api/classify", answer, 200)
    check(api, "GET", "/api/results/{id}", app.test_client().get(f"/api/results/{answer.json['id']}"), 200)


def test_waiting_photo_is_as_described(make_app, api, model):
    app = make_app()
    model.stop()
    answer = send(app, web_app.photo())
    check(api, "POST", "/api/classify", answer, 202)
    check(api, "GET", "/api/results/{id}", app.test_client().get(f"/api/results/{answer.json['id']}"), 200)


def test_photo_refused_by_the_model_is_as_described(make_app, api, model):
    app = make_app()
    app.extensions["pilah_uploads"].first_retry_seconds = 0.0

    def refuse(picture):
        raise web_app.Refusal(grpc.StatusCode.INVALID_ARGUMENT)

    model.before_answer = refuse
    answer = send(app, web_app.photo())
    check(api, "POST", "/api/classify", answer, 202)
    with app.app_context():
        uploads.service().retry_waiting()
    row = app.test_client().get(f"/api/results/{answer.json['id']}")
    check(api, "GET", "/api/results/{id}", row, 200)
    assert row.json["state"] == "refused"


@pytest.mark.parametrize(
    ("contents", "status"),
    [
        ([], 400),
        ([b""], 400),
        ([web_app.photo()] * 2, 400),
        ([web_app.photo()[:200]], 400),
        ([web_app.photo(size=(15, 15))], 400),
        ([web_app.photo(size=(800, 800))], 413),
        ([bytes(300_000)], 413),
        ([b"<svg/>"], 415),
    ],
    ids=["no file", "empty", "two", "broken", "small", "too many pixels", "too many bytes", "no picture"],
)
def test_refused_upload_is_as_described(make_app, contents, status):
    app = make_app(max_pixels=600_000, max_upload_bytes=200_000)
    api = schemathesis.openapi.from_wsgi("/api/openapi.json", app)
    check(api, "POST", "/api/classify", send(app, *contents), status)


def test_upload_over_the_rate_is_as_described(make_app):
    app = make_app(upload_rate="1 per minute")
    api = schemathesis.openapi.from_wsgi("/api/openapi.json", app)
    send(app, web_app.photo())
    check(api, "POST", "/api/classify", send(app, web_app.photo()), 429)


def test_upload_without_free_space_is_as_described(app, api, monkeypatch):
    monkeypatch.setattr(uploads, "MIN_FREE_BYTES", 2**80)
    check(api, "POST", "/api/classify", send(app, web_app.photo()), 503)


def test_result_of_an_unknown_id_is_as_described(app, api):
    check(api, "GET", "/api/results/{id}", app.test_client().get(f"/api/results/{'0' * 32}"), 404)


def test_deletion_is_as_described(app, api):
    answer = send(app, web_app.photo()).json
    path, client = "/api/results/{id}", app.test_client()
    check(api, "DELETE", path, client.delete(f"/api/results/{answer['id']}"), 401)
    authorization = {"Authorization": f"Bearer {answer['token']}"}
    for status in (204, 404):
        check(api, "DELETE", path, client.delete(f"/api/results/{answer['id']}", headers=authorization), status)


def test_unavailable_database_is_as_described(make_app, api):
    make_app()
    app = make_app(database_url="sqlite:////nowhere/pilah.db")
    check(api, "POST", "/api/classify", send(app, web_app.photo()), 503)
    check(api, "GET", "/api/results/{id}", app.test_client().get(f"/api/results/{'0' * 32}"), 503)
