"""Keys and types of the JSON files that several modules read. Imports nothing heavy."""

from typing import Any, NotRequired, TypedDict

from components.base import settings


class Scenario(TypedDict):
    scenario: int
    backbone: settings.Backbone
    optimizer: settings.Optimizer
    dropout: float
    strategy: settings.Strategy


class Scores(TypedDict):
    """Macro averages of the confusion matrix summed over the folds."""

    precision: float
    recall: float
    f1: float
    accuracy: float


class LeaderboardRow(Scenario, Scores):
    confusion_matrix: list[list[int]]  # rows = actual class
    seconds: float


class Winner(Scenario, Scores):
    """The best row, the number of parameters of its whole model, and why it won."""

    parameters: int
    reason: str


class Leaderboard(TypedDict):
    """leaderboard.json: scenarios in order of number; refined scenarios come last and have strategy "finetune"."""

    classes: list[str]
    photos: int
    folds: int
    seed: int
    strategy: str
    scenarios: list[LeaderboardRow]
    winner: Winner


class Validation(TypedDict):
    """validation.json; earlier versions lack the comparison with the web page's JPEGs."""

    max_score_difference: float
    record_and_file_agreement: float
    f1_on_training_photos: float
    web_jpeg_photos: NotRequired[int]
    web_jpeg_agreement: NotRequired[float]
    web_jpeg_mean_score_difference: NotRequired[float]
    web_jpeg_max_score_difference: NotRequired[float]


class Figures(Scores, Validation):
    """The winner's scores in cross-validation, and the validation of its export."""


class DescribedScenario(Scenario):
    parameters: int


class Data(TypedDict):
    photos: int
    photos_and_folds: str  # photos.fingerprint
    drawn: bool  # whether the photos are synthetic


class ModelDescription(TypedDict):
    """model.json of a pushed version; the push adds `version`."""

    scenario: DescribedScenario
    chosen_because: str
    figures: Figures
    classes: list[str]
    image_size_px: int
    weights: str  # fingerprint of the weights that the backbone started from
    data: Data
    code: str  # fingerprint
    packages: dict[str, str]  # name -> version
    settings: dict[str, Any]
    version: NotRequired[int]
    copy_of: NotRequired[int]  # the version that a rollback copied
