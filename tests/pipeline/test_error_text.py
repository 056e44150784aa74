import errno

import pytest

from pipeline import error_text


def test_missing_file_is_not_reported_as_lack_of_space_or_permission(tmp_path):
    with pytest.raises(FileNotFoundError) as raised:
        (tmp_path / "photo.jpg").read_bytes()
    line = error_text.one_line(raised.value)
    assert str(tmp_path / "photo.jpg") in line and "run again" in line and "permission" not in line
    assert "--from" not in line  # which would throw away features and folds


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/runs/a.json"), "Free some space"),
        (OSError(errno.EROFS, "Read-only file system", "/runs/a.json"), "The file system is read-only"),
        (PermissionError(errno.EACCES, "Permission denied", "/runs/a.json"), "Change its permissions or its owner"),
        (
            NotADirectoryError(errno.ENOTDIR, "Not a directory", "/runs/a.json"),
            "A file has the name of a required folder",
        ),
        (OSError(errno.EMFILE, "Too many open files", "/runs/a.json"), "Raise the limit of open files"),
        # as TensorFlow and Beam say it
        (
            RuntimeError(f"{'at line 1 ' * 100} /runs/a.json; No space left on device [while running 'W']"),
            "Free some space",
        ),
        (ValueError("/runs/a.json; Permission denied"), "Change its permissions or its owner"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_fault_of_the_file_system_names_the_path_and_what_to_do(error, expected):
    line = error_text.one_line(error)
    assert "/runs/a.json" in line and expected in line and "--debug" not in line and "at line 1" not in line


def test_nodes_of_tensorflows_graph_are_left_out():
    error = OSError(
        "{{function_node __wrapped__SaveV2_dtypes_27_device_/CPU:0}} /run/export.part; No space left [Op:SaveV2]"
    )
    assert error_text.one_line(error).startswith(
        "A file could not be read or written: /run/export.part; No space left. "
    )
