"""Photos whose classes are in a table, as in most of Kaggle's competitions."""

import os
import pathlib

import pytest

from components.base.errors import PilahError
from components.data import class_folders, labelled_files

TABLE = "filename,label\n0.png,glass\n1.png,metal\n2.png,glass\n3.png,metal\n"


@pytest.fixture
def photos(tmp_path, save_photo):
    """Return a folder with four photos and no class folders."""
    for number in range(4):
        save_photo(tmp_path / "photos" / f"{number}.png", number)
    return tmp_path / "photos"


def scan(photos, table, encoding="utf-8", others=(), **options):
    """Scan the folder `photos` with `table` as the text of --labels."""
    path = photos.parent / "labels.csv"
    path.write_bytes(table.encode(encoding))
    return class_folders.scan([photos, *others], labels=path, **options)


def labels_of(result):
    return {pathlib.Path(path).name: label for path, label in result.photos}


EXPECTED = {"0.png": "glass", "1.png": "metal", "2.png": "glass", "3.png": "metal"}


@pytest.mark.parametrize(
    "table",
    [
        TABLE,
        TABLE.replace(",", ";"),
        TABLE.replace(",", "\t"),
        TABLE.replace("\n", "\r\n"),
        TABLE.replace("\n", "\r"),
        TABLE.replace(".png", "").replace("filename", "id"),
        TABLE.replace("filename,label", "Image Path,Class"),
        TABLE.replace("filename,label", '"file_name","category"'),
        "id,label,image\n" + "".join(f"x,{label},{name}\n" for name, label in EXPECTED.items()),
        f"{TABLE}\n\n",
        TABLE.replace("\n0", "\n./0").replace("glass", '"glass"'),
    ],
    ids=[
        "comma",
        "semicolon",
        "tab",
        "windows",
        "old macs",
        "no suffix",
        "names",
        "quoted",
        "order",
        "blank lines",
        "dot",
    ],
)
def test_usual_tables_are_read(photos, table):
    result = scan(photos, table)
    assert labels_of(result) == EXPECTED and result.classes == ["glass", "metal"]
    assert (result.rejects, result.ignored, result.warnings) == ([], [], [])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_table_of_excel_is_read(photos, encoding):
    assert labels_of(scan(photos, TABLE.replace("glass", "Restmüll"), encoding))["0.png"] == "Restmüll"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "must have a first line with the names of its columns"),
        ("0.png,glass\n1.png,metal\n", r"must have a first line .*\(got 0\.png,glass\)"),
        ("filename,label,class\n0.png,1,glass\n", "several columns of classes: filename,label,class"),
        ("filename,label\n", "lists no files"),
        ("filename,label\n0.png,paper, card\n", "has 3 values in line 2, but its first line has 2"),
        ("filename,label\n0.png\n", "has 1 values in line 2"),
        ('filename,label\n0.png,"glass\n1.png,metal\n', "cannot be read in line"),
        (TABLE.replace("png", "jpg"), r"None of the 4 files that .* lists is in .*such as '0\.jpg'"),
        (TABLE.replace("metal", "../../x"), "'../../x' has a slash"),
        (TABLE.replace("metal", "x" * 120), "has 120 characters"),
        (TABLE.replace("metal", "Glass"), "'Glass' and 'glass'"),
        (TABLE.replace("metal", "glass"), r"2 or more classes \(got glass\)"),
    ],
    ids=str,
)
def test_ambiguous_or_damaged_table_raises_in_one_line(photos, table, message):
    with pytest.raises(PilahError, match=message) as refused:
        scan(photos, table)
    assert "\n" not in str(refused.value)


def test_table_in_another_encoding_raises_with_the_line(photos):
    with pytest.raises(PilahError, match="in UTF-8, but line 3 is not"):
        scan(photos, TABLE.replace("metal", "Müll"), "cp1252")


@pytest.mark.parametrize("missing", ["no such file", "a folder"])
def test_table_that_cannot_be_opened_raises(photos, missing):
    path = photos if missing == "a folder" else photos / "no.csv"
    with pytest.raises(PilahError, match="--labels must be a CSV file"):
        class_folders.scan([photos], labels=path)


