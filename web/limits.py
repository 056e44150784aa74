"""How often one address may upload, and how often it may try an operator's token."""

import flask_limiter
from flask import Flask, current_app
from flask_limiter.util import get_remote_address

limiter = flask_limiter.Limiter(get_remote_address, storage_uri="memory://")
SIGN_IN_RATE = "10 per minute"


def init_app(app: Flask) -> None:
    limiter.init_app(app)


def upload_rate() -> str:
    return current_app.config["PILAH"].upload_rate


uploads = limiter.shared_limit(upload_rate, scope="uploads", methods=["POST"])
sign_ins = limiter.limit(SIGN_IN_RATE, methods=["POST"])
