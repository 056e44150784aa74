"""Delete uploads: those that a visitor deletes, expired ones, and the oldest if all together take too much space."""

import datetime
import logging
from collections.abc import Sequence

import sqlalchemy as sa

from web import database, exports
from web.database import Upload, db
from web.store import PictureStore

BATCH = 100  # rows per batch; a batch deletes its pictures before its rows, to make room on a full disk
log = logging.getLogger("web")


def delete(store: PictureStore, row_ids: Sequence[str]) -> None:
    """Delete pictures, then their exported copies, then the rows.

    Pictures come first because they are the personal data. If deleting the rows then fails, rows without a picture
    remain, and the visitor, pruning or the command doctor can delete them again. On a full disk, small pictures may not
    free enough space for the database to delete rows; the reserve does.
    """
    store.release_reserve()
    for row_id in row_ids:
        store.remove(row_id)
        exports.remove(store, row_id)
    db.session.execute(sa.delete(Upload).where(Upload.id.in_(row_ids)))
    db.session.commit()
    database.erase_deleted()


def older_than(days: int, with_corrections: bool) -> list[str]:
    """Return the ids of rows older than `days`, oldest first; `with_corrections` includes those with a label."""
    now = database.now()
    cutoff = now - min(datetime.timedelta(days=min(days, 10**6)), now - datetime.datetime.min)
    old = sa.select(Upload.id).where(Upload.created_at < cutoff).order_by(Upload.created_at)
    return list(db.session.scalars(old if with_corrections else old.where(Upload.label.is_(None))))


def delete_batches(store: PictureStore, row_ids: Sequence[str]) -> None:
    db.session.commit()  # releases the connection
    for start in range(0, len(row_ids), BATCH):
        delete(store, row_ids[start : start + BATCH])


def prune(store: PictureStore, keep_days: int, max_stored_bytes: int) -> None:
    """Delete expired rows without a label, then the oldest rows beyond the size limit."""
    store.keep_reserve()
    old = older_than(keep_days, with_corrections=False)
    delete_batches(store, old)
    if old:
        log.info("deleted %s uploads older than KEEP_DAYS, which is %s", len(old), keep_days)
    oldest = _oldest_over(store, max_stored_bytes)
    delete_batches(store, oldest)
    if oldest:
        log.warning("deleted the %s oldest uploads: MAX_STORED_BYTES is %s", len(oldest), max_stored_bytes)
    database.erase_deleted()


def _oldest_over(store: PictureStore, max_stored_bytes: int) -> list[str]:
    """Return the ids of the oldest rows beyond the limit; rows with a label come last.

    Pictures without a row do not count, because only the command doctor deletes them.
    """
    order = (Upload.label.is_not(None), Upload.created_at)
    row_ids = db.session.scalars(sa.select(Upload.id).order_by(*order)).all()
    sizes = store.sizes()
    excess = sum(sizes[row_id] for row_id in row_ids) - max_stored_bytes
    oldest = []
    for row_id in row_ids:
        if excess <= 0:
            break
        excess -= sizes[row_id]
        oldest.append(row_id)
    return oldest
