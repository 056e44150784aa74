"""The upload form, and the sample photos to try it with."""

import pathlib
from collections.abc import Callable
from typing import Any

from flask import Blueprint, abort, current_app, redirect, render_template, request, session, url_for

from components.data import images
from web import limits, messages, uploads, visitors
from web.pictures import BadPictureError
from web.settings import MIB

blueprint = Blueprint("classify", __name__)
SAMPLES = ("cardboard", "glass", "metal")  # classes of the photos in static/samples, drawn by docs/sample_photos.py


@blueprint.get("/classify")
def form() -> str:
    return form_page("classify.html")


def form_page(template: str, **values: Any) -> str:
    """Render a page with the upload form, and renew the visitor's cookie.

    The cookie is set before the upload, so that a photo is found even if the response to its upload is lost. It is
    renewed on pages with the form only, because their responses are never late.
    """
    visitors.current()
    session.modified = True
    return _render(template, None, **values)


@blueprint.post("/classify")
@limits.page_uploads
def send() -> Any:
    """Accept a photo and redirect to its result."""
    return _accept(uploaded_photo, is_sample=False)


@blueprint.post("/classify/sample")
@limits.page_uploads
def send_sample() -> Any:
    """Accept a sample photo and redirect to its result."""
    name = request.form.get("sample")
    if name not in SAMPLES:
        abort(400, f"sample must be one of: {', '.join(SAMPLES)}.")
    path = pathlib.Path(current_app.root_path, "static", "samples", f"{name}.jpg")
    return _accept(path.read_bytes, is_sample=True)


def uploaded_photo() -> bytes:
    """Return the content of the file in the field `image`.

    Raises:
        BadPictureError: the form is missing, has no file or several, or the file is too large.
    """
    parts = request.files.getlist("image")
    if not parts:
        raise BadPictureError(400, "field" if request.mimetype == "multipart/form-data" else "type")
    files = [file for file in parts if file.filename or file.read(1)]
    if not files:  # browsers send an empty part if no file was chosen
        raise BadPictureError(400, "missing")
    if len(files) > 1:
        raise BadPictureError(400, "many", count=len(files))
    files[0].seek(0)
    content, limit = files[0].read(), current_app.config["PILAH"].max_upload_bytes
    if len(content) > limit:
        raise BadPictureError(413, "bytes", limit=limit // MIB)
    return content


def _accept(photo: Callable[[], bytes], is_sample: bool) -> Any:
    try:
        row = uploads.service().accept(photo(), visitors.current(), is_sample)
    except BadPictureError as error:
        return _render("classify.html", messages.refusal(error)), error.status, error.headers
    return redirect(url_for("results.show", row_id=row.id), 303)


def _render(template: str, refusal: str | None, **values: Any) -> str:
    limit_mb = current_app.config["PILAH"].max_upload_bytes // MIB
    return render_template(template, refusal=refusal, limit_mb=limit_mb, formats=images.FORMAT_NAMES, **values)
