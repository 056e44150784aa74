"""The result page of an upload: picture, prediction, advice, and what the visitor says about it."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

import sqlalchemy as sa
from flask import Blueprint, Response, abort, current_app, redirect, render_template, request, url_for
from flask_babel import gettext as _

from serving import client
from web import certainty, database, heatmaps, limits, model_card, uploads, visitors
from web.database import Feedback, Upload, db
from web.store import PictureStore

blueprint = Blueprint("results", __name__)
HISTORY_FILTERS = ("class", "corrected", "unsure", "after")  # parameters of the history page
WITHDRAWN = "withdrawn"  # value of the form's feedback that removes earlier feedback


@blueprint.get("/result/<row_id>")
@limits.heatmaps
def show(row_id: str) -> str:
    row = visitors.row_or_404(row_id)
    return render_template(
        "result.html",
        row=row,
        answer=certainty.of(row),
        heatmap=_heatmap_state(row) if "heatmap" in request.args else None,
        card=model_card.of_version(row.model_version, list(row.scores or {})),
        bars=sorted((row.scores or {}).items(), key=lambda item: -item[1]),
        rules=current_app.config["DISPOSAL_ADVICE"],
    )


@blueprint.get("/result/<row_id>/state")
def state(row_id: str) -> Any:
    """Return the state of a photo; its page polls this while the photo waits."""
    return {"state": visitors.row_or_404(row_id).state}


@blueprint.post("/result/<row_id>/correction")
def correct(row_id: str) -> Any:
    """Store what the visitor says about the result, in addition to the prediction.

    The form has `class_name`, a class of the model, or `feedback`, a `Feedback` or "withdrawn".
    """
    row = visitors.row_or_404(row_id)
    corrected_class, feedback = _feedback(row, request.form)
    is_withdrawn = not corrected_class and not feedback
    time = None if is_withdrawn else database.now()
    # An UPDATE statement does not fail if the row was deleted in the meantime; its page then answers 404.
    values = {"corrected_class": corrected_class, "feedback": feedback, "corrected_at": time}
    db.session.execute(sa.update(Upload).where(Upload.id == row_id).values(values))
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


@blueprint.get("/heatmap/<row_id>")
@limits.heatmaps
def heatmap(row_id: str) -> Response:
    """Send the heat map of a photo: 404 if there is none, 503 if the model server does not answer now."""
    row = visitors.row_or_404(row_id)
    try:
        content = heatmaps.of(row)
    except (heatmaps.MissingError, FileNotFoundError):
        abort(404)
    except client.ServingUnavailable:
        return Response(
            _("The heat map is not available right now. Try again in a minute."), 503, mimetype="text/plain"
        )
    response = Response(content, mimetype="image/png")
    response.set_etag(f"{row.id}-{row.model_version}")
    response.make_conditional(request)
    return response


def _heatmap_state(row: Upload) -> str:
    """Return "ready", "missing" or "unavailable", so that the page says why it shows no heat map."""
    try:
        heatmaps.of(row)
    except (heatmaps.MissingError, FileNotFoundError):
        return "missing"
    except client.ServingUnavailable:
        return "unavailable"
    return "ready"


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


def _feedback(row: Upload, form: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Return the corrected class or the feedback in the form, which may withdraw both; answer 400 for others."""
    class_name, feedback = form.get("class_name"), form.get("feedback")
    if not row.class_name:
        abort(400, "A photo without a result cannot be corrected.")
    if row.is_sample:
        abort(400, "A sample photo cannot be corrected.")
    if class_name is None:
        if feedback not in (*Feedback, WITHDRAWN):
            abort(400, f"feedback must be one of: {', '.join((*Feedback, WITHDRAWN))}.")
        return None, None if feedback == WITHDRAWN else feedback
    if class_name == row.class_name:
        return None, Feedback.CONFIRMED
    if class_name not in (row.scores or {}):
        abort(400, "class_name must be a class of the model.")
    return class_name, None
