"""What the page says about an answer: how certain it is, the classes to name, and how often such answers were right."""

import dataclasses

from serving import client
from web import model_card
from web.database import Upload

MAX_NAMED = 3  # classes that an unsure answer names


@dataclasses.dataclass(frozen=True)
class Answer:
    """What to say about the answer of a row.

    Attributes:
        certainty: a `Certainty`; None if the model has no prediction sets.
        classes: classes of the prediction set, the most probable first; the predicted class alone without a set.
        has_more: the set has more classes than these.
        tested: results of such answers in testing; None if the model's card says nothing about them.
    """

    certainty: str | None
    classes: list[str]
    has_more: bool
    tested: model_card.Tested | None

    @property
    def is_unsure(self) -> bool:
        """Whether the visitor is asked what the item is."""
        return self.certainty in (client.Certainty.UNSURE, client.Certainty.UNTYPICAL)


def of(row: Upload) -> Answer:
    """Return what to say about a row with a prediction."""
    classes = row.prediction_set or [row.class_name or ""]
    card = model_card.of_version(row.model_version, list(row.scores or {})) if row.certainty else None
    tested = card.tested(row.certainty) if card and row.certainty else None
    return Answer(row.certainty, classes[:MAX_NAMED], len(classes) > MAX_NAMED, tested)
