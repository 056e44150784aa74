"""photos.csv -> TFRecords of upright, square RGB photos, written by Beam."""

import logging
from typing import Any

from components.base.errors import PilahError
from components.data import images, photos, records, stale_records
from pipeline import run_folder, runner
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
        "normalizer": images.VERSION,
    }


def check(config: Config) -> None:
    """Raise PilahError if photos look different than in the records, which an earlier version of Pilah made.

    The features and models that were made from the records would not fit the photos that are served.
    """
    mark = runner.read(config.run_dir, STAGE.name)
    if not mark or mark["inputs"].get("normalizer") == images.VERSION:
        return
    size_px, max_pixels = mark["inputs"]["image_size_px"], mark["inputs"]["max_pixels"]
    if size_px != config.image_size_px:  # nothing that was made from these records is used again
        return
    log.info("checking whether photos look as in the records, which an earlier version of Pilah made")
    listed = photos.read(config.run_dir / run_folder.PHOTOS)
    stale = stale_records.find(config.run_dir / run_folder.DATASET, listed, size_px, max_pixels)
    if stale:
        raise PilahError(
            f"{len(stale)} photos, such as {stale[0].path}, look different than in the records of {config.run_dir}, "
            "which an earlier version of Pilah made: its models would not fit the photos that are served now. Run "
            "again with --from dataset, which discards the finished work, or choose another --run-dir."
        )


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
