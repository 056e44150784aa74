"""The site on a free port for browser tests, and functions that add rows and photos."""

import datetime
import json
import pathlib
import threading
from typing import Any

import flask.sessions
import web_app
import werkzeug.serving
from flask import Flask

from web import database, uploads
from web.database import Upload, db

VISITOR = "0" * 32  # visitor in the cookie of `Website.visitor_cookie`
NOON = datetime.datetime(2026, 1, 2, 12, 0)  # UTC time of the first row that a test adds
SCORES = {"cardboard": 0.02, "glass": 0.874, "metal": 0.031, "paper": 0.005, "plastic": 0.06, "trash": 0.01}
TIMEOUT_MS = 20_000
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}


class Website:
    """A running application.

    Attributes:
        address: URL without a trailing slash.
    """

    def __init__(self, app: Flask, model: web_app.ModelServer | None = None):
        self.app, self.model = app, model
        self._server = werkzeug.serving.make_server("localhost", 0, app, threaded=True, request_handler=_Quiet)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.address = f"http://localhost:{self._server.server_port}"
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        web_app.close(self.app)

    def add_rows(self, count: int, **columns: Any) -> list[str]:
        """Add rows of `VISITOR` with the same picture, each a minute after the previous one; return their ids."""
        with self.app.app_context():
            now = datetime.timedelta(minutes=db.session.query(Upload).count())
            picture = web_app.photo("glass", size=(160, 120))
            rows = [
                Upload(id=database.new_id(), **{**_answered(), "created_at": NOON + now + minute, **columns})
                for minute in (datetime.timedelta(minutes=number) for number in range(count))
            ]
            for row in rows:
                uploads.service().store.add(row.id, picture)
            db.session.add_all(rows)
            db.session.commit()
            return [row.id for row in rows]

    def visitor_cookie(self) -> dict[str, str]:
        sessions = self.app.session_interface
        assert isinstance(sessions, flask.sessions.SecureCookieSessionInterface)
        serializer = sessions.get_signing_serializer(self.app)
        assert serializer
        signed = serializer.dumps({"visitor": VISITOR})
        return {"name": self.app.config["SESSION_COOKIE_NAME"], "value": signed, "url": self.address}


class _Quiet(werkzeug.serving.WSGIRequestHandler):
    def log_request(self, *_: Any) -> None:
        pass


def _answered() -> dict[str, Any]:
    done = {"state": database.State.DONE, "model_version": 3}
    return {"visitor": VISITOR, **done, "class_name": "glass", "score": SCORES["glass"], "scores": SCORES}


def write_card(folder: pathlib.Path) -> pathlib.Path:
    """Write a version of seven classes, whose model card has a table wider than a phone; return the folder."""
    row = "".join(f"<td>{number / 7:.4f}</td>" for number in range(12))
    table = f"<table><tbody><tr><th scope='row'>cardboard</th>{row}</tr></tbody></table>"
    scrolled = f'<div class="scroll" tabindex="0" role="region" aria-label="Figures">{table}</div>'
    path = folder / "1" / "model_card.html"
    path.parent.mkdir(parents=True)
    path.write_text(f"<main><h1>Model card: cardboard</h1>{scrolled}</main>")
    path.with_name("model.json").write_text(json.dumps({"classes": [*SCORES, "HDPE"]}))
    return folder


def chosen(size: tuple[int, int] = (160, 120)) -> dict[str, Any]:
    """Return a photo for Playwright's file chooser."""
    return {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": web_app.photo(size=size)}
