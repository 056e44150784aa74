"""The answers of a served model for several photos."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Answers:
    """Answers for n photos.

    Attributes:
        scores: float32 [n, classes].
        class_names: names of the classes, in the order of the scores.
        in_set: bool [n, classes], the prediction sets; None from a model that an earlier version exported.
        typicality: float32 [n] in [0, 1]; None from a model that an earlier version exported.
    """

    scores: np.ndarray
    class_names: list[str]
    in_set: np.ndarray | None = None
    typicality: np.ndarray | None = None
