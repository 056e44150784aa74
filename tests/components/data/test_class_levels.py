import collections
import os

import pytest

from components.base.errors import PilahError
from components.data import class_folders

COUNTS = {"glass": 7, "metal": 5, "paper": 11}


def scan(*roots):
    return class_folders.scan(roots)


def counts(*roots):
    """Return class -> number of its files."""
    return collections.Counter(label for _, label in scan(*roots).photos)


def test_train_and_test_folders_raise_with_their_names(tmp_path, save_classes):
    for part in ("train", "test"):
        save_classes(tmp_path / part, {"glass": 2, "metal": 2})
        (tmp_path / part / "labels.csv").write_text("beside the class folders")
    with pytest.raises(PilahError, match=f"test, train are parts of a split.*--images {tmp_path / 'test'} --images"):
        scan(tmp_path)
    assert counts(tmp_path / "train", tmp_path / "test") == {"glass": 4, "metal": 4}


def test_train_folder_next_to_a_flat_test_folder_raises(tmp_path, save_classes, save_photo):
    save_classes(tmp_path / "Train", {"glass": 2, "metal": 2})
    save_photo(tmp_path / "test" / "unknown.png", 1)
    with pytest.raises(
        PilahError, match=rf"are parts of a split.*--images {tmp_path / 'Train'} --images {tmp_path / 'test'};"
    ):
        scan(tmp_path)
    assert counts(tmp_path / "Train") == {"glass": 2, "metal": 2}


def test_class_named_like_a_split_is_a_class_if_it_has_photos(tmp_path, save_classes):
    assert counts(save_classes(tmp_path, {"train": 2, "tram": 2})) == {"train": 2, "tram": 2}


def test_composed_and_decomposed_accents_are_one_class(tmp_path, save_classes):
    for root, accent in (("linux", "caf\u00e9"), ("macos", "cafe\u0301")):
        save_classes(tmp_path / root, {accent: 2, "tea": 2})
    assert counts(tmp_path / "linux", tmp_path / "macos") == {"caf\u00e9": 4, "tea": 4}


def test_class_folders_with_one_subfolder_each_are_classes(tmp_path, save_classes):
    result = scan(save_classes(tmp_path, {"glass/photos": 2, "metal/photos": 2}))
    assert result.classes == ["glass", "metal"] and len(result.photos) == 4
    assert result.warnings == [
        "2 classes have photos only in subfolders, such as photos in glass. All of them count for the class."
    ]


def test_hidden_folder_above_the_photos_does_not_hide_them(tmp_path, save_classes):
    assert counts(save_classes(tmp_path / ".cache" / "photos", COUNTS)) == COUNTS


@pytest.mark.parametrize(
    ("files", "got"),
    [
        ([], "none"),
        (["a.jpg"], "none"),
        (["glass/a.jpg"], "only glass"),
        (["x/glass/a.jpg"], "only glass"),
        ([".hidden/a.jpg"], "none"),
    ],
)
def test_fewer_than_two_classes_raise_with_their_names(tmp_path, files, got):
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"photo")
    with pytest.raises(PilahError, match=f"must have 2 or more class folders.*{tmp_path} has {got}"):
        scan(tmp_path)


def test_second_folder_with_one_class_adds_to_it(tmp_path, save_classes, save_photo):
    first = save_classes(tmp_path / "first", {"glass": 3, "metal": 3})
    save_photo(tmp_path / "second" / "glass" / "corrected.png", seed=99)
    assert counts(first, tmp_path / "second") == {"glass": 4, "metal": 3}


@pytest.mark.parametrize(
    "photos_in",
    [
        {"train/images/glass": 2, "train/images/metal": 2, "test/images/glass": 2, "test/images/metal": 2},
        {"train/glass": 2, "test/glass": 2},
        {"train": 2, "test": 2},
        {"dev/glass": 2, "dev/metal": 2, "eval/glass": 2},
        {"kitchen/glass": 2, "kitchen/metal": 2, "garage/glass": 2, "garage/metal": 2, "attic/paper": 2},
    ],
    ids=["one folder deeper", "one class", "flat", "other names", "some of several"],
)
def test_folders_that_look_like_a_split_raise(tmp_path, save_classes, photos_in):
    with pytest.raises(PilahError, match="cross-validation splits them"):
        scan(save_classes(tmp_path, photos_in))


def test_classes_with_a_split_inside_each_are_classes(tmp_path, save_classes):
    photos_in = {f"{label}/{part}": 2 for label in ("glass", "metal") for part in ("train", "test")}
    assert counts(save_classes(tmp_path, photos_in)) == {"glass": 4, "metal": 4}


