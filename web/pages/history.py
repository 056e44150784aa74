"""The history: uploads of this browser, or of all visitors for the operator."""

import csv
import io
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Response, redirect, render_template, request, stream_with_context, url_for

from web import history_query, visitors
from web.database import Upload, db

blueprint = Blueprint("history", __name__)
BYTE_ORDER_MARK = "\ufeff"  # without it, Excel does not read UTF-8
FORMULA_STARTS = tuple(
    "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"
)  # OWASP's list for CSV injection; the last four are full-width
COLUMNS = (
    *("no", "id", "prediction", "probability", "correction", "model_version", "state", "timestamp_utc", "feedback"),
    *("prediction_set", "typicality", "certainty"),
)
SET_SEPARATOR = "/"  # of the classes in a prediction set, as in the CSV files of a run; no class has it in its name


@blueprint.get("/history")
def show() -> Any:
    rows = visitors.visible()
    filters = _filters()
    page = history_query.page(rows, filters, request.args.get("after"))
    if not page.rows and "after" in request.args:  # the last row of this page was deleted
        return redirect(url_for("history.show", **filters.query()), 303)
    return render_template(
        "history.html",
        page=page,
        class_names=history_query.class_names(rows),
        filters=filters,
        is_operator=visitors.is_operator(),
    )


@blueprint.get("/history.csv")
def download() -> Response:
    rows = history_query.filtered(visitors.visible(), _filters())
    return Response(
        stream_with_context(_csv_lines(rows)),
        mimetype="text/csv",
        headers={"Content-Disposition": "attachment; filename=pilah-history.csv"},
    )


def _filters() -> history_query.Filters:
    return history_query.Filters(
        class_name=request.args.get("class", "").replace("\0", "") or None,
        is_corrected=request.args.get("corrected") == "1",
        is_unsure=request.args.get("unsure") == "1",
    )


def _csv_lines(rows: sa.Select[Upload]) -> Iterator[str]:
    buffer = io.StringIO()
    buffer.write(BYTE_ORDER_MARK)
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS)
    newest_first = rows.order_by(Upload.created_at.desc(), Upload.id.desc()).execution_options(yield_per=500)
    for number, row in enumerate(db.session.scalars(newest_first), 1):
        prediction, correction = _as_text(row.class_name), _as_text(row.corrected_class)
        values: tuple[Any, ...] = (number, row.id, prediction, row.score, correction, row.model_version)
        values += (row.state, f"{row.created_at.isoformat(timespec='seconds')}Z", row.feedback)
        classes = _as_text(SET_SEPARATOR.join(row.prediction_set or []))
        writer.writerow((*values, classes, row.typicality, row.certainty))
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def _as_text(class_name: str | None) -> str | None:
    """Return a class name, prefixed with an apostrophe if a spreadsheet would read it as a formula."""
    return f"'{class_name}" if class_name and class_name.startswith(FORMULA_STARTS) else class_name
