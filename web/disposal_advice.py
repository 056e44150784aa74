"""Disposal advice and traits of each class, from a TOML file that an operator can replace by local rules."""

import dataclasses
import pathlib
import tomllib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from web import settings

DEFAULT_FILE = pathlib.Path(__file__).with_suffix(".toml")
BIN_COLOURS = ("black", "blue", "brown", "green", "grey", "orange", "red", "white", "yellow")
MAX_CHARACTERS = 300  # of a text, which a phone shows in a few lines


@dataclasses.dataclass(frozen=True)
class Advice:
    """What to do with an item of a class.

    Attributes:
        texts: language -> text.
        bin: one of `BIN_COLOURS`, or "" if it is not known.
    """

    texts: Mapping[str, str]
    bin: str = ""

    def text(self, language: str) -> str:
        return _in_language(self.texts, language)


@dataclasses.dataclass(frozen=True)
class Rules:
    """The advice of a file.

    Attributes:
        place: language -> name of the place that the rules hold for; empty if they hold anywhere.
        classes: class -> advice.
        other: advice for all other classes.
        traits: class -> language -> what distinguishes it from others.
    """

    place: Mapping[str, str]
    classes: Mapping[str, Advice]
    other: Advice
    traits: Mapping[str, Mapping[str, str]]

    def place_name(self, language: str) -> str:
        return _in_language(self.place, language) if self.place else ""

    def advice(self, class_name: str | None) -> Advice:
        return self.classes.get(class_name or "", self.other)

    def traits_of(self, classes: Sequence[str], language: str) -> dict[str, str]:
        """Return class -> what distinguishes it from others, of those classes for which the file says it."""
        return {name: _in_language(self.traits[name], language) for name in classes if name in self.traits}


def read(path: str) -> Rules:
    """Return the rules in a file; "" is the default file.

    Raises:
        SettingsError: the file cannot be read, or has a fault.
    """
    try:
        document = tomllib.loads(pathlib.Path(path or DEFAULT_FILE).read_text(encoding="utf-8-sig"))
        return _parse(document)
    except OSError as error:
        raise settings.SettingsError(
            f"DISPOSAL_ADVICE must be a file that can be read (got {path}: {error.strerror}). "
            "Unset it for the default advice."
        ) from error
    except (ValueError, RecursionError) as error:  # also of invalid TOML or UTF-8, or of too many nested lists
        reason = " ".join(str(error).split())
        raise settings.SettingsError(
            f"DISPOSAL_ADVICE {path}: {reason}. Write it like {DEFAULT_FILE}, or unset it for the default advice."
        ) from error


def _parse(document: Mapping[str, Any]) -> Rules:
    """Convert a file's content; raise ValueError with the rule that it breaks."""
    _check_keys(document, ("place", "classes", "other", "traits"), "the file")
    classes = _table(document.get("classes", {}), "[classes]")
    traits = _table(document["traits"], "[traits]") if "traits" in document else read("").traits
    return Rules(
        place=_texts(document["place"], "[place]") if "place" in document else {},
        classes={name: _advice(value, f"[classes.{name}]") for name, value in classes.items()},
        other=_advice(document["other"], "[other]") if "other" in document else read("").other,
        traits={name: _texts(value, f"[traits.{name}]") for name, value in traits.items()},
    )


def _advice(value: Any, location: str) -> Advice:
    table = dict(_table(value, location))
    _check_keys(table, (*settings.LANGUAGES, "bin"), location)
    colour = table.pop("bin", "")
    if colour not in ("", *BIN_COLOURS):
        raise ValueError(f"bin in {location} must be one of {', '.join(BIN_COLOURS)} (got {colour!r})")
    return Advice(_texts(table, location), colour)


def _texts(value: Any, location: str) -> Mapping[str, str]:
    table = _table(value, location)
    _check_keys(table, settings.LANGUAGES, location)
    for language, text in table.items():
        if not isinstance(text, str) or not 0 < len(text.strip()) <= MAX_CHARACTERS:
            raise ValueError(f"{language} in {location} must be a text of 1 to {MAX_CHARACTERS} characters")
    if not table:
        raise ValueError(f"{location} must have a text in one of the languages {', '.join(settings.LANGUAGES)}")
    return table


def _table(value: Any, location: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{location} must be a table")
    return value


def _check_keys(table: Mapping[str, Any], known: Collection[str], location: str) -> None:
    for key in table:
        if key not in known:
            raise ValueError(f"{location} may have {', '.join(known)} (got {key})")


def _in_language(texts: Mapping[str, str], language: str) -> str:
    """Return the text in `language`, or else in the first language that has one."""
    return texts.get(language) or next(iter(texts.values()))
