"""Class names: check that they can be used everywhere, and find different spellings of the same class."""

import collections
import unicodedata
from collections.abc import Collection, Mapping

from components.base.errors import PilahError
from components.data import folders

MAX_CHARACTERS = 100  # of the class columns in the web page's database
MAX_BYTES = 255  # of a folder name in most file systems; corrections are exported to FOLDER/CLASS
# line and paragraph separators, control characters and invisible ones; JOINERS, which shape letters, are allowed
UNUSABLE_CATEGORIES = ("Cc", "Cf", "Cs", "Zl", "Zp")
JOINERS = "\u200c\u200d"
NAMES_SHOWN = 5  # in a message
CHARACTERS_SHOWN = 60  # of a name in a message


def composed(name: str) -> str:
    """Return `name` in Unicode's composed form (NFC), since macOS stores accents as separate characters."""
    return unicodedata.normalize("NFC", name)


def label_of(name: str) -> str:
    """Return the class of a folder or table entry `name`: composed, with single blanks between words."""
    return " ".join(composed(name).split())


def key(name: str) -> str:
    """Return a key that is equal for names that a reader would take for the same class."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return " ".join("".join(character for character in folded if character not in JOINERS).split()).rstrip(" .")


def classes_of(names: Collection[str], *, merge: bool = False, known: Collection[str] = ()) -> dict[str, str]:
    """Return name -> class of all `names`, which must be composed.

    Args:
        merge: whether names that look alike are one class. Its name is the one in `known` that looks like them, or
            else the first of them by code point, such as Glass for glass and Glass.

    Raises:
        PilahError: a name cannot be used, or two look alike and `merge` is not set.
    """
    for name in sorted(names):
        if broken_rule := problem(name):
            raise PilahError(f"Class name {_shortened(name)} {broken_rule}. Rename the class.")
    groups = collections.defaultdict(list)  # key -> names
    for name in sorted(names):
        groups[key(name)].append(name)
    if not merge:
        _check_distinct([group for group in groups.values() if len(group) > 1])
        return {name: label_of(name) for name in names}
    known_names = {key(name): name for name in sorted(known, reverse=True)}
    merged = {name_key: known_names.get(name_key, min(map(label_of, group))) for name_key, group in groups.items()}
    return {name: merged[key(name)] for name in names}


def warnings(class_of: Mapping[str, str]) -> list[str]:
    """Return a sentence for the user if some names differ from their classes; `class_of` is name -> class."""
    changed = [
        f"{_shortened(name)} to {_shortened(label)}" for name, label in sorted(class_of.items()) if name != label
    ]
    return [f"Some class names were changed: {joined(changed)}."] if changed else []


def joined(names: Collection[str]) -> str:
    """Return the first names and the number of the rest as text."""
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(list(names)[:NAMES_SHOWN]) + more


def problem(name: str) -> str:
    """Return the rule that a name breaks; empty if it can be used."""
    label = label_of(name)
    if any(unicodedata.category(letter) in UNUSABLE_CATEGORIES and letter not in JOINERS for letter in name):
        return "has control characters or invisible characters"
    if "/" in label or "\\" in label:
        return "has a slash or a backslash, which separate folders"
    if label.startswith(folders.HIDDEN_PREFIXES):
        return f"starts with {' or '.join(folders.HIDDEN_PREFIXES)}, as hidden folders do"
    if not key(name):
        return "has no letters"
    if len(label) > MAX_CHARACTERS:
        return f"has {len(label)} characters, more than the maximum of {MAX_CHARACTERS}"
    if (size_bytes := len(label.encode())) > MAX_BYTES:
        return f"has {size_bytes} bytes in UTF-8, more than the maximum of {MAX_BYTES}"
    return ""


def _check_distinct(groups: Collection[Collection[str]]) -> None:
    if groups:
        pairs = [" and ".join(map(_shortened, group)) for group in groups]
        raise PilahError(
            f"Class names differ only in case or blanks, final dots or the width of letters: {joined(pairs)}. Rename "
            "them, or merge them with --merge-classes."
        )


def _shortened(name: str) -> str:
    return repr(name if len(name) <= CHARACTERS_SHOWN else f"{name[:CHARACTERS_SHOWN]}...")
