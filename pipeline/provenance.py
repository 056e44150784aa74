"""Provenance of a model: the code and packages that made it, and its description in model.json."""

import importlib.metadata
import pathlib
from typing import cast, get_type_hints

from components.base import artifacts, documents
from components.data import photos
from pipeline import recipe, run_folder
from pipeline.config import Config, to_json

PACKAGES = "tensorflow keras keras-tuner tensorflow-datasets apache-beam numpy pillow scikit-learn".split()
ROOT = pathlib.Path(__file__).parents[1]
CODE_FOLDERS = ("pipeline", "components", "tuner")  # with their subfolders


def note(config: Config) -> None:
    """Write the versions of the code and packages next to the model, as they may change before it is pushed."""
    packages = {name: importlib.metadata.version(name) for name in PACKAGES}
    artifacts.write_json(config.run_dir / run_folder.MADE_WITH, {"code": code_fingerprint(), "packages": packages})


def describe(config: Config) -> documents.ModelDescription:
    """Return scenario, figures, fingerprints of data and code, and versions of the packages that matter."""
    leaderboard = run_folder.read_leaderboard(config.run_dir)
    winner = leaderboard["winner"]
    photo_list = run_folder.usable_photos(config.run_dir)
    validation: documents.Validation = artifacts.read_json(config.run_dir / run_folder.VALIDATION, documents.Validation)
    made_with = artifacts.read_json(config.run_dir / run_folder.MADE_WITH, documents.MadeWith)
    described = {name: value for name, value in winner.items() if name in get_type_hints(documents.DescribedScenario)}
    return {
        "scenario": cast(documents.DescribedScenario, described),
        "chosen_because": winner["reason"],
        "figures": {
            "f1": winner["f1"],
            "precision": winner["precision"],
            "recall": winner["recall"],
            "accuracy": winner["accuracy"],
            "f1_corrected": winner["f1_corrected"],
            "f1_corrected_low": winner["f1_corrected_low"],
            "f1_corrected_high": winner["f1_corrected_high"],
            **validation,
        },
        "calibration": artifacts.read_json(config.run_dir / run_folder.CALIBRATION, documents.Calibration),
        "classes": leaderboard["classes"],
        "image_size_px": config.image_size_px,
        "weights": recipe.weights(config, winner["backbone"]).fingerprint,
        "data": {
            "photos": len(photo_list),
            "photos_and_folds": photos.fingerprint(photo_list),
            "drawn": not config.images,
        },
        "code": made_with["code"],
        "packages": made_with["packages"],
        "settings": to_json(config),
    }


def code_fingerprint(root: pathlib.Path = ROOT) -> str:
    """Return 16 hexadecimal digits that change with any line of the code in `root` that makes a model."""
    patterns = ("*.py", "*.csv")  # the table of backbones is a CSV file
    files = sorted(file for folder in CODE_FOLDERS for pattern in patterns for file in (root / folder).rglob(pattern))
    return artifacts.digest([[str(file.relative_to(root)), artifacts.file_digest(file)] for file in files])
