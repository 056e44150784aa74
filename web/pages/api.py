"""The JSON API, without cookies; described at /api/openapi.json."""

import hmac
import json
from typing import Any, TypedDict

from flask import Blueprint, abort, current_app, request

from web import database, limits, messages, uploads
from web.database import State, Upload, db
from web.pages.classify import uploaded_photo
from web.pictures import BadPictureError

blueprint = Blueprint("api", __name__, url_prefix="/api")


class Result(TypedDict):
    """An upload in the API; without a prediction, all but `id`, `state` and `created_at` are None."""

    id: str
    state: str
    class_name: str | None
    score: float | None
    scores: dict[str, Any] | None
    prediction_set: list[str] | None
    typicality: float | None
    certainty: str | None
    model_version: int | None
    created_at: str


@blueprint.post("/classify")
@limits.uploads
def classify() -> Any:
    """Classify a photo: answer 200 with the prediction, or 202 if it waits for the model server."""
    try:
        row = uploads.service().accept(uploaded_photo(), uploads.API_VISITOR)
    except BadPictureError as error:
        return {"error": error.reason, "detail": messages.refusal(error)}, error.status, error.headers
    return {**as_json(row), "token": _token(row.id)}, 202 if row.state == State.WAITING else 200


@blueprint.get("/results/<row_id>")
def result(row_id: str) -> Any:
    """Return the state and prediction of a photo, whose id only its sender knows."""
    row = db.session.get(Upload, row_id) if database.is_id(row_id) else None
    if row is None or row.visitor != uploads.API_VISITOR:
        abort(404)
    return as_json(row)


@blueprint.delete("/results/<row_id>")
def delete(row_id: str) -> Any:
    """Delete a photo and its result if the request has the token from the upload."""
    token = request.authorization.token if request.authorization else None
    if not token or not hmac.compare_digest(token.encode(), _token(row_id).encode()):
        detail = "Send the token that you received when you uploaded the photo: Authorization: Bearer TOKEN."
        return {"error": "Unauthorized", "detail": detail}, 401, {"WWW-Authenticate": "Bearer"}
    if db.session.get(Upload, row_id) is None:
        abort(404)
    uploads.service().remove(row_id)
    return "", 204


@blueprint.get("/openapi.json")
def description() -> Any:
    with current_app.open_resource("static/openapi.json") as file:
        document = json.load(file)
    document["servers"] = [{"url": request.script_root or "/"}]
    return document


def as_json(row: Upload) -> Result:
    return {
        "id": row.id,
        "state": row.state,
        "class_name": row.class_name,
        "score": row.score,
        "scores": row.scores,
        "prediction_set": row.prediction_set,
        "typicality": row.typicality,
        "certainty": row.certainty,
        "model_version": row.model_version,
        "created_at": f"{row.created_at.isoformat()}Z",
    }


def _token(row_id: str) -> str:
    """Return the token that deletes the photo, which is computed and never stored."""
    key = current_app.config["SECRET_KEY"].encode()
    return hmac.digest(key, f"deletion of {row_id}".encode(), "sha256").hex()
