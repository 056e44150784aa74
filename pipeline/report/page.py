"""The report of a run: one HTML page that needs nothing else, and its numbers and matrices beside it."""

import pathlib
import shutil
from collections.abc import Sequence

import jinja2
from markupsafe import Markup

from components import artifacts
from components.errors import PilahError
from pipeline.report import figures, sections, words

TEMPLATES = pathlib.Path(__file__).with_name("templates")


def write(run_dir: pathlib.Path, language: str, stages_left: Sequence[str]) -> pathlib.Path:
    """Write report/index.html, figures.json and confusion/NN.png in the run folder; returns the path of the page.

    Args:
        language: "en" or "id".
        stages_left: names of the stages that the run has yet to do.

    Raises:
        PilahError: there is no run in `run_dir`.
    """
    if not (run_dir / "run.json").exists():
        raise PilahError(
            f"--run-dir must hold a run. Received: {run_dir}, which has no run.json. Start one with 'run'."
        )
    folder = run_dir / "report"
    found = figures.compute(run_dir)
    shutil.rmtree(folder / "confusion", ignore_errors=True)  # of scenarios that are no longer there
    artifacts.write_json(folder / "figures.json", found)
    say, figure = words.say_in(language), words.figure_of(found, language)
    source = sections.Source(run_dir, folder, found, say, figure)
    jinja = environment()
    common = {"figures": found, "say": say, "figure": figure, "language": language}
    shown = []
    for section in sections.SECTIONS:
        contents = section(source)
        if contents is not None:
            name = section.__name__
            body = jinja.get_template(f"sections/{name}.html").render(**common, **contents)
            shown.append({"name": name, "title": contents["title"], "body": Markup(body)})
    html = jinja.get_template("page.html").render(**common, sections=shown, stages_left=stages_left)
    with artifacts.replacing(folder / "index.html") as part:
        part.write_text(html, encoding="utf-8")
    return folder / "index.html"


def environment() -> jinja2.Environment:
    """The templates; `include_raw("style.css")` gives a file of theirs as it is."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=jinja2.select_autoescape(("html",)),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals["include_raw"] = lambda name: Markup((TEMPLATES / name).read_text(encoding="utf-8"))
    return found
