"""description.json of an export: what a program needs to know to use the model, and where the model comes from."""

from typing import TypedDict

from components.base import documents, settings, version
from components.models import prediction_sets

FILE, LABELS, EXAMPLE = "description.json", "labels.txt", "classify.py"


class Validation(TypedDict):
    """Answers of the export and of the Keras model to the same photos of the run, on which both were trained."""

    photos: int
    max_score_difference: float
    same_class: float  # share of the photos
    f1: float
    f1_of_keras_model: float


class Input(TypedDict):
    size_px: int  # of both sides
    shape: list[str | int]
    dtype: str
    colour_order: str
    values: str


class PredictionSets(TypedDict):
    """How to make a set of the scores, see prediction_sets.members."""

    coverage: float
    temperature: float
    thresholds: list[float]
    min_probability: float
    rule: str


class Description(TypedDict):
    format: settings.DeviceFormat
    model: str  # file
    runtime: str  # Python package
    classes: list[str]  # in the order of the scores, as in labels.txt
    input: Input
    photo: list[str]  # how to prepare a photo, in this order
    output: str
    prediction_sets: PredictionSets
    f1: float  # of the run's winner in cross-validation
    calibration_photos: int  # from which int8 is quantized; 0 in other formats
    validation: Validation
    made_from: dict[str, str | int | None]
    files: dict[str, str]  # file -> digest


PHOTO = [
    "Turn it upright by its EXIF orientation.",
    "Convert it to 8-bit sRGB; put transparent parts on white.",
    "Stretch it to size_px x size_px, whatever its shape, with a bilinear filter that is wider the more the photo "
    "shrinks (antialiasing): Pillow's Image.resize(size, BILINEAR), or tf.image.resize(antialias=True).",
    "Do not scale or normalize the values: the model does.",
]
SETS = (
    "p = max(scores, min_probability) / max(scores); p = p ** (1 / temperature); p = p / sum(p); the set has the class "
    "with the highest score and each class with p >= its threshold"
)


def describe_input(image_size_px: int) -> Input:
    return {
        "size_px": image_size_px,
        "shape": ["n", image_size_px, image_size_px, 3],
        "dtype": "uint8",
        "colour_order": "RGB",
        "values": "0 to 255",
    }


def describe_sets(results: documents.Calibration) -> PredictionSets:
    """Return the rule of the prediction sets from calibration.json."""
    return {
        "coverage": results["coverage"],
        "temperature": results["temperature"],
        "thresholds": results["thresholds"][str(results["coverage"])],
        "min_probability": prediction_sets.MIN_PROBABILITY,
        "rule": SETS,
    }


def describe_origin(digest: str, pushed_version: int | None) -> dict[str, str | int | None]:
    """Return from which file of the run and by which Pilah the model was made.

    Args:
        digest: of the Keras model.
        pushed_version: number of the version that the run has pushed; None if it has not.
    """
    return {"keras_model": digest, "pushed_version": pushed_version, "pilah": version.VERSION}
