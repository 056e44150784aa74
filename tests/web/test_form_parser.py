"""Messages of the page and the API about forms that cannot be parsed."""

import io

import pytest
import web_app
from web_app import Browser

pytestmark = pytest.mark.databases("sqlite")  # no test depends on the database
CRLF = b"\r\n"
TYPE = "multipart/form-data; boundary=x"
LARGE = bytes(700_000)
TOO_LARGE = "up to 1000 fields and 500 kB besides files"
MALFORMED = "incomplete or not valid multipart/form-data"
NO_FILE = "no file in the field image"
NO_FORM = "Send a multipart/form-data form"


def part(name, content, file_name=None):
    parameter = f'; filename="{file_name}"' if file_name is not None else ""
    head = f'--x\r\nContent-Disposition: form-data; name="{name}"{parameter}\r\n\r\n'
    return head.encode() + content + CRLF


def form(*parts, end=b"--x--\r\n"):
    return b"".join(parts) + end


FIELDS = [part(f"field{number}", b"1") for number in range(1500)]
FORMS = {  # name -> content type, body, status, reason, words of the message
    "large photo without a file name": (TYPE, form(part("image", LARGE)), 413, "fields", TOO_LARGE),
    "1,500 fields": (TYPE, form(*FIELDS), 413, "fields", TOO_LARGE),
    "large head of a part": (TYPE, form(b"--x\r\nX: " + LARGE + CRLF + CRLF), 413, "fields", TOO_LARGE),
    "large form of another type": ("application/x-www-form-urlencoded", b"a&" * 300_000, 413, "fields", TOO_LARGE),
    "photo without a file name": (TYPE, form(part("image", web_app.photo())), 400, "field", NO_FILE),
    "another field": (TYPE, form(part("photo", web_app.photo(), "a.jpg")), 400, "field", NO_FILE),
    "no fields": (TYPE, form(), 400, "field", NO_FILE),
    "no boundary": ("multipart/form-data", form(part("image", LARGE, "a.jpg")), 400, "form", MALFORMED),
    "another boundary": (f"{TYPE}y", form(part("image", b"1", "a.jpg")), 400, "form", MALFORMED),
    "boundary beyond ASCII": ("multipart/form-data; boundary=\xe9", form(), 400, "form", MALFORMED),
    "without its end": (TYPE, form(part("image", web_app.photo(), "a.jpg"), end=b""), 400, "form", MALFORMED),
    "part without a head": (TYPE, form(b"--x\r\n\r\nphoto\r\n"), 400, "form", MALFORMED),
    "JSON": ("application/json", b'{"image": "aGVsbG8="}', 400, "type", NO_FORM),
    "photo without a form": ("image/jpeg", web_app.photo(), 400, "type", NO_FORM),
    "field of another type of form": ("application/x-www-form-urlencoded", b"image=1", 400, "type", NO_FORM),
    "nothing": (None, b"", 400, "type", NO_FORM),
    "no file chosen": (TYPE, form(part("image", b"", "")), 400, "missing", "Choose a photo first."),
    "two files": (TYPE, form(*[part("image", b"1", "a.jpg")] * 2), 400, "many", "you sent 2"),
}


@pytest.mark.parametrize(("content_type", "body", "status", "reason", "words"), FORMS.values(), ids=FORMS)
def test_api_explains_an_invalid_form(app, content_type, body, status, reason, words):
    answer = app.test_client().post("/api/classify", data=body, content_type=content_type)
    assert (answer.status_code, answer.json["error"]) == (status, reason)
    assert words in answer.json["detail"]


@pytest.mark.parametrize("name", ["large photo without a file name", "1,500 fields", "no boundary", "without its end"])
def test_page_explains_an_invalid_form_without_blaming_size_or_cookies(app, name):
    content_type, body, status, _, words = FORMS[name]
    page = Browser(app).client.post("/classify", data=body, content_type=content_type)
    assert page.status_code == status and words in page.text
    assert "up to 15 MB. Choose" not in page.text and "cookie" not in page.text and "too large</h1>" not in page.text


@pytest.mark.parametrize("path", ["/classify", "/operator", "/language"])
def test_request_without_a_form_does_not_blame_cookies(app, path):
    page = app.test_client().post(path, data=web_app.photo(), content_type="image/jpeg")
    assert page.status_code == 400 and "incomplete or had a wrong value" in page.text and "cookie" not in page.text


def test_chunked_body_over_the_limit_is_refused_with_the_limit(make_app):
    body = io.BytesIO(form(part("image", bytes(1_200_000), "a.jpg")))
    answer = (
        make_app(max_upload_bytes=2**20)
        .test_client()
        .post("/api/classify", input_stream=body, content_type=TYPE, environ_overrides={"wsgi.input_terminated": True})
    )
    assert answer.status_code == 413 and answer.json["detail"].startswith("Photos can be up to 1 MB.")


def test_incomplete_body_is_400(app):
    body = form(part("image", web_app.photo(), "a.jpg"))
    answer = app.test_client().post(
        "/api/classify", data=body, content_type=TYPE, environ_overrides={"CONTENT_LENGTH": str(len(body) + 1)}
    )
    assert answer.status_code == 400 and MALFORMED in answer.json["detail"]
