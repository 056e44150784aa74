"""The report of a run: one self-contained HTML page, with figures.json beside it."""

import pathlib
import re
import shutil
from collections.abc import Callable, Sequence
from typing import Any

import jinja2
from markupsafe import Markup

from components.base import artifacts
from pipeline import config as config_module
from pipeline import run_folder
from pipeline.report import figures as figures_module
from pipeline.report import localization, sections
from pipeline.report.source import Contents, Source

TEMPLATES = pathlib.Path(__file__).with_name("templates")


def write(run_dir: pathlib.Path, language: str, stages_left: Sequence[str]) -> pathlib.Path:
    """Write report/index.html and figures.json in the run folder and return the path of index.html.

    Args:
        language: "en" or "id".
        stages_left: names of the stages that have not finished.

    Raises:
        PilahError: `run_dir` is not a run folder.
    """
    config = config_module.read(run_dir)
    folder = run_dir / run_folder.REPORT
    figures = figures_module.compute(config)
    shutil.rmtree(folder / "confusion", ignore_errors=True)  # pictures of earlier versions
    artifacts.write_json(run_dir / run_folder.FIGURES, figures)
    gettext, figure = localization.translator(language), localization.figure_tags(figures, language)
    source = Source(config, figures, gettext=gettext, figure=figure)
    jinja = environment(figures=figures, language=language, _=gettext, figure=figure, backbone=source.backbone)
    contents = [section_html for section in sections.SECTIONS if (section_html := render(section, source, jinja))]
    html = jinja.get_template("page.html").render(sections=contents, stages_left=stages_left)
    with artifacts.atomic_write(folder / "index.html") as temporary:
        temporary.write_text(html, encoding="utf-8")
    return folder / "index.html"


def language_of(run_dir: pathlib.Path) -> str:
    """Return the language of the page in the run folder, or "en" if there is no page."""
    path = run_dir / run_folder.PAGE
    match = (
        re.search(r'<html lang="(\w+)"', path.read_text(encoding="utf-8", errors="replace")) if path.exists() else None
    )
    return match[1] if match else "en"


def render(
    section: Callable[[Source], Contents], source: Source, jinja: jinja2.Environment
) -> dict[str, str | Markup] | None:
    """Return name, title and HTML of a section, or None if it has nothing to show."""
    contents = section(source)
    if contents is None:
        return None
    name = section.__name__
    body = jinja.get_template(f"sections/{name}.html").render(contents)
    return {"name": name, "title": contents["title"], "body": Markup(body)}  # nosec B704 # of a template with autoescape


def environment(**values: Any) -> jinja2.Environment:
    """Return the template environment with `values` and `include_raw(file)`, which inserts a file unescaped."""
    jinja = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=jinja2.select_autoescape(("html",)),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.globals |= values
    jinja.globals["include_raw"] = include_raw
    return jinja


def include_raw(name: str) -> Markup:
    text = (TEMPLATES / name).read_text(encoding="utf-8")
    return Markup(text)  # nosec B704 # a file of ours
