"""Message catalogs of the web pages and of the report: complete, up to date, and compiled."""

import pathlib
import re
import subprocess
import sys

import pytest
from babel.messages import catalog, mofile, pofile
from flask import render_template_string

from components.demo import synthetic_photos
from pipeline.report import localization
from web import settings

pytestmark = pytest.mark.databases("sqlite")  # no test depends on the database
ROOT = pathlib.Path(__file__).parents[2]
CATALOGS = [
    pytest.param(folder, language, id=f"{folder} {language}")
    for folder, languages in (("web", settings.LANGUAGES), ("pipeline/report", localization.LANGUAGES))
    for language in languages
    if language != "en"
]
PLACEHOLDER = re.compile(r"%(?:\(\w+\))?.")  # also a lone %, which formatting would reject
NEXT_STEP = "run make translations, fill in the empty messages in {}/translations, then run make translations again"


def read(folder: str, language: str) -> catalog.Catalog:
    with (ROOT / folder / "translations" / language / "LC_MESSAGES" / "messages.po").open("rb") as file:
        return pofile.read_po(file, locale=language)


@pytest.fixture(scope="module")
def extracted(tmp_path_factory) -> dict[str, set[str]]:
    """Return a map of folder -> messages in its templates and code."""
    messages = {}
    for folder in ("web", "pipeline/report"):
        path = tmp_path_factory.mktemp("catalogs") / "messages.pot"
        command = [sys.executable, "-m", "babel.messages.frontend", "-q", "extract", "-F", "pyproject.toml"]
        subprocess.run([*command, "-o", str(path), folder], cwd=ROOT, check=True)
        with path.open("rb") as file:
            messages[folder] = {str(message.id) for message in pofile.read_po(file) if message.id}
    return messages


@pytest.mark.parametrize(("folder", "language"), CATALOGS)
def test_every_message_is_translated_and_none_is_obsolete(folder, language, extracted):
    translated = {message.id for message in read(folder, language) if message.string and not message.fuzzy}
    assert translated - {""} == extracted[folder], NEXT_STEP.format(folder)


@pytest.mark.parametrize(("folder", "language"), CATALOGS)
def test_translation_keeps_the_placeholders(folder, language):
    messages = read(folder, language)
    assert [(message.id, faults) for message, faults in messages.check()] == []
    for message in messages:
        assert sorted(PLACEHOLDER.findall(str(message.id))) == sorted(PLACEHOLDER.findall(str(message.string)))


@pytest.mark.parametrize(("folder", "language"), CATALOGS)
def test_compiled_catalog_is_up_to_date(folder, language):
    po = read(folder, language)
    with (ROOT / folder / "translations" / language / "LC_MESSAGES" / "messages.mo").open("rb") as file:
        compiled = {message.id: message.string for message in mofile.read_mo(file) if message.id}
    assert compiled == {message.id: message.string for message in po if message.id}, NEXT_STEP.format(folder)


@pytest.mark.parametrize("language", [language for language in settings.LANGUAGES if language != "en"])
def test_classes_and_their_advice_are_in_each_language(app, language):
    label = "{% from 'parts.html' import class_label %}{{ class_label(name) }}"
    with app.test_request_context(headers={"Accept-Language": language}):
        labels = [render_template_string(label, name=name) for name in (*synthetic_photos.CLASSES, "another")]
    rules = app.config["DISPOSAL_ADVICE"]
    sentences = {rules.advice(name).text(language) for name in (*synthetic_photos.CLASSES, "another")}
    assert not {*synthetic_photos.CLASSES} & {*labels}
    assert labels[-1] == "another"
    assert len(sentences) == len(synthetic_photos.CLASSES) + 1