def test_same_subfolders_in_two_classes_give_a_warning(tmp_path, save_classes):
    root = save_classes(tmp_path, {f"{label}{inner}": 2 for label in ("a", "b") for inner in ("", "/glass", "/metal")})
    assert scan(root).warnings == [
        "1 pairs of classes have subfolders with the same names, such as glass, metal in a and b. Photos in them count "
        "for the class folder above them."
    ]


@pytest.mark.parametrize(("first", "second"), [("glass", "Glass"), ("glass", "glass "), ("Straße", "STRASSE")])
def test_class_names_that_differ_only_in_case_or_blanks_raise(tmp_path, save_classes, first, second):
    with pytest.raises(PilahError, match="differ only in case or blanks"):
        scan(
            save_classes(tmp_path / "a", {first: 2, "metal": 2}), save_classes(tmp_path / "b", {second: 2, "metal": 2})
        )


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"glass/clear": 2, "glass/brown": 2}, {"metal/tin": 2, "metal/alu": 2}),
        ({"glass/clear": 2, "glass/brown": 2}, {"metal": 2}),
        ({"images/glass": 2, "images/metal": 2}, {"glass/images": 2, "glass/more": 2}),
    ],
)
def test_single_folders_that_may_be_classes_or_contain_them_raise(tmp_path, save_classes, first, second):
    roots = save_classes(tmp_path / "a", first), save_classes(tmp_path / "b", second)
    for order in (roots, roots[::-1]):
        with pytest.raises(PilahError, match=r"unclear whether .* is a class or holds the classes"):
            scan(*order)


@pytest.mark.parametrize("flat", [0, 4], ids=["only folders", "photos and folders"])
def test_single_class_folder_of_a_second_root_is_not_descended_into(tmp_path, save_classes, flat):
    first = save_classes(tmp_path / "first", {"glass": 3, "metal": 3})
    save_classes(tmp_path / "extra", {"glass/old": 3, "glass/new": 3, "glass": flat})
    assert counts(first, tmp_path / "extra") == {"glass": 9 + flat, "metal": 3}
    assert counts(tmp_path / "extra", first) == {"glass": 9 + flat, "metal": 3}


def test_folder_with_photos_is_not_descended_into(tmp_path, save_classes):
    save_classes(tmp_path, {"glass": 4, "glass/old": 3, "glass/new": 3})
    with pytest.raises(PilahError, match=f"{tmp_path} has only glass"):
        scan(tmp_path)


def test_second_folder_without_class_folders_raises(tmp_path, save_classes, save_photo):
    first = save_classes(tmp_path / "first", {"glass": 3, "metal": 3})
    save_photo(tmp_path / "second" / "loose.png", seed=99)
    with pytest.raises(PilahError, match="second has no class folders"):
        scan(first, tmp_path / "second")


@pytest.mark.parametrize("wrapper", ["garbage", "garbage/garbage"])
def test_class_folders_on_two_levels_raise_with_their_names(tmp_path, save_classes, wrapper):
    save_classes(tmp_path, {f"{wrapper}/{name}": 2 for name in ("glass", "metal", "paper")} | {"plastic": 2})
    with pytest.raises(PilahError, match=r"on one level\. .*plastic have photos, but garbage has only .*glass, metal"):
        scan(tmp_path)


def test_link_to_a_parent_above_the_classes_does_not_loop(tmp_path, save_classes):
    root = save_classes(tmp_path / "photos", COUNTS)
    (root / "here").symlink_to(root)
    assert counts(root) == COUNTS
    (tmp_path / "loop" / "inner").mkdir(parents=True)
    (tmp_path / "loop" / "inner" / "back").symlink_to(tmp_path / "loop")
    with pytest.raises(PilahError, match="must have 2 or more class folders"):
        scan(tmp_path / "loop")


@pytest.mark.parametrize("name", ["plastic", "plastic v1.0", os.fsdecode(b"plasti\xff")])
def test_dead_link_that_may_be_a_class_folder_raises(tmp_path, save_classes, name):
    root = save_classes(tmp_path, COUNTS)
    (root / name).symlink_to("/mnt/not mounted/plastic")
    with pytest.raises(PilahError, match="is a link to /mnt/not mounted/plastic, which is missing"):
        scan(root)


def test_folder_given_twice_raises(tmp_path, save_classes):
    root = save_classes(tmp_path / "photos", COUNTS)
    (tmp_path / "link").symlink_to(root)
    with pytest.raises(PilahError, match="--images names a folder twice"):
        scan(root, tmp_path / "link")


def test_root_path_that_is_not_utf_8_raises(tmp_path, save_classes):
    try:
        root = save_classes(tmp_path / os.fsdecode(b"\xff"), COUNTS)
    except OSError:
        pytest.skip("this file system takes names in UTF-8 only")
    with pytest.raises(PilahError, match="The path of --images must be UTF-8"):
        scan(root)
