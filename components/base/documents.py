"""Keys and types of the JSON files that several modules read. Imports nothing heavy."""

from typing import Any, NotRequired, TypedDict

from components.base import settings


class Scenario(TypedDict):
    scenario: int
    backbone: settings.Backbone
    optimizer: settings.Optimizer
    dropout: float
    strategy: settings.Strategy
    # of a search space, or of several numbers of hidden units
    learning_rate: NotRequired[float]
    hidden_units: NotRequired[int]
    epochs: NotRequired[int]


class SearchedValues(TypedDict):
    """The hyperparameters of a trial of a search space."""

    number: int
    backbone: settings.Backbone
    optimizer: settings.Optimizer
    dropout: float
    learning_rate: float
    hidden_units: int
    epochs: int


class SearchedScenario(TypedDict):
    scenario: SearchedValues
    failure: str | None  # why its training diverged


class Search(TypedDict):
    """trials/search.json: the space of a search, and the trials that the oracle has chosen so far, in their order."""

    space: dict[str, Any]
    trials: list[SearchedScenario]


class Scores(TypedDict):
    """Macro averages of the confusion matrix summed over the folds."""

    precision: float
    recall: float
    f1: float
    accuracy: float


class LeaderboardRow(Scenario, Scores):
    confusion_matrix: list[list[int]]  # rows = actual class
    seconds: float


class CorrectedF1(TypedDict):
    """Macro F1 of the winner corrected for its selection, with a 95 % interval; None if nothing was selected.

    Earlier versions lack all three.
    """

    f1_corrected: NotRequired[float | None]
    f1_corrected_low: NotRequired[float | None]
    f1_corrected_high: NotRequired[float | None]


class Winner(Scenario, Scores, CorrectedF1):
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
    """validation.json; earlier versions lack the typicality and the comparison with the web page's JPEGs."""

    max_score_difference: float
    max_typicality_difference: NotRequired[float]
    record_and_file_agreement: float
    f1_on_training_photos: float
    web_jpeg_photos: NotRequired[int]
    web_jpeg_agreement: NotRequired[float]
    web_jpeg_mean_score_difference: NotRequired[float]
    web_jpeg_max_score_difference: NotRequired[float]


class Share(TypedDict):
    """A share of photos with its 95 % interval."""

    count: int
    share: float
    low: float
    high: float


class Coverage(TypedDict):
    """The share of photos whose prediction set holds the actual class, with its 95 % interval."""

    photos: int
    coverage: float
    low: float
    high: float
    mean_size: float  # number of classes in a set


ClassCoverage = TypedDict(
    "ClassCoverage",
    {"class": str, "photos": int, "coverage": float, "low": float, "high": float, "mean_size": float},
)


class SetFigures(Coverage):
    sizes: dict[str, int]  # number of classes in a set -> photos
    per_class: list[ClassCoverage]


class Level(TypedDict):
    """Answers of a state of the web page, see answer_sets.certainty."""

    name: str
    answers: int
    right: int


class Calibration(TypedDict):
    """calibration.json: the rule of the prediction sets, and its check by cross-fitting.

    Thresholds are stored for several coverages, of which the model applies `coverage`.
    """

    predictions: str  # digest of the winner's predictions.csv
    coverage: float
    temperature: float  # 1 if scaling does not lower the log loss of held-out folds
    log_loss: float
    log_loss_scaled: float  # with the temperature of the other folds
    thresholds: dict[str, list[float]]  # coverage -> threshold of each class
    classes: list[str]
    sets: dict[str, SetFigures]  # coverage -> figures, with thresholds of the other folds
    flagged: Share  # untypical photos, among those of the other folds
    certainty: list[Level]


class Figures(Scores, CorrectedF1, Validation):
    """The winner's scores in cross-validation, and the validation of its export."""


class DescribedScenario(Scenario):
    parameters: int


class Data(TypedDict):
    photos: int
    photos_and_folds: str  # photos.fingerprint
    drawn: bool  # whether the photos are synthetic


class Timed(TypedDict):
    """A finished part of a stage: the description of a view, or of a trained fold."""

    seconds: float
    digest: NotRequired[str]


class Metrics(TypedDict):
    """Metric -> value after each epoch of a fold; fine-tuning has more of them."""

    loss: list[float]
    accuracy: list[float]


class FoldHistory(TypedDict):
    """fold-F.json: how a fold was trained."""

    seconds: float
    history: Metrics


class Mark(TypedDict):
    """The mark of a finished stage, see pipeline.runner; earlier versions lack `outputs`, or have one digest of all."""

    inputs: dict[str, Any]
    seconds: float
    outputs: NotRequired[dict[str, str] | str]  # file -> digest


class Answers(TypedDict):
    """answers.json: the scores of some photos, as validated."""

    photos: list[str]
    classes: list[str]
    scores: list[list[float]]


class Pushed(TypedDict):
    version: int


class Processes(TypedDict):
    processes: int


class MadeWith(TypedDict):
    code: str
    packages: dict[str, str]


class _ServedScores(TypedDict):
    f1: float


class _ServedData(TypedDict):
    photos_and_folds: str
    photos: NotRequired[int]
    drawn: NotRequired[bool]


class Version(TypedDict):
    """What a rollback reads of the model.json of any version."""

    version: int
    copy_of: NotRequired[int]
    files: NotRequired[dict[str, str]]


class ServedModel(Version):
    """What a push and an evaluation read of the model.json of any version."""

    figures: _ServedScores
    classes: list[str]
    data: _ServedData


class _DescribedScenario(TypedDict):
    scenario: int
    backbone: str
    optimizer: str
    dropout: float
    parameters: int


class _DescribedData(TypedDict):
    photos_and_folds: str
    photos: int
    drawn: bool


class DescribedModel(Version):
    """What a model card reads of the model.json of any version."""

    scenario: _DescribedScenario
    figures: _ServedScores
    classes: list[str]
    data: _DescribedData
    weights: str
    code: str
    packages: dict[str, str]
    settings: dict[str, Any]


class ModelDescription(TypedDict):
    """model.json of a pushed version; the push adds `version` and `files`."""

    scenario: DescribedScenario
    chosen_because: str
    figures: Figures
    calibration: NotRequired[Calibration]  # earlier versions have no prediction sets
    classes: list[str]
    image_size_px: int
    weights: str  # fingerprint of the weights that the backbone started from
    data: Data
    code: str  # fingerprint
    packages: dict[str, str]  # name -> version
    settings: dict[str, Any]
    version: NotRequired[int]
    files: NotRequired[dict[str, str]]  # file of the SavedModel -> digest
    copy_of: NotRequired[int]  # the version that a rollback copied
