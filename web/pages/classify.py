"""The upload form."""

from typing import Any

from flask import Blueprint, current_app, redirect, render_template, request, session, url_for

from web import limits, messages, uploads, visitors
from web.pictures import BadPictureError
from web.settings import MIB

blueprint = Blueprint("classify", __name__)


@blueprint.get("/classify")
def form() -> str:
    visitors.current()  # sets the cookie now, so that the upload is found even if its response is lost
    session.modified = True  # renews the cookie on this page only, because its response is never late
    return render_template("classify.html", refusal=None)


@blueprint.post("/classify")
@limits.page_uploads
def send() -> Any:
    """Accept a photo and redirect to its result."""
    try:
        row = uploads.service().accept(uploaded_photo(), visitors.current())
    except BadPictureError as error:
        return render_template("classify.html", refusal=messages.refusal(error)), error.status, error.headers
    return redirect(url_for("results.show", row_id=row.id), 303)


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
