"""What a model was made with, noted as it is made; and model.json: what it is, what it scored, and all it is from."""

import importlib.metadata
import pathlib
from typing import Any

from components.base import artifacts
from components.data import photos
from pipeline import recipe, run_folder
from pipeline.config import Config, to_json

PACKAGES = (
    "tensorflow",
    "keras",
    "keras-tuner",
    "tensorflow-datasets",
    "apache-beam",
    "numpy",
    "pillow",
    "scikit-learn",
)
ROOT = pathlib.Path(__file__).parents[1]
CODE_FOLDERS = ("pipeline", "components", "tuner")  # with the folders in them


def note(config: Config) -> None:
    """Keep beside the model which code and packages make it: by the time it is pushed they may be others."""
    packages = {name: importlib.metadata.version(name) for name in PACKAGES}
    artifacts.write_json(config.run_dir / run_folder.MADE_WITH, {"code": code_fingerprint(), "packages": packages})


def describe(config: Config) -> dict[str, Any]:
    """Scenario, figures, fingerprints of data and code, and versions of the packages that matter."""
    board = run_folder.read_leaderboard(config.run_dir)
    winner = board["winner"]
    backbone_weights = recipe.weights(config, winner["backbone"])
    study = recipe.study(config)
    names = ("scenario", "backbone", "optimizer", "dropout", "strategy", "parameters")
    return {
        "scenario": {name: winner[name] for name in names},
        "chosen_because": winner["reason"],
        "figures": {
            **{name: winner[name] for name in ("f1", "precision", "recall", "accuracy")},
            **artifacts.read_json(config.run_dir / run_folder.VALIDATION),
        },
        "classes": board["classes"],
        "image_size_px": config.image_size_px,
        "weights": backbone_weights.fingerprint,
        "data": {
            "photos": len(study.photo_list),
            "photos_and_folds": photos.fingerprint(study.photo_list),
            "drawn": not config.images,
        },
        **artifacts.read_json(config.run_dir / run_folder.MADE_WITH),
        "settings": to_json(config),
    }


def code_fingerprint(root: pathlib.Path = ROOT) -> str:
    """16 hexadecimal digits that change with any line of the code in `root` that makes a model."""
    files = sorted(file for folder in CODE_FOLDERS for file in (root / folder).rglob("*.py"))
    return artifacts.digest([[str(file.relative_to(root)), artifacts.file_digest(file)] for file in files])
