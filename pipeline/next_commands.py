"""The commands to try after a run, for its folder, as a user types them."""

import os
import pathlib
import shlex
import sys

from pipeline import run_folder
from pipeline.config import Config

STARTED_BY = "PILAH_STARTED_BY"  # environment variable: make (Makefile), compose (docker-compose.yml), or unset


def after_push(config: Config) -> list[str]:
    """Return the path of the report and two commands to try when a model has been pushed, a line each."""
    run_dir = _quoted(config.run_dir)
    if not config.images:
        second = f"Train on your own photos:        {_run_on_photos()}"
    elif config.strategy == "finetune":  # which cannot be audited
        folder = "/photos/other-photos" if _started_by() == "compose" else "other-photos"
        second = f"Test it on other photos:         {_command('evaluate', run_dir, '--images', folder)}"
    else:
        second = f"Look for label issues:           {_command('audit', run_dir)}"
    report = f"Report:                          {_quoted(config.run_dir / run_folder.PAGE)}"
    return [report, f"Serve the model and a web page:  {_serve(config, run_dir)}", second]


def after_failed_push(config: Config) -> str:
    """Return a line with the command to try when the scenarios are ranked, but no model could be pushed."""
    return f"Write the report of the scenarios:  {_command('report', _quoted(config.run_dir))}"


def _started_by() -> str:
    return os.environ.get(STARTED_BY, "")


def _serve(config: Config, run_dir: str) -> str:
    if _started_by() == "make":
        return f"make serve RUN={run_dir}"
    if _started_by() == "compose":
        return f"RUN={run_dir} docker compose up"
    return f"{_python()} -m web --model_base_path {_quoted(config.run_dir / run_folder.SERVED)}"


def _run_on_photos() -> str:
    if _started_by() == "make":
        return "make run IMAGES=photos.zip"
    photos = "/photos/photos.zip" if _started_by() == "compose" else "photos.zip"
    return _command("run", "runs/mine", "--images", photos)


def _command(name: str, run_dir: str, *more: str) -> str:
    is_compose = _started_by() == "compose"
    program = "docker compose run --rm pipeline" if is_compose else f"{_python()} -m pipeline"
    return " ".join([program, name, "--run-dir", run_dir, *more])


def _python() -> str:
    return _quoted(pathlib.Path(sys.executable))


def _quoted(path: pathlib.Path) -> str:
    """Return `path` for a shell, relative to the working directory if it is below it."""
    current = pathlib.Path.cwd()
    return shlex.quote(str(path.relative_to(current) if path.is_relative_to(current) else path))
