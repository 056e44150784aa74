"""All artifacts -> HTML page, card of the pushed model, and TensorBoard logs of the scenarios."""

import pathlib
from typing import Any

import rich.console

from components.publish import push
from pipeline import config as config_module
from pipeline import run_folder, runner, trials
from pipeline.config import Config
from pipeline.progress import Progress
from pipeline.runner import Stage


def inputs(config: Config) -> dict[str, Any]:
    versions = push.versions(config.run_dir / run_folder.SERVED)
    return {"versions": versions, "settings": config_module.to_json(config)}


def run(config: Config, progress: Progress) -> None:
    make(config.run_dir)


def make(run_dir: pathlib.Path, language: str | None = None) -> pathlib.Path:
    """Write the page, the card and the logs of the run, finished or not; return the path of the page.

    Args:
        language: "en" or "id"; None keeps the language of the page, which is English at first.

    Raises:
        PilahError: another version of Pilah trained the run.
    """
    from pipeline.report import card, logs, page  # imported late, because only the report needs the plotting library

    runner.check_outputs(run_dir, _is_read)  # first, as a damaged trial looks like one of another version
    trials.check_version(run_dir)
    left = [name for name in runner.left(config_module.read(run_dir)) if name != "report"]
    if left:  # the finished run must write its page again
        runner.path(run_dir, "report").unlink(missing_ok=True)
    path = page.write(run_dir, language or page.language_of(run_dir), left)
    logs.write(run_dir)
    card.write(run_dir)
    return path


def _is_read(file: str) -> bool:
    return file in run_folder.READ_BY_REPORT or file.startswith(f"{run_folder.TRIALS}/")


def refresh(run_dir: pathlib.Path, console: rich.console.Console) -> None:
    """Write the report again after a command has changed what it shows, and print where it is; hold the run's lock.

    The mark of the stage is updated, so that the next run skips it. An unfinished run that has no report gets none.
    """
    config = config_module.read(run_dir)
    if trials.is_of_other_version(run_dir):
        page = run_dir / run_folder.PAGE
        console.print(f"{page} was not updated, because another version of Pilah wrote it.", soft_wrap=True)
        return
    if set(runner.left(config)) <= {STAGE.name}:
        runner.run(STAGE, config, console)
    elif (run_dir / run_folder.PAGE).exists():
        make(run_dir)
    else:
        return
    console.print(f"report: {run_dir / run_folder.PAGE}", soft_wrap=True, highlight=False)


STAGE = Stage(
    name="report",
    inputs=inputs,
    outputs=lambda config: [run_folder.PAGE],
    run=run,
    reads={
        "resolved": run_folder.RESOLVED,
        "photos": run_folder.PHOTOS,
        "duplicates": run_folder.DUPLICATES,
        "rejects": run_folder.REJECTS,
        "leaderboard": run_folder.LEADERBOARD,
        "calibration": run_folder.CALIBRATION,
        "calibrated_photos": run_folder.CALIBRATED_PHOTOS,
        "heatmaps": run_folder.HEATMAPS,
        "validation": run_folder.VALIDATION,
        "descriptions": f"{run_folder.SERVED}/*/{push.DESCRIPTION}",
        "audit": f"{run_folder.AUDIT}/**/*",
        "evaluations": f"{run_folder.EVALUATIONS}/*",
    },
    covered=[
        run_folder.CONFIG,
        f"{run_folder.STAGES}/*",
        *run_folder.all_files(run_folder.TRIALS, run_folder.IMAGES, run_folder.REPORT),
    ],
    fixed=False,
)
