"""SavedModel -> next version folder, if it is no worse than the version served."""

import logging
from typing import Any

from components.base import artifacts
from components.data import photos
from components.publish import push, validate
from pipeline import provenance, run_folder
from pipeline.config import Config
from pipeline.progress import Progress
from pipeline.runner import Stage

log = logging.getLogger("pilah")


def inputs(config: Config) -> dict[str, Any]:
    return {
        "export": run_folder.export_digest(config.run_dir),
        "winner": run_folder.read_leaderboard(config.run_dir)["winner"],
        "min_f1": config.min_f1,
        "photos": photos.fingerprint(run_folder.usable_photos(config.run_dir)),
        "validation": artifacts.read_json(config.run_dir / run_folder.VALIDATION),
    }


def outputs(config: Config) -> list[str]:
    """Return the files of the version that was pushed; of any version where an earlier Pilah pushed it."""
    pushed = config.run_dir / run_folder.PUSHED
    version = artifacts.read_json(pushed)["version"] if pushed.exists() else "[0-9]*"
    return [f"{run_folder.SERVED}/{version}/{name}" for name in ("saved_model.pb", push.DESCRIPTION)]


def run(config: Config, progress: Progress) -> None:
    base = config.run_dir / run_folder.SERVED
    description = provenance.describe(config)
    comparison = validate.check_not_worse(description, push.served(base), config.force)
    answers = config.run_dir / run_folder.ANSWERS  # with the version, which may be rolled back to
    version = push.push(config.run_dir / run_folder.EXPORT, base, description, config.keep_versions, answers)
    artifacts.write_json(config.run_dir / run_folder.PUSHED, {"version": int(version.name)})
    log.info("pushed %s: %s", version, comparison)


STAGE = Stage(
    "push",
    inputs,
    outputs,
    run,
    reads={"answers": run_folder.ANSWERS, "made_with": run_folder.MADE_WITH},
    covered=[
        run_folder.LEADERBOARD,
        run_folder.VALIDATION,
        run_folder.PHOTOS,
        run_folder.REJECTS,
        f"{run_folder.EXPORT}/**/*",
        f"{run_folder.SERVED}/**/*",
    ],
    added=["photos", "answers", "made_with"],
    fixed=False,
)
