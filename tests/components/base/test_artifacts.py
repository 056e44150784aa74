import errno
import hashlib
import pathlib
import shutil
import tempfile
import tracemalloc

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from components.base import artifacts
from components.base.errors import NotFiniteError, PilahError


def interrupted_rows():
    yield {"id": "new"}
    raise KeyboardInterrupt


def write_json_interrupted(path):
    artifacts.write_json(path, {"first": "x" * 100_000, "second": object()})


def write_csv_interrupted(path):
    artifacts.write_csv(path, ["id"], interrupted_rows())


def write_text_interrupted(path):
    with artifacts.atomic_write(path) as part:
        part.write_text("half of it")
        raise OSError("disk full")


INTERRUPTED_WRITES = [write_json_interrupted, write_csv_interrupted, write_text_interrupted]


@pytest.mark.parametrize("write", INTERRUPTED_WRITES)
def test_interrupted_write_keeps_the_old_file_and_leaves_no_temporary_file(tmp_path, write):
    path = tmp_path / "leaderboard.json"
    path.write_text("old")
    with pytest.raises((TypeError, KeyboardInterrupt, OSError)):
        write(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("write", INTERRUPTED_WRITES)
def test_interrupted_first_write_leaves_no_file(tmp_path, write):
    with pytest.raises((TypeError, KeyboardInterrupt, OSError)):
        write(tmp_path / "leaderboard.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.ENOSPC, "No space left on device", "/another/disk"), False),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), False),
    ],
    ids=["full", "another file", "network"],
)
def test_error_of_a_disk_names_the_file_that_was_being_written(tmp_path, error, named):
    path = tmp_path / "leaderboard.json"
    with pytest.raises(OSError) as raised, artifacts.atomic_write(path):
        raise error
    assert raised.value.errno == error.errno
    assert raised.value.filename == (str(path) if named else error.filename)


def test_file_appears_under_its_name_only_when_complete(tmp_path):
    path = tmp_path / "model.bin"
    with artifacts.atomic_write(path) as part:
        part.write_bytes(b"half")
        assert not path.exists()
        assert part.parent == path.parent, "a rename across file systems is a copy, which is not atomic"
        part.write_bytes(b"whole")
    assert path.read_bytes() == b"whole"


def test_file_is_readable_by_others(tmp_path):
    artifacts.write_json(tmp_path / "a.json", 1)
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    "value", [{"glass, brown": [1, 2.5, None, True]}, [], "Pappe für Übersee 紙", {"f1": 0.1 + 0.2}]
)
def test_json_reads_back_as_written(tmp_path, value):
    path = tmp_path / "missing" / "folders" / "a.json"
    artifacts.write_json(path, value)
    assert artifacts.read_json(path) == value


def test_csv_reads_back_as_written(tmp_path):
    rows = [{"path": 'a, "quoted" name.jpg', "label": "Übersee 紙"}, {"path": "two\nlines", "label": ""}]
    artifacts.write_csv(tmp_path / "a.csv", ["path", "label"], rows)
    assert artifacts.read_csv(tmp_path / "a.csv") == rows


def test_csv_rows_are_not_all_in_memory_at_once(tmp_path):
    path, count = tmp_path / "a.csv", 50_000
    tracemalloc.start()
    try:
        artifacts.write_csv(path, ["path"], ({"path": f"{number}.jpg"} for number in range(count)))
        assert sum(1 for _ in artifacts.csv_rows(path)) == count
        assert tracemalloc.get_traced_memory()[1] < 20 * count  # one row as a dict takes more than 200 bytes
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("count", [0, 1, artifacts.DIGESTED_AT_ONCE, 2 * artifacts.DIGESTED_AT_ONCE + 1])
def test_digest_of_a_list_in_parts_is_that_of_the_list(count):
    values = [["é", number, {"b": 1, "a": 2}] for number in range(count)]
    assert artifacts.list_digest(iter(values)) == artifacts.digest(values)


def test_csv_without_rows_keeps_its_header(tmp_path):
    artifacts.write_csv(tmp_path / "a.csv", ["path", "label"], [])
    assert (tmp_path / "a.csv").read_text() == "path,label\n"
    assert artifacts.read_csv(tmp_path / "a.csv") == []


@pytest.mark.parametrize("below", ["a.json", "folder/a.json"])
def test_folder_that_cannot_be_written_raises_os_error(tmp_path, below):
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    with pytest.raises(OSError):
        artifacts.write_json(blocked / below, 1)


def test_digest_does_not_depend_on_order_of_keys():
    value = {"folds": 5, "seed": {"a": 1, "b": 2}}
    assert artifacts.digest(value) == artifacts.digest({"seed": {"b": 2, "a": 1}, "folds": 5})


@pytest.mark.parametrize("other", [{"folds": 6}, {"folds": "5"}, {"fold": 5}, [5], {}])
def test_digest_of_another_value_differs(other):
    assert artifacts.digest({"folds": 5}) != artifacts.digest(other)


def test_file_digest_is_start_of_sha256_of_its_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"photo")
    assert artifacts.file_digest(tmp_path / "a") == hashlib.sha256(b"photo").hexdigest()[:16]


