"""Query a page of the history, newest first, with keyset pagination, which makes the last page as fast as the first."""

import dataclasses
import datetime
from typing import Any

import sqlalchemy as sa

from web import database
from web.database import Feedback, Upload, db

PAGE_SIZE = 20


@dataclasses.dataclass(frozen=True)
class Filters:
    """Which rows to show: all of them, or those of a class, corrected ones, and unsure ones.

    Attributes:
        class_name: predicted class.
        is_corrected: only corrected rows.
        is_unsure: only answers that are unsure or about untypical photos.
    """

    class_name: str | None = None
    is_corrected: bool = False
    is_unsure: bool = False

    def __bool__(self) -> bool:
        return bool(self.class_name or self.is_corrected or self.is_unsure)

    def query(self) -> dict[str, Any]:
        """Return the parameters of the history page; those that are None are left out of an address."""
        return {
            "class": self.class_name,
            "corrected": 1 if self.is_corrected else None,
            "unsure": 1 if self.is_unsure else None,
        }


@dataclasses.dataclass(frozen=True)
class Page:
    """Rows, the number of the first row, and the cursor of the next page (None on the last page)."""

    rows: list[Upload]
    first_number: int
    next_cursor: str | None


def page(visible: sa.Select[Upload], filters: Filters, cursor: str | None) -> Page:
    """Return the filtered rows after `cursor`.

    Args:
        visible: the rows that the visitor may see.
        cursor: `next_cursor` of the previous page; None or an invalid one starts at the newest row.
    """
    rows = filtered(visible, filters)
    number, after = _read_cursor(cursor)
    if after:
        rows = rows.where(sa.tuple_(Upload.created_at, Upload.id) < sa.tuple_(*map(sa.literal, after)))
    ordered = rows.order_by(Upload.created_at.desc(), Upload.id.desc())
    fetched = list(db.session.scalars(ordered.limit(PAGE_SIZE + 1)))  # the extra row shows whether there is a next page
    page_rows = fetched[:PAGE_SIZE]
    has_next = len(fetched) > PAGE_SIZE
    return Page(page_rows, number, _cursor(number + PAGE_SIZE, page_rows[-1]) if has_next else None)


def filtered(visible: sa.Select[Upload], filters: Filters) -> sa.Select[Upload]:
    if filters.class_name:
        visible = visible.where(Upload.class_name == filters.class_name)
    if filters.is_unsure:
        visible = visible.where(sa.text(database.IS_UNSURE))
    if filters.is_corrected:  # also to no class, or to several things
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
