"""An upload's way: checked, kept, asked about, and asked about again when the model server was away."""

import datetime
import logging
import threading
from collections.abc import Mapping
from typing import Any

import grpc
import prometheus_client
import sqlalchemy as sa
from flask import Flask, abort, current_app

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
MAX_PAUSE_SECONDS = 60.0  # between looks for waiting rows, where none of them gets an answer
MIN_FREE_BYTES = 500 * settings.MIB  # on the disk of pictures: what is left is for database, thumbnails and log
DECODED_AT_ONCE = 2  # each takes up to 25 bytes a pixel (JPEG 2000); docker-compose.yml has the memory for so many
answers = prometheus_client.Counter("pilah_uploads", "Uploads by what became of them.", ["outcome"])


class Service:
    """What handles uploads: limits, pictures' folder and the connection to the model server.

    Attributes:
        first_retry_seconds: a younger row is still being asked about by its own request.
        pause_seconds: until the next look for waiting rows; longer and longer while the server fails on all of them.
    """

    def __init__(self, store: PictureStore, caller: client.Client, given: settings.Settings):
        self.store, self.caller = store, caller
        self._max_pixels, self._retry_seconds = given.max_pixels, given.retry_seconds
        self.pause_seconds = given.retry_seconds
        self.first_retry_seconds = given.serving_timeout_seconds + 1.0
        self._started, self._ending = threading.Lock(), threading.Event()
        self._decoding = threading.BoundedSemaphore(DECODED_AT_ONCE)

    def accept(self, content: bytes, visitor: str) -> Upload:
        """Keep an upload and ask about it; its row, waiting where the model server gives no answer.

        Raises:
            BadPictureError: it is refused, and nothing is kept.
            NotFound: its row was deleted while the model was asked.
        """
        try:
            self._check_room()
            with self._decoding:
                picture = pictures.plain(content, self._max_pixels)
        except pictures.BadPictureError as error:
            answers.labels(error.reason).inc()
            raise
        row_id = database.new_id()
        self.store.add(row_id, picture)  # before the row: a picture without a row is found by doctor
        db.session.add(Upload(id=row_id, visitor=visitor, state=State.WAITING, created_at=database.now()))
        db.session.commit()
        try:
            self._ask(row_id, picture)  # not the row's id: to read it would hold a connection meanwhile
        except client.ServingUnavailable as error:
            log.warning("upload %s waits: %s", row_id, error)
        row = db.session.scalar(sa.select(Upload).where(Upload.id == row_id))
        answers.labels(row.state if row else "deleted").inc()
        if row is None:
            abort(404, "The photo was deleted before it was answered.")
        return row

    def start_retrying(self, app: Flask) -> None:
        """Ask about waiting rows again and again, in one thread of this process, also those of the process before."""
        if self._started.acquire(blocking=False):  # never given back: once is enough
            threading.Thread(target=self._retry, args=(app,), name="retry", daemon=True).start()

    def stop_retrying(self) -> None:
        self._ending.set()

    def retry_waiting(self) -> int:
        """Ask about every waiting row once, oldest first, until the server is away; how many were answered.

        A row that fails is passed over, so that the others need not wait for it.
        """
        answered = failed = 0
        before = database.now() - datetime.timedelta(seconds=self.first_retry_seconds)
        waiting = sa.select(Upload.id).where(Upload.state == State.WAITING, Upload.created_at < before)
        row_ids = db.session.scalars(waiting.order_by(Upload.created_at)).all()
        db.session.commit()  # gives the connection back
        for row_id in row_ids:
            try:
                is_answered = self._ask(row_id, self.store.picture(row_id).read_bytes(), is_retry=True)
                answered, failed = answered + is_answered, failed + (not is_answered)
            except FileNotFoundError:
                failed += not self._refuse_lost(row_id)
            except client.ServingUnavailable as error:
                log.warning("upload %s waits: %s", row_id, error)
                break
            except Exception:
                failed += 1
                db.session.rollback()
                log.exception("upload %s waits, as asking about it failed", row_id)
        # A server that is away costs one call a look, and is found soon after it is back: no longer pause for that.
        longer = min(2 * self.pause_seconds, max(MAX_PAUSE_SECONDS, self._retry_seconds))
        self.pause_seconds = longer if failed and not answered else self._retry_seconds
        return answered

    def remove(self, row_id: str) -> None:
        """Delete a row, if it is there, and its pictures; the row first: doctor finds what a crash leaves behind."""
        db.session.execute(sa.delete(Upload).where(Upload.id == row_id))
        db.session.commit()
        self.store.remove(row_id)

    def _check_room(self) -> None:
        free = self.store.free_bytes()
        if free < MIN_FREE_BYTES:
            log.error(
                "%s needs %s MB of free space for uploads, and has %s. Free some, or move PILAH_DATA",
                self.store.folder,
                MIN_FREE_BYTES // settings.MIB,
                free // settings.MIB,
            )
            raise pictures.BadPictureError(503, "full")

    def _ask(self, row_id: str, picture: bytes, is_retry: bool = False) -> bool:
        """Fill in the row; False where this photo got no answer.

        A retry asks twice before it refuses the photo: the first answer may be about another one of its batch.

        Raises:
            ServingUnavailable: no photo would.
        """
        try:
            prediction = self._classify_twice(picture) if is_retry else self.caller.classify(picture)
        except client.ServingRejected as error:
            if error.code in ABOUT_THE_SERVER:
                raise client.ServingUnavailable(str(error)) from error
            if not is_retry or error.code is not ABOUT_THE_PHOTO:
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
        _fill_in(row_id, values)
        return True

    def _classify_twice(self, picture: bytes) -> client.Prediction:
        """The answer, or the second one where the first blames the photo."""
        try:
            return self.caller.classify(picture)
        except client.ServingRejected as error:
            if error.code is not ABOUT_THE_PHOTO:
                raise
            return self.caller.classify(picture)

    def _refuse_lost(self, row_id: str) -> bool:
        """Refuse a row that is there though its picture is not, as `remove` deletes the row first; False: it waits."""
        folder = self.store.picture(row_id).parent
        if not folder.exists():  # it is made with the picture and stays: rather another folder than a loss
            log.error("upload %s waits: its picture must lie in %s, which is not there. Set PILAH_DATA", row_id, folder)
            return False
        if _fill_in(row_id, {"state": State.REFUSED}):
            log.error("upload %s is refused: its picture is gone", row_id)
        return True

    def _retry(self, app: Flask) -> None:
        while not self._ending.wait(self.pause_seconds):
            with app.app_context():
                try:
                    self.retry_waiting()
                except Exception:
                    db.session.rollback()
                    log.exception("asking about waiting uploads failed; trying again in %s s", self.pause_seconds)


def _fill_in(row_id: str, values: Mapping[str, Any]) -> bool:
    """Whether the row still waited: another process may have answered it meanwhile, or its visitor deleted it."""
    still_waits = sa.update(Upload).where(Upload.id == row_id, Upload.state == State.WAITING)
    changed: Any = db.session.execute(still_waits.values(values))
    db.session.commit()
    return bool(changed.rowcount)


def init_app(app: Flask, one: Service) -> None:
    """Give the application its service, which asks about waiting rows from the first request on."""
    app.extensions["pilah_uploads"] = one

    @app.before_request
    def start_retrying() -> None:
        if not app.testing:  # tests ask when they want to
            one.start_retrying(app)


def service() -> Service:
    """The service of the application that is handling this request."""
    return current_app.extensions["pilah_uploads"]
