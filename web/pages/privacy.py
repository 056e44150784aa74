"""The privacy page: what is stored, for how long, who can see it, and the contact, from the settings."""

from flask import Blueprint, current_app, render_template

from components.data import images
from web.settings import MIB

blueprint = Blueprint("privacy", __name__)


@blueprint.get("/privacy")
def show() -> str:
    options = current_app.config["PILAH"]
    return render_template(
        "privacy.html",
        options=options,
        side_px=images.WEB_SIDE_PX,
        stored_gb=f"{options.max_stored_bytes / (1024 * MIB):.3g}",
        upload_mb=options.max_upload_bytes // MIB,
        cookie_days=current_app.permanent_session_lifetime.days,
    )
