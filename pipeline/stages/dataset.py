"""photos.csv -> TFRecords of upright RGB squares, written by Beam."""

import logging
from typing import Any

from components.base import artifacts
from components.data import photos, records
from pipeline import shared
from pipeline.config import Config
from pipeline.progress import Report

log = logging.getLogger("pilah")


def inputs(config: Config) -> dict[str, Any]:
    unreadable = artifacts.read_csv(config.run_dir / shared.UNREADABLE)
    return {
        "photos": artifacts.file_digest(config.run_dir / "photos.csv"),
        **({"unreadable": unreadable} if unreadable else {}),  # so that runs from before there was this list hold
        "image_size_px": config.image_size_px,
        "max_pixels": config.max_pixels,
        "max_rejects": config.max_rejects,
    }


def outputs(config: Config) -> list[str]:
    return ["dataset/rejects.csv", "dataset/*/*/dataset_info.json", "dataset/*/*/*"]


def run(config: Config, report: Report) -> None:
    rejects = records.build(
        config.run_dir / "dataset",
        photos.read(config.run_dir / "photos.csv"),
        config.image_size_px,
        config.max_pixels,
        config.max_rejects,
        config.folds,
        config.beam_args,
        report,
        artifacts.read_csv(config.run_dir / shared.UNREADABLE),
    )
    if rejects:
        log.warning("%d photos cannot be used (dataset/rejects.csv)", len(rejects))
