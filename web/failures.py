"""Answer 503 and log one line if the database or a disk fails; other errors stay a 500 with a traceback."""

import errno
import logging
import tempfile
from typing import Any

from flask import Flask, Response, current_app, render_template, request
from sqlalchemy import exc
from werkzeug.exceptions import ServiceUnavailable

from web import database, messages, pictures

RETRY_SECONDS = 30
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
NO_TEMPORARY_FOLDER = "No usable temporary directory"  # how tempfile begins its error
UPLOADS = ("api.classify", "classify.send")  # endpoints that answer a full disk with a message for the sender
log = logging.getLogger("web")


def init_app(app: Flask) -> None:
    for kind in database.UNAVAILABLE:
        app.register_error_handler(kind, _database_failed)
    app.register_error_handler(OSError, _disk_failed)

    @app.after_request
    def set_retry_after(response: Response) -> Response:
        if response.status_code == 503:
            response.headers.setdefault("Retry-After", str(RETRY_SECONDS))
        return response


def is_disk(error: OSError) -> bool:
    """Return whether a disk is full or read-only, or the folder of temporary files cannot be used."""
    is_temporary = tempfile.tempdir and str(error.filename or "").startswith(f"{tempfile.tempdir}/")
    return error.errno in DISK_ERRORS or NO_TEMPORARY_FOLDER in str(error) or bool(is_temporary)


def log_disk(error: OSError) -> None:
    """Log the folder that failed. Errors without a file name come from form data, which werkzeug writes to TMPDIR."""
    if NO_TEMPORARY_FOLDER in str(error):
        log.error("uploads need a temporary folder: %s. Free space there, or set TMPDIR", error.strerror)
    else:
        folder = error.filename or tempfile.gettempdir()
        log.error("cannot write to %s: %s. Free space there, or move it (PILAH_DATA, TMPDIR)", folder, error.strerror)


def _database_failed(error: exc.SQLAlchemyError) -> Any:
    log.error("%s: the database failed: %s", request.path, database.describe(error))
    return current_app.handle_http_exception(ServiceUnavailable("The database is unavailable. Try again in a minute."))


def _disk_failed(error: OSError) -> Any:
    if not is_disk(error):
        raise error
    log_disk(error)
    if request.endpoint not in UPLOADS:
        return current_app.handle_http_exception(ServiceUnavailable("The disk failed. Try again in a minute."))
    refusal = messages.refusal(pictures.BadPictureError(503, "full"))
    if request.path.startswith("/api/"):
        return {"error": "full", "detail": refusal}, 503
    return render_template("classify.html", refusal=refusal), 503
