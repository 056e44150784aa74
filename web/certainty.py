"""How certain an answer is, by the levels in the model card, and the classes to name for it."""

import dataclasses

from web import model_card
from web.database import Upload

MAX_NAMED = 3  # classes that an unsure answer names
MIN_SCORE = 0.05  # of a second or third class that is named
PROBABLE_SCORE = 0.5  # of an answer of unknown level: below, all other classes together are more likely


@dataclasses.dataclass(frozen=True)
class Certainty:
    """How certain an answer is.

    Attributes:
        level: level in the model card; None if the card says nothing about this answer.
        score: of the predicted class; None if it is unknown.
        classes: the predicted class, then others that are likely enough to be named, the most likely first.
    """

    level: model_card.Level | None
    score: float | None
    classes: list[str]

    @property
    def name(self) -> str:
        """Name of the level; an answer of an unknown level is worded as a probable or an unsure one."""
        if self.level:
            return self.level.name
        return "probable" if self.score is None or self.score >= PROBABLE_SCORE else "unsure"


def of(row: Upload) -> Certainty:
    """Return the certainty of a row with a prediction."""
    scores = row.scores or {}
    others = sorted((name for name in scores if name != row.class_name), key=lambda name: -scores[name])
    likely = [name for name in others if scores[name] >= MIN_SCORE]
    return Certainty(level(row), row.score, [row.class_name or "", *likely][:MAX_NAMED])


def level(row: Upload) -> model_card.Level | None:
    """Return the level of a row's answer; None without an answer, or if its model's card has none for it."""
    if row.score is None:
        return None
    card = model_card.of_version(row.model_version, list(row.scores or {}))
    return card.level(row.score) if card else None
