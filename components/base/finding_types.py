"""Keys and types of the JSON files that audit, leakage-check and evaluate write. Imports nothing heavy."""

from typing import Any, TypedDict

from components.base import documents


class AuditSettings(TypedDict):
    scenario: int
    fold_draws: int


class MislabelledPair(TypedDict):
    label: str
    suggested: str
    photos: int


class LabelIssues(TypedDict):
    photos: int
    pairs: list[MislabelledPair]


class ComparedFolds(TypedDict):
    scenario: int
    draws: list[dict[str, float]]
    plain_mean: float
    grouped_mean: float
    difference: float
    standard_error: float
    p: float


class PastAudit(TypedDict):
    """What audit.json of any version has."""

    photos_and_folds: str
    settings: dict[str, Any]


class Audit(TypedDict):
    """audit.json of this version; the names of earlier versions are kept."""

    photos: int
    photos_and_folds: str
    exact_duplicates: dict[str, int]
    near_duplicates: dict[str, int]
    label_doubts: LabelIssues
    odd_photos: dict[str, int]
    folds: ComparedFolds | None
    settings: AuditSettings
    scenarios: dict[str, Any]


class LeakageRow(TypedDict):
    scenario: int
    backbone: str
    optimizer: str
    dropout: float
    leaking: bool
    f1: float
    fold_f1: list[float]


class LeakageCheck(TypedDict):
    """leakage_check.json: two tables and their distances; the table names are honest, carried and thesis."""

    scenarios: list[LeakageRow]
    compared: dict[str, dict[str, float | None]]
    mean_of_folds: dict[str, list[float]]
    folds: dict[str, dict[str, list[float]]]


class LeakageSettings(TypedDict):
    scenarios: dict[str, Any]


ClassScores = TypedDict("ClassScores", {"class": str, "photos": int, "precision": float, "recall": float, "f1": float})


class Evaluation(documents.Scores):
    images: str
    version: int
    classes: list[str]
    photos: int
    missing_classes: list[str]
    per_class: list[ClassScores]
    confusion_matrix: list[list[int]]
    cross_validated_f1: float
    left_out: dict[str, int]
    training_photos_known: bool
