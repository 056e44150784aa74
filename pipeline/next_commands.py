"""The commands to try after a run, for its folder, as a user types them."""

import pathlib
import shlex
import sys

from pipeline import run_folder
from pipeline.config import Config


def after_push(config: Config, *, with_make: bool) -> list[str]:
    """Return the path of the report and two commands to try when a model has been pushed, a line each.

    Args:
        with_make: whether the run was started by make, which also has commands for serving and for other photos.
    """
    run_dir = _quoted(config.run_dir)
    if with_make:
        serve, run_on_photos = f"make serve RUN={run_dir}", "make run IMAGES=photos.zip"
    else:
        serve = f"{_python()} -m web --model_base_path {_quoted(config.run_dir / run_folder.SERVED)}"
        run_on_photos = _command("run", "runs/mine", "--images photos.zip")
    if not config.images:
        second = f"Train on your own photos:        {run_on_photos}"
    elif config.strategy == "finetune":  # which cannot be audited
        second = f"Test it on other photos:         {_command('evaluate', run_dir, '--images other-photos')}"
    else:
        second = f"Look for label issues:           {_command('audit', run_dir)}"
    report = f"Report:                          {_quoted(config.run_dir / run_folder.PAGE)}"
    return [report, f"Serve the model and a web page:  {serve}", second]


def after_failed_push(config: Config) -> str:
    """Return a line with the command to try when the scenarios are ranked, but no model could be pushed."""
    return f"Write the report of the scenarios:  {_command('report', _quoted(config.run_dir))}"


def _command(name: str, run_dir: str, *more: str) -> str:
    return " ".join([_python(), "-m pipeline", name, "--run-dir", run_dir, *more])


def _python() -> str:
    return _quoted(pathlib.Path(sys.executable))


def _quoted(path: pathlib.Path) -> str:
    """Return `path` for a shell, relative to the working directory if it is below it."""
    current = pathlib.Path.cwd()
    return shlex.quote(str(path.relative_to(current) if path.is_relative_to(current) else path))
