"""Tables of file names and classes, as Kaggle distributes them with flat folders of photos."""

import codecs
import csv
import io
import pathlib
from collections.abc import Sequence

from components.base.errors import PilahError
from components.data import class_names, folders

# common column names in lower case without _ and blanks, by priority: the first one in the table is used
FILE_COLUMNS = "filepath imagepath path filename imagename file image img photo imageid id name".split()
LABEL_COLUMNS = {"label", "labels", "class", "classes", "classname", "labelname", "category", "target"}
SEPARATORS = ",;\t|"
COLUMNS_HINT = "one of file names (filename, image or id) and one of classes (label, class or category)"


def read(path: pathlib.Path) -> list[tuple[str, str]]:
    """Return (file name, class) of each row of a table; both may be empty.

    The separator is a comma, a semicolon, a tab or |. Names are composed (NFC) and stripped, and folders are separated
    by slashes.

    Raises:
        PilahError: the file is not a table, or its columns are ambiguous.
    """
    if not folders.is_utf_8(path):
        raise PilahError(f"The path of --labels must be UTF-8: {folders.utf_8_text(path)} is not. Rename it.")
    header, *rest = _text(path).split("\n", 1)
    separator, file_column, label_column = _columns(path, header)
    reader = csv.reader(io.StringIO("".join(rest), newline=""), delimiter=separator, strict=True)
    width, rows = len(_cells(header, separator)), []
    try:
        for row in reader:
            if len(row) not in (0, width):
                raise PilahError(
                    f"{path} has {len(row)} values in line {reader.line_num + 1}, but its first line has {width} "
                    "columns. Correct the line, or quote values that contain the separator."
                )
            if row:
                rows.append((_file_name(row[file_column]), class_names.composed(row[label_column])))
    except csv.Error as error:
        raise PilahError(f"{path} cannot be read in line {reader.line_num + 1} ({error}). Correct the line.") from error
    if not rows:
        raise PilahError(f"{path} lists no files below its first line.")
    return rows


def _text(path: pathlib.Path) -> str:
    """Return the text of a table; Excel writes UTF-8 and UTF-16 with a byte-order mark."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PilahError(f"--labels must be a CSV file, and {path} cannot be read ({error.strerror}).") from error
    utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if utf_16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise PilahError(f"{path} must be a CSV file in UTF-8, but line {line} is not. Save it in UTF-8.") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _columns(path: pathlib.Path, header: str) -> tuple[str, int, int]:
    """Return the separator, and the positions of the columns of file names and of classes."""
    for separator in SEPARATORS:
        names = [name.strip().lower().replace("_", "").replace(" ", "") for name in _cells(header, separator)]
        files = [name for name in FILE_COLUMNS if name in names]
        labels = [number for number, name in enumerate(names) if name in LABEL_COLUMNS]
        if files and len(labels) > 1:
            raise PilahError(
                f"{path} has several columns of classes: {folders.printable(header[:200])}. Keep one of them."
            )
        if files and labels:
            return separator, names.index(files[0]), labels[0]
    raise PilahError(
        f"{path} must have a first line with the names of its columns, {COLUMNS_HINT} (got "
        f"{folders.printable(header[:200])})."
    )


def _cells(line: str, separator: str) -> Sequence[str]:
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:  # a value of more than 131,072 characters
        return []


def _file_name(name: str) -> str:
    return class_names.composed(name.strip().replace("\\", "/").removeprefix("./"))
