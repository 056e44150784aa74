"""Parse a report's HTML for tests."""

import html.parser
import pathlib
from typing import Any

import jinja2

from components.base import artifacts
from pipeline import config
from pipeline.report import localization, page
from pipeline.report.source import Source


class Reader(html.parser.HTMLParser):
    """Parse a page into tables of text, figures with their paths in figures.json, and tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.figures: list[list[Any]] = []
        self.tables: dict[str | None, list[list[str]]] = {}
        self._texts: list[str] = []
        self._table: list[list[str]] = []
        self._figure: list[Any] = []
        self._silent = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        self._silent = tag in ("style", "script", "svg") or (self._silent and tag not in ("body", "section"))
        if tag == "table":
            self._table = self.tables.setdefault(attributes.get("id"), [])
        elif tag == "tr":
            self._table.append([])
        elif tag in ("td", "th"):
            self._table[-1].append("")
        elif tag == "data":
            self._figure = [attributes["data-figure"], attributes["value"], ""]
            self.figures.append(self._figure)

    def handle_endtag(self, tag: str) -> None:
        if tag == "data":
            self._figure = []
        elif tag in ("style", "script", "svg"):
            self._silent = False
        elif tag == "table":
            self._table = []

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        self._texts.append(data)
        if self._figure:
            self._figure[2] += data
        if self._table and self._table[-1]:
            self._table[-1][-1] = f"{self._table[-1][-1]}{data}".strip()

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._texts).split())


def read(run_dir: pathlib.Path) -> Reader:
    return Reader((run_dir / "report" / "index.html").read_text(encoding="utf-8"))


def rows_of(table: list[list[str]]) -> list[dict[str, str]]:
    """Return the rows of a table as header -> cell."""
    header, *rows = table
    return [dict(zip(header, row, strict=True)) for row in rows if len(row) == len(header)]


def of(run_dir: pathlib.Path) -> tuple[Source, jinja2.Environment]:
    """Return the source and template environment of a page in English, from the run's figures.json."""
    figures = artifacts.read_json(run_dir / "report" / "figures.json")
    return with_figures(run_dir, figures)


def with_figures(run_dir: pathlib.Path, figures: dict[str, Any]) -> tuple[Source, jinja2.Environment]:
    """Return the same as `of` for other figures."""
    gettext, figure = localization.translator("en"), localization.figure_tags(figures, "en")
    source = Source(config.read(run_dir), figures, gettext, figure)
    return source, page.environment(figures=figures, _=gettext, figure=figure, language="en")
