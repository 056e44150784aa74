import pytest

from components.base.errors import PilahError
from components.data import class_folders, class_names


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("x" * 101, "has 101 characters, more than the maximum of 100"),
        ("紙" * 86, "has 258 bytes in UTF-8, more than the maximum of 255"),
        ("glass\nmetal", "control characters"),
        ("glass\u202emetal", "invisible"),
        ("..", "starts with . or __MACOSX"),
        (".hidden", "starts with . or __MACOSX"),
        ("__MACOSX", "starts with . or __MACOSX"),
        ("../../x", "slash"),
        ("a\\b", "slash or a backslash"),
        ("\u3000 ", "no letters"),
        ("", "no letters"),
    ],
)
def test_unusable_name_raises_with_the_rule(name, reason):
    with pytest.raises(PilahError, match=reason) as refused:
        class_names.classes_of([name, "paper"])
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 250


@pytest.mark.parametrize(
    "name", ["=1+1", "Restmüll", "紙" * 85, "\u0645\u06cc\u200c\u062e\u0648", "♻\ufe0f", "a, b", "x" * 100, "-", "0"]
)
def test_name_in_any_language_is_a_class(name):
    assert class_names.classes_of([name]) == {name: name}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Glass", "glass"),
        ("Metal", "Metal "),
        ("Metal", "Metal."),
        ("paper cup", "paper\u00a0cup"),
        ("paper cup", " paper   cup"),
        ("Glass", "\uff27lass"),
        ("STRASSE", "Straße"),
        ("glass", "gl\u200dass"),
    ],
)
def test_names_that_look_alike_raise_or_are_merged_into_the_first(first, second):
    with pytest.raises(PilahError, match=r"differ only in case or blanks.*--merge-classes") as refused:
        class_names.classes_of([second, first, "paper"])
    assert repr(first) in str(refused.value) and repr(second) in str(refused.value)
    merged = class_names.classes_of([second, first, "paper"], merge=True)
    assert merged == {first: first, second: first, "paper": "paper"}


def test_names_that_look_like_a_known_class_are_merged_into_it():
    merged = class_names.classes_of(["GLASS", "Glass"], merge=True, known=["glass", "metal"])
    assert merged == {"GLASS": "glass", "Glass": "glass"}


@pytest.mark.parametrize("first", ["e-waste", "paper_cup", "glass1"])
def test_names_with_other_characters_are_two_classes(first):
    second = first.translate({ord("-"): "", ord("_"): " ", ord("1"): "2"})
    assert len({*class_names.classes_of([first, second]).values()}) == 2


def test_many_pairs_are_shortened_to_one_line():
    names = [name for number in range(60) for name in (f"Class {number:02d}", f"class {number:02d}")]
    with pytest.raises(PilahError, match=r"'Class 00' and 'class 00', 'Class 01' .* and 55 more"):
        class_names.classes_of(names)


def test_merged_folders_are_one_class_with_a_warning(tmp_path, save_classes):
    root = save_classes(tmp_path, {"Glass": 2, "glass": 3, "Metal ": 2})
    scan = class_folders.scan([root], merge=True)
    assert scan.classes == ["Glass", "Metal"]
    assert [label for _, label in scan.photos].count("Glass") == 5
    assert scan.warnings == ["Some class names were changed: 'Metal ' to 'Metal', 'glass' to 'Glass'."]


def test_blanks_at_the_end_of_a_class_folder_are_removed(tmp_path, save_classes):
    assert class_folders.scan([save_classes(tmp_path, {"glass": 2, "Metal ": 2})]).classes == ["Metal", "glass"]


def test_folders_that_merge_to_one_class_raise(tmp_path, save_classes):
    with pytest.raises(PilahError, match=r"must be 2 or more classes \(got Glass\)"):
        class_folders.scan([save_classes(tmp_path, {"Glass": 2, "glass": 3})], merge=True)
