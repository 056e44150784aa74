"""The result page of an upload: picture, prediction and correction."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import sqlalchemy as sa
from flask import Blueprint, Response, abort, redirect, render_template, request, url_for

from web import database, disposal_advice, forms, uploads, visitors
from web.database import Upload, db
from web.store import PictureStore

blueprint = Blueprint("results", __name__)
HISTORY_FILTERS = ("class", "corrected", "after")  # parameters of the history page


@blueprint.get("/result/<row_id>")
def show(row_id: str) -> str:
    row = visitors.row_or_404(row_id)
    return render_template(
        "result.html",
        row=row,
        bars=sorted((row.scores or {}).items(), key=lambda item: -item[1]),
        advice=advice_for(row.corrected_class or row.class_name or ""),
        correction=_correction_form(row),
    )


def advice_for(class_name: str) -> str:
    return str(disposal_advice.ADVICE.get(class_name, disposal_advice.FOR_OTHER_CLASSES))


@blueprint.get("/result/<row_id>/state")
def state(row_id: str) -> Any:
    """Return the state of a photo; its page polls this while the photo waits."""
    return {"state": visitors.row_or_404(row_id).state}


@blueprint.post("/result/<row_id>/correction")
def correct(row_id: str) -> Any:
    """Store the class that the visitor chose, in addition to the prediction."""
    row = visitors.row_or_404(row_id)
    form = _correction_form(row)
    if not form.validate_on_submit():
        abort(400, "class_name must be a class of the model.")
    corrected = form.class_name.data if form.class_name.data != row.class_name else None
    # An UPDATE statement does not fail if the row was deleted in the meantime; its page then answers 404.
    db.session.execute(
        sa.update(Upload)
        .where(Upload.id == row_id)
        .values(corrected_class=corrected, corrected_at=database.now() if corrected else None)
    )
    db.session.commit()
    return redirect(url_for("results.show", row_id=row_id), 303)


@blueprint.post("/result/<row_id>/deletion")
def delete(row_id: str) -> Any:
    """Delete a photo, and redirect to the history page that the form names."""
    row = visitors.row_or_404(row_id)
    query = parse_qs(request.form.get("history", "")[:1000])
    filters: dict[str, Any] = {name: values[0] for name, values in query.items() if name in HISTORY_FILTERS}
    uploads.service().remove(row.id)
    return redirect(url_for("history.show", **filters), 303)


@blueprint.get("/picture/<row_id>")
def picture(row_id: str) -> Response:
    return _send(lambda store: store.picture(row_id).read_bytes(), row_id)


@blueprint.get("/thumbnail/<row_id>")
def thumbnail(row_id: str) -> Response:
    return _send(lambda store: store.thumbnail(row_id), row_id)


def _send(read: Callable[[PictureStore], bytes], row_id: str) -> Response:
    """Send a picture if the visitor may see its row."""
    row = visitors.row_or_404(row_id)
    try:
        content = read(uploads.service().store)
    except FileNotFoundError:
        abort(404)
    response = Response(content, mimetype="image/jpeg")
    response.set_etag(row.id)  # a picture never changes
    response.make_conditional(request, accept_ranges=True, complete_length=len(content))
    return response


def _correction_form(row: Upload) -> forms.CorrectionForm:
    form = forms.CorrectionForm(formdata=request.form or None, class_name=row.corrected_class or row.class_name)
    form.class_name.choices = [(name, name) for name in row.scores or {}]
    return form
