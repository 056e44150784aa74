"""Configuration of Sphinx for `make docs`. The pages are Markdown that a code host shows as well."""

import pathlib
import re
import sys
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import components.base.version  # the name "version" is a setting of Sphinx

project = "Pilah"
release = components.base.version.VERSION
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
root_doc = "index"
myst_enable_extensions = ["html_image"]  # pictures with a width
myst_heading_anchors = 4  # the deepest level of headings that links point to
smartquotes = False  # they would join the dashes of options
html_theme = "furo"
html_title = f"Pilah {release}"
html_static_path = ["static"]
html_css_files = ["wide.css"]  # for tables
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False


def setup(app: Any) -> None:
    app.connect("source-read", adapt)


def adapt(app: Any, page: str, source: list[str]) -> None:
    """Adapt a page, whose source also reads well on a code host, to Sphinx.

    Files beside docs/, such as README.md, become downloads. The pages that index.md links to become the navigation.
    """
    source[0] = re.sub(r"\[([^\]]+)\]\((\.\./[\w-]+\.md)\)", r"{download}`\1 <\2>`", source[0])
    if page != root_doc:
        return
    for section in re.split(r"(?m)^## ", source[0])[1:]:
        caption, _, text = section.partition("\n")
        pages = dict.fromkeys(re.findall(r"\]\(([\w-]+)\.md\)", text))
        if pages:
            source[0] += "\n".join(["\n```{toctree}", ":hidden:", f":caption: {caption}", "", *pages, "```", ""])
