"""An upload's way: checked, kept, asked about, and asked about again when the model server was away."""

import datetime
import logging
import threading
from typing import Any

import grpc
import prometheus_client
import sqlalchemy as sa
from flask import Flask, current_app

from serving import client
from web import database, pictures, settings
from web.database import State, Upload, db
from web.store import PictureStore

log = logging.getLogger("web")
API_VISITOR = "api"  # of rows that programs send: no browser's history
# The answer that blames the photo, if it comes again: a batch fails as a whole for one bad photo in it.
ABOUT_THE_PHOTO = grpc.StatusCode.INVALID_ARGUMENT
# Answers that every photo would get now: no model yet, or too much to do.
ABOUT_THE_SERVER = (
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
)
DECODED_AT_ONCE = 2  # each takes up to 15 bytes a pixel; docker-compose.yml has the memory for so many
answers = prometheus_client.Counter("pilah_uploads", "Uploads by what became of them.", ["outcome"])


class Service:
    """What handles uploads: limits, pictures' folder and the connection to the model server.

    Attributes:
        first_retry_seconds: a younger row is still being asked about by its own request.
    """

    def __init__(self, store: PictureStore, caller: client.Client, given: settings.Settings):
        self.store, self.caller = store, caller
        self._max_pixels, self._retry_seconds = given.max_pixels, given.retry_seconds
        self.first_retry_seconds = given.serving_timeout_seconds + 1.0
        self._ending = threading.Event()
        self._decoding = threading.BoundedSemaphore(DECODED_AT_ONCE)

    def accept(self, content: bytes, visitor: str) -> Upload:
        """Keep an upload and ask about it; its row, waiting where the model server gives no answer.

        Raises:
            BadPictureError: it is refused, and nothing is kept.
        """
        try:
            with self._decoding:
                picture = pictures.plain(content, self._max_pixels)
        except pictures.BadPictureError as error:
            answers.labels(error.reason).inc()
            raise
        row_id = database.new_id()
        row = Upload(id=row_id, visitor=visitor, state=State.WAITING, created_at=database.now())
        self.store.add(row_id, picture)  # before the row: a picture without a row is found by doctor
        db.session.add(row)
        db.session.commit()
        try:
            self._ask(row_id, picture)  # not row.id: to read it would hold a connection while the model is asked
        except client.ServingUnavailable as error:
            log.warning("upload %s waits: %s", row_id, error)
        answers.labels(row.state).inc()
        return row

    def start_retrying(self, app: Flask) -> None:
        """Ask about waiting rows again and again, in a thread of this process, also for those of the process before."""
        threading.Thread(target=self._retry, args=(app,), name="retry", daemon=True).start()

    def stop_retrying(self) -> None:
        self._ending.set()

    def retry_waiting(self) -> int:
        """Ask about every waiting row once, oldest first, until the server is away; how many were answered.

        A row that fails is passed over, so that the others need not wait for it.
        """
        answered = 0
        before = database.now() - datetime.timedelta(seconds=self.first_retry_seconds)
        waiting = sa.select(Upload.id).where(Upload.state == State.WAITING, Upload.created_at < before)
        row_ids = db.session.scalars(waiting.order_by(Upload.created_at)).all()
        db.session.commit()  # gives the connection back
        for row_id in row_ids:
            try:
                answered += self._ask(row_id, self.store.picture(row_id).read_bytes(), is_again=True)
            except FileNotFoundError:
                continue  # deleted meanwhile, or doctor's business
            except client.ServingUnavailable as error:
                log.warning("upload %s waits: %s", row_id, error)
                break
            except Exception:
                db.session.rollback()
                log.exception("upload %s waits, as asking about it failed", row_id)
        return answered

    def remove(self, row: Upload) -> None:
        """Delete a row and its pictures, the row first: what is left behind after a crash is found by doctor."""
        db.session.delete(row)
        db.session.commit()
        self.store.remove(row.id)

    def _ask(self, row_id: str, picture: bytes, is_again: bool = False) -> bool:
        """Fill in the row; False where this photo got no answer.

        Raises:
            ServingUnavailable: no photo would.
        """
        try:
            prediction = self.caller.classify(picture)
        except client.ServingRejected as error:
            if error.code in ABOUT_THE_SERVER:
                raise client.ServingUnavailable(str(error)) from error
            if not is_again or error.code is not ABOUT_THE_PHOTO:
                log.warning("upload %s waits: %s", row_id, error)
                return False
            log.error("upload %s is refused: %s", row_id, error)
            values: dict[str, Any] = {"state": State.REFUSED}
        else:
            values = {
                "state": State.DONE,
                "class_name": prediction.class_name,
                "score": prediction.score,
                "scores": prediction.scores,
                "model_version": prediction.model_version,
            }
        # Only a row that still waits: another process may have answered it meanwhile, or its visitor deleted it.
        still_waits = sa.update(Upload).where(Upload.id == row_id, Upload.state == State.WAITING)
        db.session.execute(still_waits.values(values))
        db.session.commit()
        return True

    def _retry(self, app: Flask) -> None:
        while not self._ending.wait(self._retry_seconds):
            with app.app_context():
                try:
                    self.retry_waiting()
                except Exception:
                    db.session.rollback()
                    log.exception("asking about waiting uploads failed; trying again in %s s", self._retry_seconds)


def service() -> Service:
    """The service of the application that is handling this request."""
    return current_app.extensions["pilah_uploads"]
