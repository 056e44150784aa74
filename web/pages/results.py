"""The result page of an upload: picture, prediction and correction."""

import pathlib
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Response, abort, redirect, render_template, request, send_file, url_for

from web import database, disposal_advice, forms, uploads, visitors
from web.database import Upload, db

blueprint = Blueprint("results", __name__)
PICTURE_CACHE_SECONDS = 86_400  # pictures never change


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
    """Return the state, which the page of a waiting photo polls."""
    return {"state": visitors.row_or_404(row_id).state}


@blueprint.post("/result/<row_id>/correction")
def correct(row_id: str) -> Any:
    """Store the class that the visitor chose, beside the prediction."""
    row = visitors.row_or_404(row_id)
    form = _correction_form(row)
    if not form.validate_on_submit():
        abort(400, "The correction must be a class of the model.")
    corrected = form.class_name.data if form.class_name.data != row.class_name else None
    # an UPDATE, because the row may have been deleted in the meantime: its page then answers 404
    db.session.execute(
        sa.update(Upload)
        .where(Upload.id == row_id)
        .values(corrected_class=corrected, corrected_at=database.now() if corrected else None)
    )
    db.session.commit()
    return redirect(url_for("results.show", row_id=row_id), 303)


@blueprint.post("/result/<row_id>/deletion")
def delete(row_id: str) -> Any:
    row = visitors.row_or_404(row_id)
    uploads.service().remove(row.id)
    next_page, history = request.form.get("next", ""), url_for("history.show")
    return redirect(next_page if next_page.startswith(history) else history, 303)


@blueprint.get("/picture/<row_id>")
def picture(row_id: str) -> Response:
    return _send(uploads.service().store.picture, row_id)


@blueprint.get("/thumbnail/<row_id>")
def thumbnail(row_id: str) -> Response:
    return _send(uploads.service().store.thumbnail, row_id)


def _send(path_of: Callable[[str], pathlib.Path], row_id: str) -> Response:
    """Send a picture, if the visitor may see its row."""
    row = visitors.row_or_404(row_id)
    try:
        response = send_file(path_of(row.id), "image/jpeg", conditional=True)
    except FileNotFoundError:
        abort(404)
    response.headers["Cache-Control"] = f"private, max-age={PICTURE_CACHE_SECONDS}"
    return response


def _correction_form(row: Upload) -> forms.CorrectionForm:
    form = forms.CorrectionForm(formdata=request.form or None, class_name=row.corrected_class or row.class_name)
    form.class_name.choices = [(name, name) for name in row.scores or {}]
    return form
