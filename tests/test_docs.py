"""The pages in docs/ and README.md: they stay short and agree with the code that they describe."""

import ast
import functools
import inspect
import pathlib
import re

import pytest

from docs import settings_tables
from pipeline import cli
from pipeline import config as config_module

ROOT = pathlib.Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
MAX_PAGE_LINES = 250
MAX_README_LINES = 110
MAX_LINE_LENGTH = 140
OPTIONS_OF_OTHERS = {"--help", "--user"}  # of argparse and Typer, and of docker
OPTIONS_OF_OTHERS |= {"--dask_partition_size", "--flink_master", "--spark_master_url"}  # of Beam
CODE_FOLDERS = ("components", "pipeline", "tuner", "serving", "web")


def prose_lines(path: pathlib.Path) -> list[str]:
    """Return the lines outside of fenced blocks and tables."""
    text = re.sub(r"(?ms)^```.*?^```$", "", path.read_text("utf-8"))
    return [line for line in text.splitlines() if not line.startswith("|")]


@functools.cache
def texts_of_the_code() -> list[str]:
    """Return every string of the code, with \\0 for each value that an f-string inserts."""
    texts = [(ROOT / "Makefile").read_text("utf-8")]
    for path in (path for folder in CODE_FOLDERS for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "\0" for part in node.values]
                texts.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return texts


def quoted_messages(path: pathlib.Path) -> list[str]:
    return re.findall(r"(?m)^\| `(.+?)` \|", path.read_text("utf-8"))


@pytest.mark.parametrize("message", quoted_messages(ROOT / "docs" / "troubleshooting.md"))
def test_message_in_troubleshooting_is_one_of_the_code(message):
    parts = [part.strip() for part in message.split("...") if part.strip()]
    pattern = re.compile(".+".join(map(re.escape, parts)), re.DOTALL)
    assert any(pattern.search(text) for text in texts_of_the_code())


def test_troubleshooting_has_the_fifteen_most_likely_errors():
    assert len(quoted_messages(ROOT / "docs" / "troubleshooting.md")) == 15


def test_message_that_the_code_lacks_is_noticed():
    assert not any("There is no such message" in text for text in texts_of_the_code())


@pytest.mark.parametrize("name", settings_tables.PAGES)
def test_table_of_settings_is_up_to_date(name):
    page = (ROOT / "docs" / name).read_text("utf-8")
    assert settings_tables.updated(page) == page, "run: .venv/bin/python -m docs.settings_tables"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_page_has_at_most_250_lines(path):
    assert len(path.read_text("utf-8").splitlines()) <= MAX_PAGE_LINES


def test_readme_has_at_most_110_lines():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= MAX_README_LINES


@pytest.mark.parametrize("path", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES], ids=lambda path: path.name)
def test_lines_of_text_have_at_most_140_characters(path):
    assert [line for line in prose_lines(path) if len(line) > MAX_LINE_LENGTH] == []


def names_of_options() -> set[str]:
    """Return the options of the pipeline's commands, which their declarations do not spell with dashes."""
    callbacks = [command.callback for command in cli.app.registered_commands if command.callback]
    names = {name for callback in callbacks for name in inspect.signature(callback).parameters}
    flags = {config_module.flag(name) for name in names} | {f"--{name.replace('_', '-')}" for name in names}
    return flags | {flag.replace("--", "--no-", 1) for flag in flags}


@pytest.mark.parametrize("path", [ROOT / "README.md", *PAGES], ids=lambda path: path.name)
def test_option_in_the_text_is_one_of_the_code(path):
    text = re.sub(r"(?ms)^```.*?^```$", "", path.read_text("utf-8"))
    options = set(re.findall(r"`(--[a-z][\w-]+)", text))
    in_code = "\n".join([*texts_of_the_code(), (ROOT / "docker-compose.yml").read_text("utf-8")])
    unknown = {option for option in options - names_of_options() if option not in in_code}
    assert unknown <= OPTIONS_OF_OTHERS


def test_file_that_readme_links_to_exists():
    targets = re.findall(r'\]\(([^)#:]+)|src="([^":]+)"', (ROOT / "README.md").read_text("utf-8"))
    assert [target for pair in targets for target in pair if target and not (ROOT / target).exists()] == []
