"""Keras model -> SavedModel that takes the bytes of photos."""

from typing import Any

from components.base import artifacts
from components.models import assembly
from components.publish import export
from pipeline import shared
from pipeline.config import Config
from pipeline.progress import Report

WARMUP_PHOTOS = 8


def inputs(config: Config) -> dict[str, Any]:
    return {"model": artifacts.file_digest(config.run_dir / "model" / "model.keras")}


def outputs(config: Config) -> list[str]:
    return ["export/saved_model.pb", "export/**/*"]


def run(config: Config, report: Report) -> None:
    export.export(
        assembly.load(config.run_dir / "model" / "model.keras"),
        shared.study(config).classes,
        config.image_size_px,
        shared.plain_bytes(config, shared.some_photos(config, WARMUP_PHOTOS)),
        config.run_dir / "export",
    )
