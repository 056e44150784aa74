"""photos.csv -> TFRecords of upright, square RGB photos, written by Beam."""

import logging
from typing import Any

from components.data import photos, records
from pipeline import run_folder
from pipeline.config import Config
from pipeline.progress import Progress
from pipeline.runner import Stage

log = logging.getLogger("pilah")
SHARDS = f"{run_folder.DATASET}/*/*"


def inputs(config: Config) -> dict[str, Any]:
    unreadable = run_folder.read_rows(config.run_dir, run_folder.UNREADABLE)
    return {
        **({"unreadable": unreadable} if unreadable else {}),  # marks of earlier versions lack this list
        "image_size_px": config.image_size_px,
        "max_pixels": config.max_pixels,
        "max_rejects": config.max_rejects,
    }


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
        log.warning("%d photos cannot be used, see %s", len(rejects), run_folder.REJECTS)


STAGE = Stage(
    name="dataset",
    inputs=inputs,
    outputs=lambda config: [run_folder.REJECTS, f"{SHARDS}/dataset_info.json", f"{SHARDS}/*"],
    run=run,
    reads={"photos": run_folder.PHOTOS},
    covered=[run_folder.UNREADABLE, *run_folder.all_files(run_folder.IMAGES)],
)