def test_unchanged_settings_keep_complete_files_and_remove_temporary_ones(tmp_path):
    folder = tmp_path / "28"
    artifacts.reset_if_settings_changed(folder, {"epochs": 10})
    (folder / "fold-0.csv").write_text("whole")
    with artifacts.atomic_write(folder / "fold-1.csv") as part:
        shutil.copy(part, folder / f"{part.name}.killed")  # as left by SIGKILL
        part.write_text("whole too")
    artifacts.reset_if_settings_changed(folder, {"epochs": 10})
    assert {path.name for path in folder.iterdir()} == {"fold-0.csv", "fold-1.csv", "settings.json"}
    artifacts.reset_if_settings_changed(folder, {"epochs": 20})
    assert {path.name for path in folder.iterdir()} == {"settings.json"}


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_number_that_is_not_finite_is_not_written_to_json(tmp_path, number):
    path = tmp_path / "leaderboard.json"
    path.write_text("old")
    with pytest.raises(NotFiniteError, match=r"leaderboard\.json cannot be written: a number in it is nan or infinite"):
        artifacts.write_json(path, {"scenarios": [{"f1": number}]})
    assert path.read_text() == "old"


ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@hypothesis.settings(max_examples=200, deadline=None, derandomize=True)
@hypothesis.given(st.lists(st.tuples(ANY_TEXT, ANY_TEXT), max_size=5), ANY_TEXT)
def test_any_text_in_csv_reads_back_as_written(rows, column):
    columns = ["id", f"p_{column}"]
    written = [dict(zip(columns, row, strict=True)) for row in rows]
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "rows.csv")
        artifacts.write_csv(path, columns, written)
        assert artifacts.read_csv(path) == written


@pytest.mark.parametrize("row", ["a,b", "a,b,c,d"])
def test_damaged_csv_row_raises_with_its_number(tmp_path, row):
    (tmp_path / "rows.csv").write_text(f"x,y,z\n1,2,3\n{row}\n")
    with pytest.raises(PilahError, match=r"rows\.csv is damaged in row 2\. Delete it and run again"):
        artifacts.read_csv(tmp_path / "rows.csv")


@pytest.mark.parametrize("content", [b"", b"caf\xe9,b\n1,2\n"], ids=["empty", "not UTF-8"])
def test_damaged_csv_file_raises_with_its_name(tmp_path, content):
    (tmp_path / "rows.csv").write_bytes(content)
    with pytest.raises(PilahError, match=r"rows\.csv is damaged.*Delete it and run again"):
        artifacts.read_csv(tmp_path / "rows.csv")


@pytest.mark.parametrize(
    "content", [b"", b"\0\0", b'{"a": 1', b"\xff"], ids=["empty", "zeros", "cut short", "not UTF-8"]
)
def test_damaged_json_file_raises_with_its_name(tmp_path, content):
    (tmp_path / "values.json").write_bytes(content)
    with pytest.raises(PilahError, match=r"values\.json is damaged.*Delete it and run again"):
        artifacts.read_json(tmp_path / "values.json")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"f1": NaN}', "NaN is not a finite number"),
        ('{"f1": -Infinity}', "-Infinity is not a finite number"),
        ('{"f1": 1e999}', "1e999 is not a finite number"),
        ('{"f1": 1, "f1": 2}', "the key 'f1' is there twice"),
        ("[" * 100_000, "too many nested lists or objects"),
        ('\ufeff{"f1": 1}', "BOM"),
        ('{"f1": "1"}', r"f1 must be a number \(got '1'\)"),
    ],
)
def test_json_that_python_reads_but_means_nothing_is_refused(tmp_path, content, reason):
    path = tmp_path / "values.json"
    path.write_text(content)
    with pytest.raises(PilahError, match=rf"values\.json is damaged \(.*{reason}.*\)\. Delete it and run again"):
        artifacts.read_json(path, dict[str, float])


def test_csv_of_a_windows_editor_is_read(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(b"\xef\xbb\xbfid,label\r\n1,glass\r\n")
    assert artifacts.read_csv(path, ("id", "label")) == [{"id": "1", "label": "glass"}]


def test_csv_without_a_required_column_raises_with_its_name(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("id\n1\n")
    with pytest.raises(PilahError, match=r"rows\.csv is damaged: it has no column label\. Delete it and run again"):
        artifacts.read_csv(path, ("id", "label"))


def test_value_of_a_row_that_cannot_be_converted_raises_with_the_file(tmp_path):
    with (
        pytest.raises(PilahError, match=r"rows\.csv is damaged \(a value of a row: invalid literal.*Delete it"),
        artifacts.reading_rows(tmp_path / "rows.csv"),
    ):
        int("text")


@pytest.mark.parametrize("damage", ["empty", "cut", "text", "zip", "deep header"])
def test_damaged_array_raises_with_its_name(tmp_path, damage):
    path = tmp_path / "view.npy"
    np.save(path, np.arange(6.0))
    np.testing.assert_array_equal(artifacts.read_array(path), np.arange(6.0))
    content = path.read_bytes()
    if damage == "zip":
        with path.open("wb") as file:
            np.savez(file, np.arange(6.0))
    else:
        header = content.replace(b"(6,)", b"(((6")
        path.write_bytes({"empty": b"", "cut": content[:-3], "text": b"text", "deep header": header}[damage])
    with pytest.raises(PilahError, match=r"view\.npy is damaged \(.*\)\. Delete it and run again"):
        artifacts.read_array(path)
