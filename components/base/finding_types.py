"""Keys and types of the JSON files that audit, leakage-check and evaluate write. Imports nothing heavy."""

from typing import Any, NotRequired, TypedDict

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


ClassScores = TypedDict(
    "ClassScores",
    {
        "class": str,
        "photos": int,
        "precision": float,
        "recall": float,
        "recall_interval": NotRequired[list[float]],
        "f1": float,
        "flagged": NotRequired[documents.Share | None],
    },
)


class ChanceError(TypedDict):
    """Calibration error of a perfectly calibrated model: its mean, and the ends of its 95 % range."""

    mean: float
    low: float
    high: float


class EvaluationScores(documents.Scores):
    """Scores of an evaluation; those by earlier versions lack the last six.

    `sets` and `flagged` are None if the model has no prediction sets, and `f1_interval` if a class has no photos.
    """

    photos: int
    missing_classes: list[str]
    per_class: list[ClassScores]
    confusion_matrix: list[list[int]]
    f1_interval: NotRequired[list[float] | None]
    accuracy_interval: NotRequired[list[float]]
    ece: NotRequired[float]
    ece_by_chance: NotRequired[ChanceError]
    sets: NotRequired[documents.SetFigures | None]
    flagged: NotRequired[documents.Share | None]


class Evaluation(EvaluationScores):
    """An evaluation's JSON file; earlier versions lack the last two.

    `cross_validated` is None if the run no longer has the predictions by which the model was chosen.
    """

    images: str
    version: int
    classes: list[str]
    cross_validated_f1: float
    left_out: dict[str, int]
    training_photos_known: bool
    stated_coverage: NotRequired[float | None]
    cross_validated: NotRequired[EvaluationScores | None]
