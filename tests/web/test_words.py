"""The words of the pages in every language: all there, and compiled as they are written."""

import pathlib
import subprocess
import sys

import pytest
from babel.messages import catalog, mofile, pofile
from flask import render_template_string

import web
from components.demo import synthetic_photos
from web import advice

ROOT = pathlib.Path(__file__).parents[2]
WORDS = ROOT / "web" / "translations"
OTHERS = [language for language in web.LANGUAGES if language != "en"]
NEXT_STEP = "make words, then translate what is empty in web/translations, then make words again"


def read(language: str) -> catalog.Catalog:
    with (WORDS / language / "LC_MESSAGES" / "messages.po").open("rb") as file:
        return pofile.read_po(file, locale=language)


@pytest.fixture(scope="module")
def on_the_pages(tmp_path_factory) -> set[str]:
    """Every sentence of the templates and of the code."""
    path = tmp_path_factory.mktemp("words") / "messages.pot"
    extract = [sys.executable, "-m", "babel.messages.frontend", "-q", "extract", "-F", "web/babel.cfg", "-o", str(path)]
    subprocess.run([*extract, "web"], cwd=ROOT, check=True)
    with path.open("rb") as file:
        return {message.id for message in pofile.read_po(file) if message.id}


@pytest.mark.parametrize("language", OTHERS)
def test_every_sentence_is_translated_and_none_is_left_over(language, on_the_pages):
    translated = {message.id for message in read(language) if message.id and message.string and not message.fuzzy}
    assert translated == on_the_pages, NEXT_STEP


@pytest.mark.parametrize("language", OTHERS)
def test_translation_keeps_the_places_for_values(language):
    assert [(message.id, faults) for message, faults in read(language).check()] == []


@pytest.mark.parametrize("language", OTHERS)
def test_compiled_words_are_those_that_are_written(language):
    with (WORDS / language / "LC_MESSAGES" / "messages.mo").open("rb") as file:
        compiled = {message.id: message.string for message in mofile.read_mo(file) if message.id}
    assert compiled == {message.id: message.string for message in read(language) if message.id}, NEXT_STEP


@pytest.mark.parametrize("language", OTHERS)
def test_classes_and_their_advice_have_words_of_their_own(app, language):
    label = "{% from 'parts.html' import class_label %}{{ class_label(name) }}"
    with app.test_request_context(headers={"Accept-Language": language}):
        labels = [render_template_string(label, name=name) for name in (*synthetic_photos.CLASSES, "another")]
        sentences = {advice.of(name) for name in (*synthetic_photos.CLASSES, "another")}
    assert not {*synthetic_photos.CLASSES} & {*labels}
    assert labels[-1] == "another"
    assert len(sentences) == len(synthetic_photos.CLASSES) + 1
