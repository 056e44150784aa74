"""The answered uploads that are most worth labelling: those that the model is the least certain of."""

import sqlalchemy as sa

from serving import client
from web.database import State, Upload, db

MAX_ROWS = 50  # of each list


def typical() -> list[Upload]:
    """Return uploads that look like the training photos, and those of models without prediction sets.

    Those with the most classes in their prediction set come first, so that unsure ones are before sure ones and those
    without a set. Uploads with sets of equal size are in the order of their score, the lowest first.
    """
    return _ranked(Upload.certainty.is_distinct_from(client.Certainty.UNTYPICAL))


def untypical() -> list[Upload]:
    """Return uploads that do not look like the training photos, in the same order."""
    return _ranked(Upload.certainty == client.Certainty.UNTYPICAL)


def _ranked(condition: sa.ColumnElement[bool]) -> list[Upload]:
    """Return the first answered uploads with this condition that nobody has confirmed or corrected."""
    unlabelled = sa.select(Upload).where(
        condition,
        Upload.state == State.DONE,
        Upload.class_name.is_not(None),
        Upload.feedback.is_(None),
        Upload.corrected_class.is_(None),
        Upload.is_sample.is_(False),
    )
    set_size = sa.func.coalesce(sa.func.json_array_length(Upload.prediction_set), 1)
    ordered = unlabelled.order_by(set_size.desc(), Upload.score, Upload.created_at.desc(), Upload.id)
    return list(db.session.scalars(ordered.limit(MAX_ROWS)))
