"""Parse a report's HTML for tests."""

import html.parser

from components.base import artifacts
from pipeline import config
from pipeline.report import localization, page
from pipeline.report.source import Source


class Reader(html.parser.HTMLParser):
    """The tables of a page as rows of text, its figures with their paths in figures.json, and its tags."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.figures, self.tables, self._texts = [], [], {}, []
        self._table, self._figure, self._silent = None, None, False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
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

    def handle_endtag(self, tag):
        if tag == "data":
            self._figure = None
        elif tag in ("style", "script", "svg"):
            self._silent = False
        elif tag == "table":
            self._table = None

    def handle_data(self, data):
        if self._silent:
            return
        self._texts.append(data)
        if self._figure:
            self._figure[2] += data
        if self._table and self._table[-1]:
            self._table[-1][-1] = f"{self._table[-1][-1]}{data}".strip()

    @property
    def text(self):
        return " ".join(" ".join(self._texts).split())


def read(run_dir):
    return Reader((run_dir / "report" / "index.html").read_text(encoding="utf-8"))


def rows_of(table):
    """Return the rows of a table as header -> cell."""
    header, *rows = table
    return [dict(zip(header, row, strict=True)) for row in rows if len(row) == len(header)]


def of(run_dir):
    """Return the source and the template environment of a page in English, by the run's figures.json."""
    figures = artifacts.read_json(run_dir / "report" / "figures.json")
    return with_figures(run_dir, figures)


def with_figures(run_dir, figures):
    """Return the same as `of`, with other figures."""
    gettext, figure = localization.translator("en"), localization.figure_tags(figures, "en")
    source = Source(config.read(run_dir), run_dir / "report", figures, gettext, figure)
    return source, page.environment(figures=figures, _=gettext, figure=figure, language="en")
