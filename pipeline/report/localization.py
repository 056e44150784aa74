"""Text and numbers in the reader's language."""

import functools
import gettext
import pathlib
from collections.abc import Callable
from typing import Any

from markupsafe import Markup

from components.base import rounding

LANGUAGES = ("en", "id")
TRANSLATIONS = pathlib.Path(__file__).with_name("translations")
Gettext = Callable[..., Markup]
DECIMALS = {"%": 3, "0%": 2, "p": 3}  # of the share or p value itself


def translator(language: str) -> Gettext:
    """Return `_(message, name=value, ...)`: `message` in `language`, its %(name)s filled in and escaped for HTML."""
    catalog = gettext.translation("messages", TRANSLATIONS, [language], fallback=language == "en")

    def translate(message: str, /, **values: Any) -> Markup:
        text = catalog.gettext(message)
        return Markup(text) % values  # nosec B704 # the text is ours, and % escapes the values

    return translate


def format_number(value: float | None, style: str, language: str) -> str:
    """Format `value` for a reader; None becomes a dash, and 0.9999 with three decimals "> 0.999", see rounding.limit.

    Args:
        style: "" for counts and settings, a digit for that many decimals, "%" for shares and "0%" for whole percent,
            "points" for percentage points without their unit, "p" for a p value.
    """
    if value is None:
        return "\N{EN DASH}"
    if style == "p" and value < 0.001:
        return "< " + format_number(0.001, "3", language)
    if style == "p" and value < 0.05 <= round(value, 3):  # 0.0497 is below the threshold
        return "< " + format_number(0.05, "3", language)
    sign = ""
    if style == "points":
        value, style = 100 * value, "1"
    if style:
        sign, value = rounding.limit(value, int(style) if style.isdecimal() else DECIMALS[style])
    formats = {"": ",", "%": ".1%", "0%": ".0%", "p": ".3f"}
    text = format(value, formats.get(style, f",.{style}f")).replace("%", " %").replace("-", "\N{MINUS SIGN}")
    text = f"{sign} {text}".lstrip()
    return text.translate(str.maketrans(",.", ".,")) if language == "id" else text


def figure_tags(figures: dict[str, Any], language: str) -> Callable[..., Markup]:
    """Return `figure(path, style)`: the number at `path` of figures.json, in an HTML tag that names the path."""

    def figure(path: str, style: str = "3") -> Markup:
        value = value_at(figures, path)
        text = format_number(value, style, language)
        return Markup('<data data-figure="{}" value="{}">{}</data>').format(path, "" if value is None else value, text)

    return figure


def value_at(figures: dict[str, Any], path: str) -> Any:
    """Return the value at a path such as "scenarios/0/f1" of a JSON structure."""
    return functools.reduce(
        lambda value, step: value[int(step)] if isinstance(value, list) else value[step], path.split("/"), figures
    )
