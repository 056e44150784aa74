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
API_VISITOR = "api"  # visitor of the rows that programs send, which are in no browser's history
# A photo is refused if it gets this status twice: the first may be due to another photo of its batch.
PHOTO_ERROR = grpc.StatusCode.INVALID_ARGUMENT
# Every photo would get one of these now: the server has no model yet, or is overloaded.
SERVER_ERRORS = (
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
)
MAX_PAUSE_SECONDS = 60.0  # between retries of waiting rows, while all fail or the database is unavailable
PRUNE_SECONDS = 3600.0  # between rounds of deleting old uploads
MIN_FREE_BYTES = 500 * settings.MIB  # on the disk of the pictures, for database, thumbnails and log
outcomes = prometheus_client.Counter("pilah_uploads", "Uploads by outcome.", ["outcome"])


class Service:
    """Accepts uploads and retries waiting ones.

    Attributes:
        first_retry_seconds: age from which a waiting row is retried; a younger one may still be in its own request.
        pause_seconds: pause before the next retry of waiting rows; it grows while all of them fail.
    """

    def __init__(self, store: PictureStore, caller: client.Client, options: settings.Settings):
        self.store, self.caller = store, caller
        self._retry_seconds = options.retry_seconds
        self._limits = (options.keep_days, options.max_stored_bytes)
        self.pause_seconds = options.retry_seconds
        self.first_retry_seconds = options.serving_timeout_seconds + 1.0
        self._reason = ""  # why the model server was unavailable at the last retry
        self._started, self._ending = threading.Lock(), threading.Event()
        self._decoder = decoding.Decoder(options.max_pixels)

    def accept(self, content: bytes, visitor: str, is_sample: bool = False) -> Upload:
        """Store an upload, classify it and return its row, which waits if the model server did not answer.

        Args:
            is_sample: whether it is one of the page's own photos.

        Raises:
            BadPictureError: the upload is refused, and nothing is stored.
            NotFound: the row was deleted before the model server answered.
        """
        try:
            self._check_room()
            picture = self._decoder.plain(content)
        except pictures.BadPictureError as error:
            outcomes.labels(error.reason).inc()
            raise
        row_id = database.new_id()
        columns = {
            "id": row_id,
            "visitor": visitor,
            "state": State.WAITING,
            "created_at": database.now(),
            "is_sample": is_sample,
        }
        self._save(columns, picture)
        try:
            row = self._classify_new(row_id, picture)
        except database.UNAVAILABLE as error:
            db.session.rollback()
            log.error("upload %s waits: the database failed: %s", row_id, database.describe(error))
            row = Upload(**columns)  # the stored values
        outcomes.labels(row.state if row else "deleted").inc()
        if row is None:
            abort(404, "The photo was deleted before it was answered.")
        return row

    def start_retrying(self, app: Flask) -> None:
        """Start one thread that retries waiting rows, also of earlier processes, and one that deletes old rows."""
        if self._started.acquire(blocking=False):  # never released, so that each thread starts once
            for name, run in (("retry", self._retry), ("prune", self._prune)):
                threading.Thread(target=run, args=(app,), name=name, daemon=True).start()

    def stop_retrying(self) -> None:
        self._ending.set()

    def retry_waiting(self) -> int:
        """Retry every waiting row once, oldest first, and return how many were answered.

        Stop if the server is unavailable. A row that fails for another reason does not delay the others.
        """
        answered = failed = 0
        now = database.now()
        cutoff = now - datetime.timedelta(seconds=self.first_retry_seconds)
        # a row of the future is from before the clock was set back
        is_due = sa.or_(Upload.created_at < cutoff, Upload.created_at > now)
        waiting = sa.select(Upload.id).where(Upload.state == State.WAITING, is_due)
        row_ids = db.session.scalars(waiting.order_by(Upload.created_at)).all()
        db.session.commit()  # releases the connection
        for row_id in row_ids:
            try:
                is_answered = self._classify(row_id, self.store.picture(row_id).read_bytes(), is_retry=True)
                answered, failed = answered + is_answered, failed + (not is_answered)
                self._reason = ""
            except FileNotFoundError:
                failed += not self._refuse_missing(row_id)
            except client.ServingUnavailable as error:
                if self._reason != (reason := str(error)):  # log it once, not every few seconds
                    log.warning("upload %s waits: %s", row_id, reason)
                self._reason = reason
                break
            except database.UNAVAILABLE:
                raise
            except Exception:
                failed += 1
                db.session.rollback()
                log.exception("upload %s waits: retrying it failed", row_id)
        # The pause stays short while the server is unavailable: a retry costs one call, and a restart is noticed soon.
        self.pause_seconds = self._longer_pause() if failed and not answered else self._retry_seconds
        return answered

    def remove(self, row_id: str) -> None:
        """Delete a row, if it exists, with its picture and exported copies."""
        retention.delete(self.store, [row_id])

    def _save(self, columns: Mapping[str, Any], picture: bytes) -> None:
        """Write the picture, then its row; delete the picture if the row cannot be written."""
        self.store.add(columns["id"], picture)  # before the row: the command doctor finds pictures without a row
        may_be_written = False
        try:
            db.session.add(Upload(**columns))
            db.session.flush()
            # PostgreSQL may commit the row and then fail to confirm it; if not, doctor deletes the picture
            may_be_written = db.engine.dialect.name != "sqlite"
            db.session.commit()
        except Exception:
            db.session.rollback()
            if not may_be_written:
                self.store.remove(columns["id"])
            raise

    def _classify_new(self, row_id: str, picture: bytes) -> Upload | None:
        """Classify a new upload and return its row; None if it was deleted in the meantime."""
        try:
            self._classify(row_id, picture)  # by id, because loading the row would hold a connection meanwhile
        except client.ServingUnavailable as error:
            log.warning("upload %s waits: %s", row_id, error)
        return db.session.scalar(sa.select(Upload).where(Upload.id == row_id))

    def _check_room(self) -> None:
        free = self.store.free_bytes()
        if free < MIN_FREE_BYTES:
            log.error(
                "uploads need %s MB of free space in %s (it has %s). Free some, or move PILAH_DATA",
                MIN_FREE_BYTES // settings.MIB,
                self.store.folder,
                free // settings.MIB,
            )
            raise pictures.BadPictureError(503, "full")

    def _classify(self, row_id: str, picture: bytes, is_retry: bool = False) -> bool:
        """Classify a picture and update its row; return False if the row still waits.

        A retry refuses a photo only after two errors, because the first may be due to another photo of the batch.

        Raises:
            ServingUnavailable: the server answers for no photo.
        """
        try:
            prediction = self._classify_twice(picture) if is_retry else self.caller.classify(picture)
        except client.ServingRejected as error:
            if error.code in SERVER_ERRORS:
                raise client.ServingUnavailable(str(error)) from error
            if not is_retry or error.code is not PHOTO_ERROR:
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
                "prediction_set": prediction.prediction_set,
                "typicality": prediction.typicality,
                "certainty": prediction.certainty,
            }
        _update_waiting(row_id, values)
        return True

    def _classify_twice(self, picture: bytes) -> client.Prediction:
        """Return the prediction; try a second time if the first error is about the photo."""
        try:
            return self.caller.classify(picture)
        except client.ServingRejected as error:
            if error.code is not PHOTO_ERROR:
                raise
            return self.caller.classify(picture)

    def _refuse_missing(self, row_id: str) -> bool:
        """Refuse a row whose picture is missing; return False if the folder is missing too, so that the row waits."""
        folder = self.store.picture(row_id).parent
        if not folder.exists():  # folders are never deleted, so PILAH_DATA is most likely wrong
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
    """Update a waiting row; return False if another process answered it or it was deleted."""
    update = sa.update(Upload).where(Upload.id == row_id, Upload.state == State.WAITING)
    changed: Any = db.session.execute(update.values(values))
    db.session.commit()
    return bool(changed.rowcount)


def init_app(app: Flask, service: Service) -> None:
    """Register the application's upload service, which retries waiting rows from the first request on."""
    app.extensions["pilah_uploads"] = service

    @app.before_request
    def start_retrying() -> None:
        if not app.testing:  # tests retry explicitly
            service.start_retrying(app)


def service() -> Service:
    """Return the upload service of the current application."""
    return current_app.extensions["pilah_uploads"]
