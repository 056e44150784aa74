"""All artifacts -> a page to look at, the card of the pushed model, and TensorBoard's logs of the scenarios."""

import pathlib
from typing import Any

from components.base import artifacts
from components.publish import push
from pipeline import config as config_module
from pipeline import runner
from pipeline.config import Config
from pipeline.progress import Report

READ = (
    "resolved.json",
    "photos.csv",
    "duplicates.csv",
    "dataset/rejects.csv",
    "leaderboard.json",
    "validation.json",
    "audit/*.json",
    "evaluations/*.json",
)


def inputs(config: Config) -> dict[str, Any]:
    files = sorted(path for pattern in READ for path in config.run_dir.glob(pattern))
    versions = push.versions(config.run_dir / "served" / push.MODEL_NAME)
    read = {str(path.relative_to(config.run_dir)): artifacts.file_digest(path) for path in files}
    return {"files": read, "versions": versions, "settings": config_module.to_json(config)}


def outputs(config: Config) -> list[str]:
    return ["report/index.html"]


def run(config: Config, report: Report) -> None:
    make(config.run_dir, "en")


def make(run_dir: pathlib.Path, language: str) -> pathlib.Path:
    """Write all of it for what there is of the run so far; returns the path of the page."""
    from pipeline.report import card, logs, page  # they load what draws, which nothing else needs

    left = [name for name in runner.left(config_module.read(run_dir)) if name != "report"]
    if left:  # the page of an unfinished run replaces that of a finished one, which the run must then make again
        runner.path(run_dir, "report").unlink(missing_ok=True)
    path = page.write(run_dir, language, left)
    logs.write(run_dir)
    card.write(run_dir)
    return path
