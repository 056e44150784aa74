"""Keras model -> SavedModel that takes the bytes of photos."""

from typing import Any

from components.data import photos
from components.models import assembly
from components.publish import export
from pipeline import recipe, run_folder
from pipeline.config import Config
from pipeline.progress import Progress
from pipeline.runner import Stage

WARMUP_PHOTOS = 8


def inputs(config: Config) -> dict[str, Any]:
    """Return a fingerprint of the photos, because their classes and warm-up requests of some are exported."""
    return {"photos": photos.fingerprint(run_folder.usable_photos(config.run_dir))}


def run(config: Config, progress: Progress) -> None:
    study, winner = recipe.study(config), recipe.winner(config)
    export.export(
        assembly.load(config.run_dir / run_folder.KERAS_MODEL),
        study.classes,
        backbone=winner.backbone,
        test_views=config.test_views,
        calibration=recipe.calibration(config, study, winner),
        image_size_px=config.image_size_px,
        warmup_photos=recipe.plain_bytes(config, recipe.sample_photos(config, WARMUP_PHOTOS)),
        to=config.run_dir / run_folder.EXPORT,
    )


STAGE = Stage(
    name="export",
    inputs=inputs,
    outputs=lambda config: [f"{run_folder.EXPORT}/saved_model.pb", f"{run_folder.EXPORT}/**/*"],
    run=run,
    reads={"model": run_folder.KERAS_MODEL, "calibration": f"{run_folder.CALIBRATION_FOLDER}/*"},
    covered=[run_folder.LEADERBOARD, *run_folder.USABLE_PHOTOS, *run_folder.all_files(run_folder.IMAGES)],
    added=["photos"],
)
