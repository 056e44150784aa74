"""Zips that attack what unpacks them, each built from its bytes, and what must become of them."""

import io
import pathlib
import stat
import struct
import zipfile
from collections.abc import Callable

from chaos.inputs import photo_samples

PHOTO = photo_samples.of("PNG")[1]
ENTRIES = 100_000
ENTRY = struct.Struct("<4s6H3L5H2L")  # of the central directory, before its name
END = struct.Struct("<4s4H2LH")
UTF_8 = 0x800
ACCEPTED = ""  # otherwise words of the error


def of_entries(entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip of these files, in the order given; a name ending in a slash is a folder."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return stream.getvalue()


def usual(**options: int) -> bytes:
    photos = {f"{name}/{n}.png": PHOTO + bytes([n]) for name in ("glass", "metal") for n in range(3)}
    return of_entries(photos, **options)


def of_mode(mode: int, content: bytes) -> bytes:
    """Return a zip with an entry of this Unix mode, such as a link whose target is `content`."""
    stream = io.BytesIO(usual())
    with zipfile.ZipFile(stream, "a") as archive:
        entry = zipfile.ZipInfo("glass/odd.png")
        entry.create_system, entry.external_attr = 3, mode << 16
        archive.writestr(entry, content)
    return stream.getvalue()


def changed(change: Callable[[list[int | bytes]], None], file: bytes | None = None) -> bytes:
    """Return a zip after `change` of the fields of its first entry in the central directory, see ENTRY."""
    file = usual() if file is None else file
    at = file.index(b"PK\x01\x02")
    fields = list(ENTRY.unpack_from(file, at))
    change(fields)
    return file[:at] + ENTRY.pack(*fields) + file[at + ENTRY.size :]


def with_field(index: int, value: int) -> bytes:
    return changed(lambda fields: fields.__setitem__(index, value))


def renamed(name: bytes, flags: int = 0) -> bytes:
    """Return a zip whose first entry has this name of 11 bytes, in the central directory and before its content."""
    first = b"glass/0.png"
    assert len(name) == len(first)
    return changed(lambda fields: fields.__setitem__(3, flags), usual().replace(first, name))


def overlapping() -> bytes:
    """Return a zip whose entries all point to the content of the first."""
    file = bytearray(usual())
    at = file.find(b"PK\x01\x02")
    while at >= 0:
        struct.pack_into("<L", file, at + 42, 0)
        at = file.find(b"PK\x01\x02", at + 1)
    return bytes(file)


def many() -> bytes:
    return of_entries({f"{'glass' if n % 2 else 'metal'}/{n}.png": b"%d" % n for n in range(ENTRIES)}, 0)


def bomb(nested: bool) -> bytes:
    zeros = of_entries({"glass/0.png": bytes(200_000_000)})
    return of_entries({"glass/0.zip": zeros, "metal/0.png": PHOTO}) if nested else zeros


def with_zip64(size: int) -> bytes:
    """Return a zip whose first entry states `size` bytes in a zip64 field."""
    field = struct.pack("<HHQQ", 1, 16, size, size)
    file = changed(lambda fields: fields.__setitem__(slice(8, 12), [0xFFFFFFFF, 0xFFFFFFFF, 11, len(field)]))
    at = file.index(b"PK\x01\x02") + ENTRY.size + 11
    longer = bytearray(file[:at] + field + file[at:])
    end = longer.rindex(b"PK\x05\x06")
    struct.pack_into("<L", longer, end + 12, struct.unpack_from("<L", longer, end + 12)[0] + len(field))
    return bytes(longer)


def lzma_of_dictionary(size: int) -> bytes:
    """Return a zip whose LZMA entries state a dictionary of `size` bytes."""
    return usual(method=zipfile.ZIP_LZMA).replace(struct.pack("<L", 1 << 23), struct.pack("<L", size))


def cut(end: int) -> bytes:
    return usual()[:end]


ABSOLUTE = "/glass/above.png"  # must never be written
ZIPS: dict[str, tuple[Callable[[], bytes], str]] = {  # name -> zip, and what must become of it
    "usual": (usual, ACCEPTED),
    "stored": (lambda: usual(method=zipfile.ZIP_STORED), ACCEPTED),
    "link inside": (lambda: of_mode(stat.S_IFLNK | 0o777, b"0.png"), "holds the link"),
    "link to an absolute path": (lambda: of_mode(stat.S_IFLNK | 0o777, b"/etc/passwd"), "holds the link"),
    "link to the folder above": (lambda: of_mode(stat.S_IFLNK | 0o777, b"../../.."), "holds the link"),
    "pipe": (lambda: of_mode(stat.S_IFIFO | 0o666, b""), ACCEPTED),
    "device": (lambda: of_mode(stat.S_IFCHR | 0o666, b"x"), ACCEPTED),
    "file with setuid": (lambda: of_mode(stat.S_IFREG | 0o6777, PHOTO), ACCEPTED),
    "path above": (
        lambda: of_entries({"../../above.png": PHOTO, "glass/0.png": PHOTO, "metal/0.png": PHOTO}),
        ACCEPTED,
    ),
    "absolute path": (lambda: of_entries({ABSOLUTE: PHOTO, "metal/0.png": PHOTO}), ACCEPTED),
    "drive": (lambda: of_entries({"C:\\glass\\0.png": PHOTO, "C:\\metal\\0.png": PHOTO}), ACCEPTED),
    "password": (lambda: with_field(3, 1), "password"),
    "strong encryption": (lambda: with_field(3, 0x41), "encryption"),
    "unknown compression": (lambda: with_field(4, 77), "compression"),
    "100,000 entries": (many, ACCEPTED),
    "bomb": (lambda: bomb(nested=False), "photos never do"),
    "nested bomb": (lambda: bomb(nested=True), ACCEPTED),
    "wrong checksum": (lambda: with_field(7, 1), "CRC"),
    "overlapping entries": (overlapping, "cannot be unpacked"),
    "entry larger than stated": (lambda: with_field(9, 10), "CRC"),
    "entry smaller than stated": (lambda: with_field(9, 10_000), "cannot be unpacked|does not hold"),
    "compressed size too large": (lambda: with_field(8, 2**31), ACCEPTED),
    "offset outside": (lambda: with_field(16, 2**31), "cannot be unpacked"),
    "zip64": (lambda: with_zip64(len(PHOTO) + 1), ACCEPTED),
    "zip64 of exabytes": (lambda: with_zip64(2**62), "photos never do"),
    "lzma of 4 GB": (lambda: lzma_of_dictionary(2**32 - 1), ACCEPTED),
    "name twice": (lambda: usual().replace(b"glass/1.png", b"glass/0.png"), "twice"),
    "names that differ in case": (
        lambda: of_entries({"glass/a.png": PHOTO, "glass/A.png": PHOTO, "metal/0.png": PHOTO + b"1"}),
        ACCEPTED,
    ),
    "file and folder of a name": (lambda: of_entries({"glass/0": b"", "glass/0/1.png": PHOTO}), "as a file and as"),
    "UTF-8 flag on other bytes": (lambda: renamed(b"gl\xff\xfes/0.png", UTF_8), "cannot be unpacked"),
    "folder name in an unknown encoding": (lambda: renamed(b"\xa2\xa3\xa4\xa5s/0.png"), "--zip-encoding"),
    "name with a null byte": (lambda: renamed(b"glass/\0.png"), ACCEPTED),
    "name with control codes": (lambda: renamed(b"glass/\x1b[3mx"), ACCEPTED),
    "name with a line break": (lambda: renamed(b"gla\ns/0.png"), "control characters"),
    "name of dots": (lambda: renamed(b"../../../.."), "twice"),
    "empty": (lambda: of_entries({}), "no class|class"),
    "no files": (lambda: of_entries({"glass/": b"", "metal/": b""}), ACCEPTED),
    "cut before the central directory": (lambda: cut(300), "neither"),
    "cut in the central directory": (lambda: cut(-60), "neither"),
    "cut in the end record": (lambda: cut(-4), "neither"),
    "wrong number of entries": (lambda: usual()[:-12] + b"\xff\xff" + usual()[-10:], ACCEPTED),
    "central directory elsewhere": (lambda: usual()[:-6] + b"\xff\xff\xff\x7f\0\0", "cannot be unpacked|neither"),
    "folder of 60 levels": (lambda: of_entries({"glass/" + "x/" * 60 + "0.png": PHOTO}), "levels deep"),
    "name of 300 characters": (lambda: of_entries({f"glass/{'x' * 300}.png": PHOTO}), "cannot be unpacked"),
    "path of 6,000 characters": (lambda: of_entries({"glass/" + ("x" * 200 + "/") * 30: b""}), "cannot be unpacked"),
}


def write(name: str, folder: pathlib.Path) -> pathlib.Path:
    """Write one of ZIPS into `folder` and return its path."""
    path = folder / "photos.zip"
    path.write_bytes(ZIPS[name][0]())
    return path
