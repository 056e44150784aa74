"""photos.csv -> TFRecords of upright RGB squares, written by Beam."""

import logging
from typing import Any

from components.data import photos, records
from pipeline import run_folder
from pipeline.config import Config
from pipeline.progress import Progress
from pipeline.runner import Stage

log = logging.getLogger("pilah")


def inputs(config: Config) -> dict[str, Any]:
    unreadable = run_folder.read_rows(config.run_dir, run_folder.UNREADABLE)
    return {
        **({"unreadable": unreadable} if unreadable else {}),  # marks of earlier versions know no such list
        "image_size_px": config.image_size_px,
        "max_pixels": config.max_pixels,
        "max_rejects": config.max_rejects,
    }


def outputs(config: Config) -> list[str]:
    return [run_folder.REJECTS, f"{run_folder.DATASET}/*/*/dataset_info.json", f"{run_folder.DATASET}/*/*/*"]


def run(config: Config, progress: Progress) -> None:
    rejects = records.build(
        config.run_dir / run_folder.DATASET,
        photos.read(config.run_dir / run_folder.PHOTOS),
        image_size_px=config.image_size_px,
        max_pixels=config.max_pixels,
        max_rejects=config.max_rejects,
        folds=config.folds,
        beam_args=config.beam_args,
        progress=progress,
        unreadable=run_folder.read_rows(config.run_dir, run_folder.UNREADABLE),
    )
    if rejects:
        log.warning("%d photos cannot be used (%s)", len(rejects), run_folder.REJECTS)


STAGE = Stage(
    "dataset",
    inputs,
    outputs,
    run,
    reads={"photos": run_folder.PHOTOS},
    covered=[run_folder.UNREADABLE, f"{run_folder.IMAGES}/**/*"],
)
