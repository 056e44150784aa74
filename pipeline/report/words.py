"""Sentences and numbers in the reader's language."""

import functools
from collections.abc import Callable
from typing import Any

from markupsafe import Markup

from pipeline.report import indonesian, indonesian_findings

LANGUAGES = ("en", "id")
INDONESIAN = indonesian.SENTENCES | indonesian_findings.SENTENCES  # by the English ones
Say = Callable[..., Markup]


def say_in(language: str) -> Say:
    """say(sentence, name=value, ...): the English sentence in `language`, its {name}s filled in, safe in HTML."""

    def say(sentence: str, /, **values: Any) -> Markup:
        text = INDONESIAN.get(sentence, sentence) if language == "id" else sentence
        return Markup(text).format(**values) if values else Markup(text)

    return say


def number(value: float | None, form: str, language: str) -> str:
    """`value` as a reader sees it; None is a dash.

    Args:
        form: "" for counts and settings, a digit for that many decimals, "%" for percent of 1, "p" for a p value.
    """
    if value is None:
        return "\N{EN DASH}"
    if form == "p" and value < 0.001:
        return "< " + number(0.001, "3", language)
    formats = {"": ",", "%": ".1%", "p": ".3f"}
    text = format(value, formats.get(form, f",.{form}f")).replace("%", " %").replace("-", "\N{MINUS SIGN}")
    return text.translate(str.maketrans(",.", ".,")) if language == "id" else text


def figure_of(figures: dict[str, Any], language: str) -> Callable[..., Markup]:
    """figure("winner/f1_low", form): the number at that path of figures.json, which it names, so it can be checked."""

    def figure(path: str, form: str = "3") -> Markup:
        value = at(figures, path)
        shown = number(value, form, language)
        return Markup('<data data-figure="{}" value="{}">{}</data>').format(path, "" if value is None else value, shown)

    return figure


def at(figures: dict[str, Any], path: str) -> Any:
    """What stands at "name/name/index/name" of a JSON structure."""
    steps = [int(step) if step.isdecimal() else step for step in path.split("/")]
    return functools.reduce(lambda value, step: value[step], steps, figures)  # type: ignore[index]
