import pytest

from components.base.errors import PilahError
from components.data import class_folders, class_names


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("x" * 101, "has 101 characters, and 100 are the most"),
        ("紙" * 86, "has 258 bytes in UTF-8, and 255 are the most"),
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
def test_name_that_cannot_be_used_everywhere_is_refused_by_its_rule(name, reason):
    with pytest.raises(PilahError, match=reason) as refused:
        class_names.classes_of([name, "paper"])
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 250


@pytest.mark.parametrize(
    "name", ["=1+1", "Restmüll", "紙" * 85, "\u0645\u06cc\u200c\u062e\u0648", "♻\ufe0f", "a, b", "x" * 100, "-", "0"]
)
def test_usual_name_of_any_language_is_a_class(name):
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
def test_names_that_look_alike_are_refused_or_merged_into_the_first(first, second):
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


def test_all_pairs_are_named_in_one_line():
    names = [name for number in range(60) for name in (f"Class {number:02d}", f"class {number:02d}")]
    with pytest.raises(PilahError, match=r"'Class 00' and 'class 00', 'Class 01' .* and 55 more"):
        class_names.classes_of(names)


def test_merged_folders_are_one_class_and_named_in_a_warning(tmp_path, save_classes):
    root = save_classes(tmp_path, {"Glass": 2, "glass": 3, "Metal ": 2})
    scan = class_folders.scan([root], merge=True)
    assert scan.classes == ["Glass", "Metal"]
    assert [label for _, label in scan.photos].count("Glass") == 5
    assert scan.warnings == ["Some names of classes are changed: 'Metal ' as 'Metal', 'glass' as 'Glass'."]


def test_class_folder_with_blanks_at_its_end_alone_loses_them(tmp_path, save_classes):
    assert class_folders.scan([save_classes(tmp_path, {"glass": 2, "Metal ": 2})]).classes == ["Metal", "glass"]


def test_folders_that_merge_to_one_class_are_refused(tmp_path, save_classes):
    with pytest.raises(PilahError, match="must be 2 or more classes, and there is only Glass"):
        class_folders.scan([save_classes(tmp_path, {"Glass": 2, "glass": 3})], merge=True)
