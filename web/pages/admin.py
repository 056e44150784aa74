"""Health checks, metrics, and the sign-in of the operator."""

from typing import Any

import prometheus_client
import sqlalchemy as sa
from flask import Blueprint, Response, flash, redirect, render_template, url_for
from flask_babel import gettext as _

from web import forms, limits, uploads, visitors
from web.database import db

blueprint = Blueprint("operations", __name__)  # the name is part of the label `endpoint` in /metrics


@blueprint.get("/healthz")
def healthz() -> Any:
    """Report that the process is running."""
    return {"status": "ok"}


@blueprint.get("/readyz")
def readyz() -> Any:
    """Answer 200 if the database and the model server are available, else 503 and which one is not."""
    try:
        db.session.execute(sa.text("SELECT 1"))
        database = "ok"
    except sa.exc.SQLAlchemyError as error:
        database = type(error).__name__
    serving = "ok" if uploads.service().caller.is_ready() else "unavailable"
    return {"database": database, "serving": serving}, 200 if database == serving == "ok" else 503


@blueprint.get("/metrics")
def metrics() -> Response:
    return Response(prometheus_client.generate_latest(), content_type=prometheus_client.CONTENT_TYPE_LATEST)


@blueprint.route("/operator", methods=["GET", "POST"])
@limits.sign_ins
def operator() -> Any:
    """Sign in with the token to see every row."""
    form = forms.OperatorForm()
    if form.validate_on_submit():
        if visitors.sign_in(form.token.data):
            return redirect(url_for("history.show"), 303)
        flash(_("That is not the token."))
        return render_template("operator.html", form=form), 403
    return render_template("operator.html", form=form)


@blueprint.post("/operator/leave")
def leave() -> Any:
    """Sign the operator out."""
    visitors.sign_out()
    return redirect(url_for("history.show"), 303)
