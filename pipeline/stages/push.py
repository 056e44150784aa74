"""SavedModel -> next version folder, if it is no worse than the version served."""

import logging
from typing import Any

from components.base import artifacts
from components.publish import push, validate
from pipeline import provenance, shared
from pipeline.config import Config
from pipeline.progress import Report

log = logging.getLogger("pilah")

PUSHED = "pushed.json"  # {"version": number}


def inputs(config: Config) -> dict[str, Any]:
    return {**shared.published(config), "validation": artifacts.read_json(config.run_dir / "validation.json")}


def outputs(config: Config) -> list[str]:
    """The version that was pushed, or any where an earlier Pilah pushed it; a rollback adds another."""
    pushed = config.run_dir / PUSHED
    version = artifacts.read_json(pushed)["version"] if pushed.exists() else "[0-9]*"
    return [f"served/{push.MODEL_NAME}/{version}/{name}" for name in ("saved_model.pb", push.DESCRIPTION)]


def run(config: Config, report: Report) -> None:
    base = config.run_dir / "served" / push.MODEL_NAME
    description = provenance.describe(config)
    comparison = validate.check_not_worse(description, push.served(base), config.force)
    answers = config.run_dir / shared.ANSWERS  # with the version, which may be rolled back to
    version = push.push(config.run_dir / "export", base, description, config.keep_versions, answers)
    artifacts.write_json(config.run_dir / PUSHED, {"version": int(version.name)})
    log.info("pushed %s: %s", version, comparison)
