"""Health checks, metrics, the sign-in of the operator, and the photos to label."""

from typing import Any

import prometheus_client
from flask import Blueprint, Response, current_app, flash, redirect, render_template, url_for
from flask_babel import gettext as _

from web import addresses, forms, limits, review, uploads, visitors

blueprint = Blueprint("operations", __name__)  # the name is part of the label `endpoint` in /metrics


@blueprint.get("/healthz")
def healthz() -> Any:
    """Report that the process is running."""
    return {"status": "ok"}


@blueprint.get("/readyz")
def readyz() -> Any:
    """Answer 200 if the database and the model server are available, otherwise 503; show the state of both."""
    if not _is_allowed():
        return _refusal()
    database = current_app.extensions["pilah_database_probe"].state()
    serving = "ok" if uploads.service().caller.is_ready() else "unavailable"
    return {"database": database, "serving": serving}, 200 if database == serving == "ok" else 503


@blueprint.get("/metrics")
def metrics() -> Response:
    if not _is_allowed():
        return _refusal()
    return Response(prometheus_client.generate_latest(), content_type=prometheus_client.CONTENT_TYPE_LATEST)


def _is_allowed() -> bool:
    return addresses.is_direct_from(current_app.config["PILAH"].metrics_networks)


def _refusal() -> Response:
    reason = "Only the networks in METRICS_FROM may read this, and not through a proxy (docs/deployment.md).\n"
    return Response(reason, 403, mimetype="text/plain")


@blueprint.route("/operator", methods=["GET", "POST"])
@limits.sign_ins
def operator() -> Any:
    """Sign in with the token to see every row."""
    form = forms.OperatorForm()
    if form.validate_on_submit():
        if visitors.sign_in(form.token.data):
            return redirect(url_for("history.show"), 303)
        flash(_("Wrong token."))
        return render_template("operator.html", form=form), 403
    return render_template("operator.html", form=form)


@blueprint.get("/operator/review", endpoint="review")
def show_review() -> Any:
    """Show the operator the uploads that are most worth labelling."""
    if not visitors.is_operator():
        return redirect(url_for("operations.operator"), 303)
    return render_template("review.html", typical=review.typical(), untypical=review.untypical(), limit=review.MAX_ROWS)


@blueprint.post("/operator/leave")
def leave() -> Any:
    """Sign the operator out."""
    visitors.sign_out()
    return redirect(url_for("history.show"), 303)
