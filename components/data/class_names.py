"""Names of classes: which can be used everywhere, and which are one class that is written in two ways."""

import collections
import unicodedata
from collections.abc import Collection, Mapping

from components.base.errors import PilahError
from components.data import folders

MAX_CHARACTERS = 100  # of the columns for classes in the database of the web page
MAX_BYTES = 255  # of a folder's name in most file systems: corrections are exported to FOLDER/CLASS
# line and paragraph separators, control characters, and invisible ones, but for those that shape letters and emoji
UNUSABLE_CATEGORIES = ("Cc", "Cf", "Cs", "Zl", "Zp")
JOINERS = "\u200c\u200d"
NAMES_SHOWN = 5  # in a message
CHARACTERS_SHOWN = 60  # of a name in a message


def composed(name: str) -> str:
    """Return `name` in Unicode's composed form (NFC), since macOS stores accents as separate characters."""
    return unicodedata.normalize("NFC", name)


def label_of(name: str) -> str:
    """Return the class that a folder or a file of labels calls `name`: composed, with single blanks between words."""
    return " ".join(composed(name).split())


def key(name: str) -> str:
    """Return what the names have in common that a reader takes for the same class."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return " ".join("".join(character for character in folded if character not in JOINERS).split()).rstrip(" .")


def classes_of(names: Collection[str], *, merge: bool = False, known: Collection[str] = ()) -> dict[str, str]:
    """Return name -> class of all `names`, which are composed.

    Args:
        merge: whether names that look alike are one class. It has the name among `known` that looks like them,
            otherwise the first of theirs by code point, such as Glass of glass and Glass.

    Raises:
        PilahError: a name cannot be used, or two look alike and `merge` is not set.
    """
    for name in sorted(names):
        if broken_rule := problem(name):
            raise PilahError(f"Class name {_shown(name)} {broken_rule}. Rename the class.")
    alike = collections.defaultdict(list)  # key -> names
    for name in sorted(names):
        alike[key(name)].append(name)
    if not merge:
        _check_none_alike([group for group in alike.values() if len(group) > 1])
        return {name: label_of(name) for name in names}
    known_names = {key(name): name for name in sorted(known, reverse=True)}
    merged = {looks: known_names.get(looks, min(map(label_of, group))) for looks, group in alike.items()}
    return {name: merged[key(name)] for name in names}


def warnings(class_of: Mapping[str, str]) -> list[str]:
    """Return a sentence for the user if some names differ from those of their classes; `class_of` is name -> class."""
    changed = [f"{_shown(name)} as {_shown(label)}" for name, label in sorted(class_of.items()) if name != label]
    return [f"Some names of classes are changed: {joined(changed)}."] if changed else []


def joined(names: Collection[str]) -> str:
    """Return the first names, and the number of the others, as text."""
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(list(names)[:NAMES_SHOWN]) + more


def problem(name: str) -> str:
    """Return the rule that a name breaks; empty if it can be used."""
    label = label_of(name)
    if any(unicodedata.category(letter) in UNUSABLE_CATEGORIES and letter not in JOINERS for letter in name):
        return "has control characters or invisible ones"
    if "/" in label or "\\" in label:
        return "has a slash or a backslash, which separate folders"
    if label.startswith(folders.HIDDEN_PREFIXES):
        return f"starts with {' or '.join(folders.HIDDEN_PREFIXES)}, as hidden folders do"
    if not key(name):
        return "has no letters"
    if len(label) > MAX_CHARACTERS:
        return f"has {len(label)} characters, and {MAX_CHARACTERS} are the most"
    if (size_bytes := len(label.encode())) > MAX_BYTES:
        return f"has {size_bytes} bytes in UTF-8, and {MAX_BYTES} are the most"
    return ""


def _check_none_alike(groups: Collection[Collection[str]]) -> None:
    if groups:
        pairs = [" and ".join(map(_shown, group)) for group in groups]
        raise PilahError(
            f"Class names differ only in case or blanks, dots at the end or the width of letters: {joined(pairs)}. "
            "Give them one name, or names that differ, or merge them with --merge-classes."
        )


def _shown(name: str) -> str:
    return repr(name if len(name) <= CHARACTERS_SHOWN else f"{name[:CHARACTERS_SHOWN]}...")
