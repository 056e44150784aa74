"""Handle uploads: check, store and classify them, and retry those that the model server has not answered."""

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
from web import background, database, decoding, pictures, retention, settings
from web.database import State, Upload, db
from web.store import PictureStore

log = logging.getLogger("web")
API_VISITOR = "api"  # of rows that programs send: no browser's history
# The photo is to blame if this answer comes twice: one bad photo makes its whole batch fail.
ABOUT_THE_PHOTO = grpc.StatusCode.INVALID_ARGUMENT
# Answers that every photo would get now: no model yet, or an overloaded server.
ABOUT_THE_SERVER = (
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
)
MAX_PAUSE_SECONDS = 60.0  # between retries of waiting rows, while none of them is answered or the database is away
PRUNE_SECONDS = 3600.0  # between two rounds of deleting old uploads
MIN_FREE_BYTES = 500 * settings.MIB  # on the disk of pictures, reserved for database, thumbnails and log
answers = prometheus_client.Counter("pilah_uploads", "Uploads by outcome.", ["outcome"])


class Service:
    """Accepts uploads and retries waiting ones.

    Attributes:
        first_retry_seconds: age from which a waiting row is retried; before, its own request is still being answered.
        pause_seconds: pause before the next retry of waiting rows; it grows while none of them is answered.
    """

    def __init__(self, store: PictureStore, caller: client.Client, options: settings.Settings):
        self.store, self.caller = store, caller
        self._retry_seconds = options.retry_seconds
        self._limits = (options.keep_days, options.max_stored_bytes)
        self.pause_seconds = options.retry_seconds
        self.first_retry_seconds = options.serving_timeout_seconds + 1.0
        self._reason = ""  # why the last retry found the model server unavailable
        self._started, self._ending = threading.Lock(), threading.Event()
        self._decoder = decoding.Decoder(options.max_pixels)

    def accept(self, content: bytes, visitor: str) -> Upload:
        """Store an upload, classify it and return its row, which is waiting if the model server did not answer.

        Raises:
            BadPictureError: the upload is refused, and nothing is stored.
            NotFound: the row was deleted before the model server answered.
        """
        try:
            self._check_room()
            picture = self._decoder.plain(content)
        except pictures.BadPictureError as error:
            answers.labels(error.reason).inc()
            raise
        row_id = database.new_id()
        columns = {"id": row_id, "visitor": visitor, "state": State.WAITING, "created_at": database.now()}
        self._keep(columns, picture)
        try:
            row = self._answered(row_id, picture)
        except database.UNAVAILABLE as error:
            db.session.rollback()
            log.error("upload %s waits: the database failed: %s", row_id, database.describe(error))
            row = Upload(**columns)  # what is stored
        answers.labels(row.state if row else "deleted").inc()
        if row is None:
            abort(404, "The photo was deleted before it was answered.")
        return row

    def start_retrying(self, app: Flask) -> None:
        """Start this process's threads: one retries waiting rows, earlier processes' included, one deletes old rows."""
        if self._started.acquire(blocking=False):  # never released, so that each is started once
            for name, run in (("retry", self._retry), ("prune", self._prune)):
                threading.Thread(target=run, args=(app,), name=name, daemon=True).start()

    def stop_retrying(self) -> None:
        self._ending.set()

    def retry_waiting(self) -> int:
        """Retry every waiting row once, oldest first, and return how many were answered.

        It stops when the server is unavailable. A row that fails for another reason does not hold up the others.
        """
        answered = failed = 0
        before = database.now() - datetime.timedelta(seconds=self.first_retry_seconds)
        waiting = sa.select(Upload.id).where(Upload.state == State.WAITING, Upload.created_at < before)
        row_ids = db.session.scalars(waiting.order_by(Upload.created_at)).all()
        db.session.commit()  # releases the connection
        for row_id in row_ids:
            try:
                is_answered = self._classify(row_id, self.store.picture(row_id).read_bytes(), is_retry=True)
                answered, failed = answered + is_answered, failed + (not is_answered)
                self._reason = ""
            except FileNotFoundError:
                failed += not self._refuse_lost(row_id)
            except client.ServingUnavailable as error:
                if self._reason != (reason := str(error)):  # once, not every few seconds
                    log.warning("upload %s waits: %s", row_id, reason)
                self._reason = reason
                break
            except database.UNAVAILABLE:
                raise
            except Exception:
                failed += 1
                db.session.rollback()
                log.exception("upload %s waits: retrying it failed", row_id)
        # While the server is unavailable the pause stays short: a retry costs one call, and a restart is noticed soon.
        self.pause_seconds = self._longer_pause() if failed and not answered else self._retry_seconds
        return answered

    def remove(self, row_id: str) -> None:
        """Delete a row, if it exists, with its picture and the copies of it."""
        retention.delete(self.store, [row_id])

    def _keep(self, columns: Mapping[str, Any], picture: bytes) -> None:
        """Write the picture, then its row; where the row cannot be written, delete the picture."""
        self.store.add(columns["id"], picture)  # before the row: the command doctor finds pictures without a row
        may_be_written = False
        try:
            db.session.add(Upload(**columns))
            db.session.flush()
            # PostgreSQL may write the row and fail to say so: doctor then deletes the picture if there is no row
            may_be_written = db.engine.dialect.name != "sqlite"
            db.session.commit()
        except Exception:
            db.session.rollback()
            if not may_be_written:
                self.store.remove(columns["id"])
            raise

    def _answered(self, row_id: str, picture: bytes) -> Upload | None:
        """Classify a new upload and return its row; None if it was deleted in the meantime."""
        try:
            self._classify(row_id, picture)  # not with the row: reading it would hold a connection meanwhile
        except client.ServingUnavailable as error:
            log.warning("upload %s waits: %s", row_id, error)
        return db.session.scalar(sa.select(Upload).where(Upload.id == row_id))

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

    def _classify(self, row_id: str, picture: bytes, is_retry: bool = False) -> bool:
        """Classify a picture and update its row; return False if the row keeps waiting.

        A retry refuses a photo only after two answers, since the first may be about another photo of the batch.

        Raises:
            ServingUnavailable: the server answers no photo.
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
        _update_waiting(row_id, values)
        return True

    def _classify_twice(self, picture: bytes) -> client.Prediction:
        """Return the answer, or the second one if the first blames the photo."""
        try:
            return self.caller.classify(picture)
        except client.ServingRejected as error:
            if error.code is not ABOUT_THE_PHOTO:
                raise
            return self.caller.classify(picture)

    def _refuse_lost(self, row_id: str) -> bool:
        """Refuse a row whose picture is missing; return False if it keeps waiting, as the folder is missing too."""
        folder = self.store.picture(row_id).parent
        if not folder.exists():  # it is never deleted, so PILAH_DATA most likely names another folder
            log.error("upload %s waits: the folder of its picture, %s, is missing. Check PILAH_DATA", row_id, folder)
            return False
        if _update_waiting(row_id, {"state": State.REFUSED}):
            log.error("upload %s is refused: its picture is missing", row_id)
        return True

    def _retry(self, app: Flask) -> None:
        while not self._ending.wait(self.pause_seconds):
            with app.app_context():
                if not background.succeeds("retrying waiting uploads", self.retry_waiting):
                    self.pause_seconds = self._longer_pause()

    def _prune(self, app: Flask) -> None:
        while not self._ending.is_set():
            with app.app_context():
                background.succeeds("deleting old uploads", lambda: retention.prune(self.store, *self._limits))
            self._ending.wait(PRUNE_SECONDS)

    def _longer_pause(self) -> float:
        return min(2 * self.pause_seconds, max(MAX_PAUSE_SECONDS, self._retry_seconds))


def _update_waiting(row_id: str, values: Mapping[str, Any]) -> bool:
    """Update a waiting row; return False if it no longer waits, as it was answered elsewhere or deleted."""
    still_waits = sa.update(Upload).where(Upload.id == row_id, Upload.state == State.WAITING)
    changed: Any = db.session.execute(still_waits.values(values))
    db.session.commit()
    return bool(changed.rowcount)


def init_app(app: Flask, service: Service) -> None:
    """Register the service of the application, which retries waiting rows from the first request on."""
    app.extensions["pilah_uploads"] = service

    @app.before_request
    def start_retrying() -> None:
        if not app.testing:  # tests retry explicitly
            service.start_retrying(app)


def service() -> Service:
    """Return the service of the application that is handling this request."""
    return current_app.extensions["pilah_uploads"]