def test_files_without_exactly_one_class_are_listed_with_the_reason(photos, save_photo):
    save_photo(photos / "unlisted.png", 9)
    (photos / "labels.csv").write_text("beside the photos")
    (photos / "gone.png").symlink_to("nowhere")
    table = TABLE + "0.png,glass\n1.png,glass\n5.png,metal\n2.png,\n3.png,\ngone.png,glass\n"
    result = scan(photos, table.replace("2.png,glass\n", ""))
    assert labels_of(result) == {"0.png": "glass", "3.png": "metal"}
    assert [(pathlib.Path(file.path).name, file.label, file.reason) for file in result.rejects] == [
        ("5.png", "metal", labelled_files.MISSING),
        ("1.png", "", labelled_files.SEVERAL_CLASSES),
        ("gone.png", "glass", "dead link"),
    ]
    assert "glass, metal in " in result.rejects[1].detail
    assert [(pathlib.Path(file.path).name, file.reason) for file in result.ignored] == [
        ("2.png", labelled_files.NO_CLASS),
        ("labels.csv", labelled_files.NOT_LISTED),
        ("unlisted.png", labelled_files.NOT_LISTED),
    ]
    assert [sentence.split(" of ")[0].split(" in ")[0] for sentence in result.warnings] == [
        "1 duplicate lines",
        "2 photos without a class",
    ]


def test_table_in_the_photo_folder_is_ignored_with_its_reason(photos):
    (photos / "labels.csv").write_text(TABLE)
    result = class_folders.scan([photos], labels=photos / "labels.csv")
    assert [file.reason for file in result.ignored] == [labelled_files.LABELS] and not result.warnings


def test_files_in_nested_folders_are_found_by_name_or_path(photos, save_photo):
    save_photo(photos / "train" / "deep" / "4.png", 14)
    save_photo(photos / "test" / "4.png", 15)
    table = TABLE + "deep/4.png,glass\ntest\\4.png,metal\n"
    assert [label for path, label in scan(photos, table).photos if path.endswith("/4.png")] == ["metal", "glass"]
    with pytest.raises(PilahError, match=r"lists 4\.png, which can be .*4\.png or .*4\.png"):
        scan(photos, TABLE + "4.png,glass\n")


def test_path_outside_the_folder_in_the_table_is_a_reject(photos, save_photo):
    outside = save_photo(photos.parent / "outside.png", 20)
    result = scan(photos, TABLE + f"../outside.png,glass\n{outside},glass\n")
    assert labels_of(result) == EXPECTED
    assert [file.path for file in result.rejects] == ["../outside.png", str(outside)]


def test_unlisted_file_whose_name_is_not_utf_8_is_ignored(photos):
    try:
        (photos / os.fsdecode(b"caf\xe9.png")).write_bytes(b"photo")
    except OSError:
        pytest.skip("this file system takes names in UTF-8 only")
    result = scan(photos, TABLE)
    assert [file.path for file in result.ignored] == [rf"{photos}/caf\xe9.png"]


def test_folder_without_a_listed_file_is_read_by_class_folders(photos, save_classes):
    corrections = save_classes(photos.parent / "corrections", {"glass": 2})
    result = scan(photos, TABLE, others=[corrections])
    assert labels_of(result) == EXPECTED | {"glass0.png": "glass", "glass1.png": "glass"}


def test_class_names_in_the_table_are_merged_with_merge(photos):
    result = scan(photos, TABLE.replace("1.png,metal", "1.png,Glass") + "0.png,GLASS\n", merge=True)
    assert labels_of(result)["1.png"] == "GLASS" and result.classes == ["GLASS", "metal"] and not result.rejects


def test_changed_class_in_the_table_changes_the_fingerprint(photos):
    before = scan(photos, TABLE).fingerprint()
    assert scan(photos, TABLE).fingerprint() == before
    assert scan(photos, TABLE.replace("1.png,metal", "1.png,glass")).fingerprint() != before


def test_table_whose_name_is_not_utf_8_is_not_suggested(photos):
    try:
        (photos / os.fsdecode(b"caf\xe9.csv")).write_text(TABLE)
    except OSError:
        pytest.skip("this file system takes names in UTF-8 only")
    with pytest.raises(PilahError, match=r"has none\. Give the folder that holds the class folders\.$"):
        class_folders.scan([photos])


@pytest.mark.parametrize("folder", ["", "train", "train and test"])
def test_error_for_flat_folder_with_a_table_suggests_labels(photos, save_photo, folder):
    table = photos / "labels.csv"
    table.write_text(TABLE)
    for name in folder.split(" and "):
        for number in range(4 * bool(folder)):
            (photos / f"{number}.png").unlink(missing_ok=True)
            save_photo(photos / name / f"{number}.png", number)
    with pytest.raises(PilahError, match=f"add --labels {table}"):
        class_folders.scan([photos])
