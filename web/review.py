"""The answered uploads that are most worth labelling: those that the model is the least certain of."""

from typing import Any

import sqlalchemy as sa

from serving import client
from web.database import State, Upload, db

MAX_ROWS = 50  # of each list


def typical() -> list[Upload]:
    """Return uploads that look like the training photos, and those of models without prediction sets.

    Unsure ones come first, those with the most classes in their set before others. Then follow sure ones and those
    without a set. Uploads of equal rank are in the order of their score, the lowest first.
    """
    is_typical = Upload.certainty.is_distinct_from(client.Certainty.UNTYPICAL)
    is_unsure = sa.case((Upload.certainty == client.Certainty.UNSURE, 0), else_=1)
    return _first(_unlabelled().where(is_typical).order_by(is_unsure, *_ranking()))


def untypical() -> list[Upload]:
    """Return uploads that do not look like the training photos, ranked by the size of their set, then by score."""
    return _first(_unlabelled().where(Upload.certainty == client.Certainty.UNTYPICAL).order_by(*_ranking()))


def _unlabelled() -> sa.Select[Upload]:
    """Select the answered uploads of visitors and programs that nobody has confirmed or corrected."""
    return sa.select(Upload).where(
        Upload.state == State.DONE,
        Upload.class_name.is_not(None),
        Upload.feedback.is_(None),
        Upload.corrected_class.is_(None),
        Upload.is_sample.is_(False),
    )


def _ranking() -> tuple[Any, ...]:
    classes = sa.func.coalesce(sa.func.json_array_length(Upload.prediction_set), 1)
    return (classes.desc(), Upload.score, Upload.created_at.desc(), Upload.id)


def _first(rows: sa.Select[Upload]) -> list[Upload]:
    return list(db.session.scalars(rows.limit(MAX_ROWS)))
