"""Damage one file of a run in place: cut, other bytes, other values, or another kind of file under its name."""

import json
import os
import pathlib
import random
import shutil
from collections.abc import Callable
from typing import Any

DEEP = 100_000  # nested lists, more than Python's parser can follow
VALUES: tuple[Any, ...] = (None, True, -1, 10**400, 1e308, "", "text\n\x1b[31m", [], {}, [[]], {"a": None}, [None])
LITERALS = (b"NaN", b"Infinity", b"1e999", b"[" * DEEP, b'{"a":' * DEEP, b"9" * 5000)
Edit = Callable[[random.Random, pathlib.Path], None]


def cut(rng: random.Random, path: pathlib.Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: rng.randrange(max(1, len(content)))])


def empty(rng: random.Random, path: pathlib.Path) -> None:
    path.write_bytes(b"")


def other_bytes(rng: random.Random, path: pathlib.Path) -> None:
    path.write_bytes(rng.randbytes(path.stat().st_size))


def flipped_bits(rng: random.Random, path: pathlib.Path) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(rng.choice((1, 1, 4, 50)) if content else 0):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def zeros_at_the_end(rng: random.Random, path: pathlib.Path) -> None:
    """Replace the end by zeros, as a power failure does."""
    content = path.read_bytes()
    at = rng.randrange(max(1, len(content)))
    path.write_bytes(content[:at] + bytes(len(content) - at))


def removed(rng: random.Random, path: pathlib.Path) -> None:
    path.unlink()


def folder(rng: random.Random, path: pathlib.Path) -> None:
    path.unlink()
    path.mkdir()
    if rng.random() < 0.5:
        (path / "file").write_text("text")


def dead_link(rng: random.Random, path: pathlib.Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def link_to_itself(rng: random.Random, path: pathlib.Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def link_to_device(rng: random.Random, path: pathlib.Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def pipe(rng: random.Random, path: pathlib.Path) -> None:
    path.unlink()
    os.mkfifo(path)


def link_to_copy(rng: random.Random, path: pathlib.Path) -> None:
    """Move the file away and leave a link to it, which is not damage."""
    target = path.with_name(f"moved-{path.name}")
    shutil.move(path, target)
    path.symlink_to(target.name)


def byte_order_mark(rng: random.Random, path: pathlib.Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())


def utf_16(rng: random.Random, path: pathlib.Path) -> None:
    path.write_bytes(path.read_bytes().decode().encode("utf-16"))


def latin_1(rng: random.Random, path: pathlib.Path) -> None:
    content = path.read_bytes()
    at = rng.randrange(max(1, len(content)))
    path.write_bytes(content[:at] + b"caf\xe9" + content[at:])


def other_value(rng: random.Random, path: pathlib.Path) -> None:
    """Replace a value of a JSON file, at any depth, by one of another type or an extreme one."""
    document = json.loads(path.read_text())
    holder, key = _place(rng, document)
    if holder is None:
        document = rng.choice(VALUES)
    elif rng.random() < 0.3:
        del holder[key]
    else:
        others = [value for value in VALUES if type(value) is not type(holder[key])]
        holder[key] = rng.choice(others)
    path.write_text(json.dumps(document))


def other_literal(rng: random.Random, path: pathlib.Path) -> None:
    """Replace a value of a JSON file by text that is no JSON value, or that Python's parser cannot take."""
    document = json.loads(path.read_text())
    holder, key = _place(rng, document)
    if holder is None:
        path.write_bytes(rng.choice(LITERALS))
        return
    holder[key] = "HERE"
    path.write_bytes(json.dumps(document).encode().replace(b'"HERE"', rng.choice(LITERALS), 1))


def key_twice(rng: random.Random, path: pathlib.Path) -> None:
    """Repeat the first key of a JSON object with another value; a file without an object stays unchanged."""
    content = path.read_bytes()
    at = content.find(b"{")
    key = next(iter(json.loads(content)), None) if at == 0 else None
    path.write_bytes(content if key is None else content[:1] + f"{json.dumps(key)}: 1, ".encode() + content[1:])


def other_cell(rng: random.Random, path: pathlib.Path) -> None:
    """Replace, add or remove a cell of a CSV file."""
    lines = path.read_text().splitlines() or [""]
    number = rng.randrange(len(lines))
    cells = lines[number].split(",")
    at = rng.randrange(len(cells))
    action = rng.randrange(4)
    if action == 0:
        cells[at] = rng.choice(("", "nan", "inf", "-1", "1e999", "99999999999999999999", "text", '"', "\0"))
    elif action == 1:
        del cells[at]
    elif action == 2:
        cells.insert(at, "more")
    lines[number] = ",".join(cells)
    if action == 3:
        del lines[number]
    path.write_text("\n".join(lines) + "\n")


def _place(rng: random.Random, document: Any) -> tuple[Any, Any]:
    """Return a random container in a document and one of its keys; (None, None) for the document itself."""
    places: list[tuple[Any, Any]] = [(None, None)]
    todo = [document]
    while todo:
        value = todo.pop()
        keys: Any = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        places += [(value, key) for key in keys]
        todo += [value[key] for key in keys]
    return rng.choice(places)


BYTES: tuple[Edit, ...] = (cut, empty, other_bytes, flipped_bits, zeros_at_the_end)
KINDS: tuple[Edit, ...] = (removed, folder, dead_link, link_to_itself, link_to_device, pipe, link_to_copy)
TEXT: tuple[Edit, ...] = (byte_order_mark, utf_16, latin_1)
JSON: tuple[Edit, ...] = (other_value, other_value, other_value, other_value, other_literal, other_literal, key_twice)


def edits_of(path: pathlib.Path) -> tuple[Edit, ...]:
    """Return the edits that a file can have, by its suffix."""
    if path.suffix == ".json":
        return BYTES + KINDS + TEXT + JSON
    if path.suffix == ".csv":
        return BYTES + KINDS + TEXT + (other_cell,) * 6
    return BYTES + KINDS
