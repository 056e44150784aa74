"""The documentation of the JSON API: Swagger UI, which shows /api/openapi.json and sends requests."""

from flask import Blueprint, render_template

from web.pages import api

# Not in the blueprint `api`, because this page uses the site's cookie, language and forms.
blueprint = Blueprint("api_docs", __name__, url_prefix="/api")


@blueprint.get("/docs")
def show() -> str:
    return render_template("api_docs.html", description=api.description()["info"]["description"])
