"""The report of a run: one HTML page that needs nothing else, and its numbers and matrices beside it."""

import pathlib
import shutil
from collections.abc import Callable, Sequence
from typing import Any

import jinja2
from markupsafe import Markup

from components.base import artifacts
from pipeline import config as config_module
from pipeline import run_folder
from pipeline.report import figures, localization, sections
from pipeline.report.source import Contents, Source

TEMPLATES = pathlib.Path(__file__).with_name("templates")


def write(run_dir: pathlib.Path, language: str, stages_left: Sequence[str]) -> pathlib.Path:
    """Write report/index.html, figures.json and confusion/NN.png in the run folder; returns the path of the page.

    Args:
        language: "en" or "id".
        stages_left: names of the stages that the run has yet to do.

    Raises:
        PilahError: there is no run in `run_dir`.
    """
    config = config_module.read(run_dir)
    folder = run_dir / run_folder.REPORT
    found = figures.compute(config)
    shutil.rmtree(folder / "confusion", ignore_errors=True)  # of scenarios that are no longer there
    artifacts.write_json(run_dir / run_folder.FIGURES, found)
    source = Source(config, folder, found, localization.translator(language), localization.figure_tags(found, language))
    shared = {"_": source.gettext, "figure": source.figure, "backbone": source.backbone}
    jinja = environment(figures=found, language=language, **shared)
    shown = [body for section in sections.SECTIONS if (body := show(section, source, jinja))]
    html = jinja.get_template("page.html").render(sections=shown, stages_left=stages_left)
    with artifacts.atomic_write(folder / "index.html") as part:
        part.write_text(html, encoding="utf-8")
    return folder / "index.html"


def show(
    section: Callable[[Source], Contents], source: Source, jinja: jinja2.Environment
) -> dict[str, str | Markup] | None:
    """Name, title and HTML of a section; None where it has nothing to show."""
    contents = section(source)
    if contents is None:
        return None
    name = section.__name__
    body = jinja.get_template(f"sections/{name}.html").render(contents)
    return {"name": name, "title": contents["title"], "body": Markup(body)}


def environment(**values: Any) -> jinja2.Environment:
    """The templates, which all see `values`; `include_raw("style.css")` gives a file of theirs as it is."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=jinja2.select_autoescape(("html",)),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals |= values
    found.globals["include_raw"] = lambda name: Markup((TEMPLATES / name).read_text(encoding="utf-8"))
    return found
