"""The model card of a served version as numbers, from the pipeline's model_card.json."""

import dataclasses
import errno
import functools
import json
import logging
import pathlib
import stat
from collections.abc import Collection, Mapping
from typing import Any

from flask import current_app

from serving import client

FILE_NAME = "model_card.json"
MIN_ANSWERS = 20  # fewer answers of a certainty say too little about how often they are right
LOW_F1 = 0.7  # below this macro F1, about one answer in three is wrong
log = logging.getLogger("web.model_card")


@dataclasses.dataclass(frozen=True)
class Tested:
    """The answers of a certainty in testing.

    Attributes:
        name: a `Certainty`.
        right: answers whose predicted class was right; of unsure ones, those whose set had the right class.
    """

    name: str
    answers: int
    right: int

    @property
    def right_of_100(self) -> int | None:
        """Right answers in 100; 100 and 0 only if all or none were right, and None of too few answers."""
        if self.answers < MIN_ANSWERS:
            return None
        if self.right in (0, self.answers):
            return 100 * self.right // self.answers
        return min(max(round(100 * self.right / self.answers), 1), 99)


@dataclasses.dataclass(frozen=True)
class ClassResult:
    """Results of a class: its photos in cross-validation, and how many of them were recognised."""

    name: str
    photos: int
    right: int
    precision: float
    recall: float
    f1: float


@dataclasses.dataclass(frozen=True)
class ModelCard:
    """Results of the served model's scenario in cross-validation.

    Attributes:
        synthetic: the model was trained on synthetic photos.
        random_weights: the backbone has random weights.
        f1: macro F1, with its interval from `f1_low` to `f1_high`.
        certainty: results by certainty; empty in cards of earlier versions, whose models have no prediction sets.
        classes: in the model's order.
        confusion_matrix: photos by actual class (rows) and predicted class (columns).
    """

    synthetic: bool
    random_weights: bool
    photos: int
    right: int
    folds: int
    f1: float
    f1_low: float | None
    f1_high: float | None
    certainty: tuple[Tested, ...]
    classes: tuple[ClassResult, ...]
    confusion_matrix: tuple[tuple[int, ...], ...]

    @property
    def class_names(self) -> list[str]:
        return [result.name for result in self.classes]

    @property
    def is_for_real_photos(self) -> bool:
        """Whether the results say anything about photos that visitors send."""
        return not (self.synthetic or self.random_weights)

    @property
    def has_low_f1(self) -> bool:
        return self.f1 < LOW_F1

    def tested(self, certainty: str) -> Tested | None:
        """Return the results of answers of this certainty; None if the card has none, or is not about real photos."""
        if not self.is_for_real_photos:
            return None
        return next((tested for tested in self.certainty if tested.name == certainty), None)


def served() -> ModelCard | None:
    """Return the card of the newest version in MODEL_FOLDER; None if there is none."""
    folder = _model_folder()
    try:
        versions = [int(path.name) for path in folder.iterdir() if path.name.isdecimal()] if folder else []
    except OSError:  # pages/about.py logs it
        return None
    return of_version(max(versions)) if versions else None


def of_version(version: int | None, class_names: Collection[str] | None = None) -> ModelCard | None:
    """Return the card of a version in MODEL_FOLDER; None if there is none, or if it is of other classes."""
    folder = _model_folder()
    if folder is None or version is None:
        return None
    card = read(folder / str(version))
    if card and class_names is not None and card.class_names != list(class_names):
        _log_once(f"{folder / str(version) / FILE_NAME} is of other classes than the results of version {version}")
        return None
    return card


def read(folder: pathlib.Path) -> ModelCard | None:
    """Return the card in the folder of a version; None, and a line in the log, if it is missing or damaged."""
    path = folder / FILE_NAME
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe would be read forever
            raise OSError(errno.EINVAL, "it is not a file")
        return _read(path, status.st_mtime_ns)
    except FileNotFoundError:
        _log_once(f"{path} is missing: pages do not say how good the model is. Write it: python -m pipeline report")
    except OSError as error:
        _log_once(f"{path} cannot be read: {error.strerror}. Pages do not say how good the model is")
    return None


@functools.lru_cache(maxsize=10)
def _read(path: pathlib.Path, _mtime_ns: int) -> ModelCard | None:
    """Read a card once per version of its file."""
    text = path.read_bytes()
    try:
        return _parse(json.loads(text), path)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"
        _log_once(
            f"{path} is damaged ({reason}): pages do not say how good the model is. Write it again: "
            "python -m pipeline report"
        )
        return None


def _parse(document: Mapping[str, Any], path: pathlib.Path) -> ModelCard:
    """Convert the document.

    Raises:
        ValueError, KeyError, TypeError, AttributeError, OverflowError: it is not a card.
    """
    fields = {field.name: document[field.name] for field in dataclasses.fields(ModelCard)}
    card = ModelCard(
        **{
            **fields,
            # cards of earlier versions have no coverage; their certainty was by score
            "certainty": tuple(Tested(**tested) for tested in fields["certainty"] if "coverage" in document),
            "classes": tuple(ClassResult(**result) for result in fields["classes"]),
            "confusion_matrix": tuple(tuple(row) for row in fields["confusion_matrix"]),
        }
    )
    _check(card)
    model_path = path.with_name("model.json")
    if model_path.is_file() and json.loads(model_path.read_bytes())["classes"] != card.class_names:
        raise ValueError(f"its classes are not those in {model_path.name}")
    return card


def _check(card: ModelCard) -> None:
    """Raise an error if the card's parts do not fit together."""
    parts = [(card.right, card.photos)]
    parts += [(tested.right, tested.answers) for tested in card.certainty]
    parts += [(item.right, item.photos) for item in card.classes]
    counts = [card.folds, *(count for row in card.confusion_matrix for count in row)]
    counts += [count for part in parts for count in part]
    if not all(type(count) is int and 0 <= count < 2**53 for count in counts) or any(part > of for part, of in parts):
        raise ValueError("counts must be whole numbers of 0 or more, with no more right answers than photos")
    shares = [card.f1, *(share for item in card.classes for share in (item.recall, item.precision))]
    if not all(type(share) in (int, float) and 0 <= share <= 1 for share in shares):
        raise ValueError("shares must be numbers from 0 to 1")
    if not all(isinstance(flag, bool) for flag in (card.synthetic, card.random_weights)):
        raise ValueError("synthetic and random_weights must be true or false")
    if not all(isinstance(name, str) for name in card.class_names):
        raise ValueError("names of classes must be texts")
    names = [tested.name for tested in card.certainty]
    if len(set(names)) < len(names) or not set(names) <= set(client.Certainty):
        raise ValueError(f"names in certainty must be {', '.join(client.Certainty)}, each once at most")
    if [len(row) for row in card.confusion_matrix] != [len(card.classes)] * len(card.classes) or not card.classes:
        raise ValueError("the confusion matrix must have a row and a column per class")


def _model_folder() -> pathlib.Path | None:
    folder = current_app.config["PILAH"].model_folder
    return pathlib.Path(folder) if folder else None


@functools.lru_cache(maxsize=100)
def _log_once(line: str) -> None:
    """Log `line` once, not on every page."""
    log.warning(line)
