"""Query a page of the history, newest first, with keyset pagination, which makes the last page as fast as the first."""

import dataclasses
import datetime

import sqlalchemy as sa

from web import database
from web.database import Feedback, Upload, db

PAGE_SIZE = 20


@dataclasses.dataclass(frozen=True)
class Page:
    """Rows, the number of the first row, and the cursor of the next page (None on the last page)."""

    rows: list[Upload]
    first_number: int
    next_cursor: str | None


def page(visible: sa.Select[Upload], class_name: str | None, corrected: bool, cursor: str | None) -> Page:
    """Return the filtered rows after `cursor`.

    Args:
        visible: the rows that the visitor may see.
        cursor: `next_cursor` of the previous page; None or an invalid one starts at the newest row.
    """
    rows = filtered(visible, class_name, corrected)
    number, after = _read_cursor(cursor)
    if after:
        rows = rows.where(sa.tuple_(Upload.created_at, Upload.id) < sa.tuple_(*map(sa.literal, after)))
    ordered = rows.order_by(Upload.created_at.desc(), Upload.id.desc())
    fetched = list(db.session.scalars(ordered.limit(PAGE_SIZE + 1)))  # the extra row shows whether there is a next page
    page_rows = fetched[:PAGE_SIZE]
    has_next = len(fetched) > PAGE_SIZE
    return Page(page_rows, number, _cursor(number + PAGE_SIZE, page_rows[-1]) if has_next else None)


def filtered(visible: sa.Select[Upload], class_name: str | None, corrected: bool) -> sa.Select[Upload]:
    if class_name:
        visible = visible.where(Upload.class_name == class_name)
    if corrected:  # also to no class, or to several things
        is_other = Upload.feedback.in_((Feedback.NONE, Feedback.SEVERAL))
        visible = visible.where(Upload.corrected_class.is_not(None) | is_other)
    return visible


def class_names(visible: sa.Select[Upload]) -> list[str]:
    """Return the predicted classes of the rows, for the filter."""
    classes = visible.with_only_columns(Upload.class_name).where(Upload.class_name.is_not(None)).distinct()
    return sorted(name for name in db.session.scalars(classes) if name)


def _cursor(number: int, row: Upload) -> str:
    return f"{number}~{row.created_at.isoformat()}~{row.id}"


def _read_cursor(cursor: str | None) -> tuple[int, tuple[datetime.datetime, str] | None]:
    try:
        number, time, row_id = (cursor or "").split("~")
        after = (datetime.datetime.fromisoformat(time).replace(tzinfo=None), row_id)
        return (int(number), after) if database.is_id(row_id) else (1, None)
    except ValueError:
        return 1, None
