"""What the stage calibration wrote, as far as the report shows it."""

import pathlib
from typing import Any

import numpy as np

from components.base import artifacts, documents
from components.base.errors import PilahError
from pipeline import run_folder

UNTYPICAL_SHOWN = 12


def summary(run_dir: pathlib.Path, winner_number: int) -> documents.Calibration | None:
    """Return calibration.json, or None if it is missing or not of the winner's predictions.

    Raises:
        PilahError: it has no figures for its own coverage.
    """
    path = run_dir / run_folder.CALIBRATION
    if not path.exists():
        return None
    results: documents.Calibration = artifacts.read_json(path, documents.Calibration)
    if str(results["coverage"]) not in results["sets"]:
        raise PilahError(f"{path} is damaged: its sets have no coverage {results['coverage']}. {artifacts.REWRITE}")
    digest = artifacts.file_digest(run_dir / run_folder.predictions(winner_number))
    return results if results["predictions"] == digest else None


def least_typical(run_dir: pathlib.Path) -> list[dict[str, Any]]:
    """Return id, label, predicted class and typicality of the photos of lowest typicality, the lowest first."""
    path = run_dir / run_folder.CALIBRATED_PHOTOS
    with artifacts.reading_rows(path):
        rows = [
            {name: row[name] for name in ("id", "label", "predicted")} | {"typicality": float(row["typicality"])}
            for row in artifacts.read_csv(path)
        ]
    return sorted(rows, key=lambda row: row["typicality"])[:UNTYPICAL_SHOWN]


def heatmaps(run_dir: pathlib.Path) -> dict[str, np.ndarray]:
    """Return id -> heat map of each wrongly classified photo, float32 [height, width] in [0, 1].

    They are of the final model, for the class that was predicted in cross-validation.

    Raises:
        PilahError: there is not one heat map for each of these photos.
    """
    path = run_dir / run_folder.HEATMAPS
    rows = artifacts.read_csv(run_dir / run_folder.CALIBRATED_PHOTOS, ("id", "label", "predicted"))
    ids = [row["id"] for row in rows if row["predicted"] != row["label"]]
    maps = artifacts.read_array(path)
    if maps.ndim != 3 or len(maps) != len(ids):
        raise PilahError(
            f"{path} must have {len(ids)} heat maps, one for each wrong answer in {run_folder.CALIBRATED_PHOTOS} (got "
            f"an array of shape {maps.shape}). {artifacts.REWRITE}"
        )
    return dict(zip(ids, maps, strict=True))
