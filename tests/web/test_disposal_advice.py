import pytest
import web_app
from web_app import Browser, photo

from web import disposal_advice, settings

pytestmark = pytest.mark.databases("sqlite")  # no test depends on the database
LOCAL = """
[place]
en = "Example Town"

[classes.glass]
bin = "green"
en = "Take it to the <green> bin."
"""


def write(tmp_path, text):
    path = tmp_path / "rules.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_default_names_no_place_and_no_bin():
    rules = disposal_advice.read("")
    assert rules.place == {} and {advice.bin for advice in (*rules.classes.values(), rules.other)} == {""}


def test_file_in_the_documentation_is_valid(tmp_path):
    page = (web_app.ROOT / "docs" / "web-page.md").read_text(encoding="utf-8")
    rules = disposal_advice.read(write(tmp_path, page.partition("```toml")[2].partition("```")[0]))
    assert rules.place["en"] == "Example Town" and rules.classes["paper"].bin == "blue"


def test_local_rules_are_shown_with_their_place_and_bin(make_app, tmp_path):
    app = make_app(disposal_advice=write(tmp_path, LOCAL), serving_timeout_seconds=10.0)
    browser = Browser(app)
    page = browser.get(f"/result/{browser.uploaded(photo('glass'))}").text
    for words in (
        "Take it to the &lt;green&gt; bin.",
        "swatch-green",
        "Green bin",
        "Rules for <bdi>Example Town</bdi>.",
    ):
        assert words in page
    other = browser.get(f"/result/{browser.uploaded(photo('metal'))}").text
    assert "Ask your local waste service" in other and "swatch" not in other


def test_text_without_a_translation_is_shown_in_its_language(tmp_path):
    rules = disposal_advice.read(write(tmp_path, LOCAL))
    assert (
        rules.advice("glass").text("id") == "Take it to the <green> bin." and rules.place_name("id") == "Example Town"
    )


def test_file_without_traits_has_those_of_the_default(tmp_path):
    rules = disposal_advice.read(write(tmp_path, LOCAL))
    assert rules.traits_of(["glass", "PET", "metal"], "en") == {
        "glass": "heavy and cold; rings when you tap it",
        "metal": "cold and shiny; a magnet often sticks to it",
    }


def test_file_with_traits_has_these_alone(tmp_path):
    rules = disposal_advice.read(write(tmp_path, '[traits.PET]\nen = "clear"'))
    assert rules.traits_of(["glass", "PET"], "id") == {"PET": "clear"}


def test_file_of_a_windows_editor_is_read(tmp_path):
    assert disposal_advice.read(write(tmp_path, "\ufeff" + LOCAL)).place_name("en") == "Example Town"


FAULTS = {
    "missing file": (None, "No such file"),
    "no TOML": ("[", "end of document"),
    "too many nested lists": ("x = " + "[" * 100_000, "recursion"),
    "not UTF-8": (b"\xff", "utf-8"),
    "unknown table": ("[bins]", "bins"),
    "unknown language": ("[classes.glass]\nde = 'x'", "de"),
    "unknown colour": ("[classes.glass]\nbin = 'pink'\nen = 'x'", "'pink'"),
    "no text": ("[classes.glass]\nbin = 'red'", "[classes.glass] must have a text"),
    "empty text": ("[other]\nen = ' '", "1 to 300 characters"),
    "long text": (f"[other]\nen = '{'x' * 301}'", "1 to 300 characters"),
    "number": ("[other]\nen = 1", "1 to 300 characters"),
    "no table": ("classes = 1", "[classes] must be a table"),
    "class is no table": ("[classes]\nglass = 'x'", "[classes.glass] must be a table"),
    "traits are no table": ("traits = 1", "[traits] must be a table"),
    "trait is no table": ("[traits]\nglass = 'x'", "[traits.glass] must be a table"),
    "bin of a trait": ("[traits.glass]\nbin = 'red'", "[traits.glass]"),
    "bin of a place": ("[place]\nbin = 'red'", "[place]"),
}


@pytest.mark.parametrize(("content", "words"), FAULTS.values(), ids=FAULTS)
def test_file_with_a_fault_stops_the_start_with_one_line(make_app, tmp_path, content, words):
    path = tmp_path / "rules.toml"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SystemExit) as stopped:
        make_app(disposal_advice=str(path))
    message = str(stopped.value)
    assert message.startswith("web: DISPOSAL_ADVICE") and words in message and "\n" not in message
    assert str(path) in message


def test_every_default_text_is_short_and_in_each_language():
    rules = disposal_advice.read("")
    assert rules.traits.keys() == rules.classes.keys()
    for texts, limit in (
        *((advice.texts, 130) for advice in (*rules.classes.values(), rules.other)),
        *((texts, 60) for texts in rules.traits.values()),
    ):
        assert texts.keys() == settings.LANGUAGES.keys()
        assert max(map(len, texts.values())) <= limit
