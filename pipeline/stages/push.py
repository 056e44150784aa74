"""SavedModel -> next version folder, unless the served version is better."""

import logging
from typing import Any

from components.base import artifacts, documents
from components.publish import push, validate
from pipeline import provenance, recipe, run_folder
from pipeline.config import Config
from pipeline.progress import Progress
from pipeline.runner import Stage

log = logging.getLogger("pilah")


def inputs(config: Config) -> dict[str, Any]:
    return {**recipe.export_inputs(config), "validation": artifacts.read_json(config.run_dir / run_folder.VALIDATION)}


def outputs(config: Config) -> list[str]:
    """Return the files of the pushed version, or of any version if an earlier Pilah pushed it without PUSHED."""
    pushed = config.run_dir / run_folder.PUSHED
    version = artifacts.read_json(pushed, documents.Pushed)["version"] if pushed.exists() else "[0-9]*"
    export = config.run_dir / run_folder.EXPORT
    names = [str(path.relative_to(export)) for path in sorted(export.rglob("*")) if path.is_file()]
    return [f"{run_folder.SERVED}/{version}/{name}" for name in (*names, push.DESCRIPTION)]


def run(config: Config, progress: Progress) -> None:
    export, base = config.run_dir / run_folder.EXPORT, config.run_dir / run_folder.SERVED
    description = provenance.describe(config)
    extra_files = [config.run_dir / run_folder.ANSWERS]  # for a check after a rollback
    comparison = validate.check_not_worse(description, push.served(base, documents.ServedModel), config.force)
    # a push that was killed may have made the version
    version = push.same_version(export, base, description, extra_files) or push.push(
        export, base, description, keep_versions=config.keep_versions, extra_files=extra_files
    )
    artifacts.write_json(config.run_dir / run_folder.PUSHED, {"version": int(version.name)})
    log.info("pushed %s: %s", version, comparison)


STAGE = Stage(
    name="push",
    inputs=inputs,
    outputs=outputs,
    run=run,
    reads={"answers": run_folder.ANSWERS, "made_with": run_folder.MADE_WITH},
    covered=[
        run_folder.LEADERBOARD,
        run_folder.CALIBRATION,
        run_folder.VALIDATION,
        *run_folder.USABLE_PHOTOS,
        *run_folder.all_files(run_folder.EXPORT, run_folder.SERVED),
    ],
    added=["photos", "answers", "made_with"],
    fixed=False,
)
