"""Zips that would fill the disk raise an error before anything is written."""

import struct
import types
import zipfile

import pytest

from components.base.errors import PilahError
from components.data import photo_sources, unpacking

SIZE_BYTES = 4_000_000


@pytest.fixture
def bomb(tmp_path):
    """Return a zip of 4 kB that unpacks to 4 MB."""
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("glass/1.bmp", bytes(SIZE_BYTES))
    return path


@pytest.fixture
def small_limit(monkeypatch):
    """Lower the limit so that tests do not have to unpack 100 MB."""
    monkeypatch.setattr(unpacking, "RATIO_FREE_BYTES", SIZE_BYTES // 2)


def set_disk(monkeypatch, free_bytes, files=10_000):
    """Make every disk report `free_bytes` and room for `files` files."""
    disk_stats = types.SimpleNamespace(f_bavail=free_bytes, f_frsize=1, f_files=20_000, f_favail=files)
    monkeypatch.setattr(unpacking.os, "statvfs", lambda path: disk_stats)


def check_refused(path, message):
    run = path.parent / "run"
    with pytest.raises(PilahError, match=message) as refused:
        photo_sources.folder_of(path, run / "images" / "unpacked")
    assert not run.exists() and "\n" not in str(refused.value) and str(path) in str(refused.value)


def test_zip_bomb_is_refused(bomb, small_limit):
    check_refused(bomb, r"would unpack 0\.0 MB to 4\.0 MB, more than 100 times as much")


def test_zip_bomb_with_entries_that_share_their_bytes_is_refused(bomb, small_limit):
    with zipfile.ZipFile(bomb, "a") as archive:
        for number in range(2, 50):
            entry = zipfile.ZipInfo("glass/1.bmp")
            first = archive.infolist()[0]
            for name in ("header_offset", "CRC", "compress_size", "file_size", "compress_type", "flag_bits"):
                setattr(entry, name, getattr(first, name))
            entry.filename = f"glass/{number}.bmp"
            archive.filelist.append(entry)
        archive.comment = b"changed"  # so that the directory is written again
    check_refused(bomb, "more than 100 times as much")


def test_zip_bomb_after_other_bytes_is_refused(bomb, small_limit):
    bomb.write_bytes(bytes(SIZE_BYTES) + bomb.read_bytes())
    check_refused(bomb, "more than 100 times as much")


def test_zip_bomb_that_declares_a_small_size_is_refused(bomb, small_limit):
    content = bytearray(bomb.read_bytes())
    position = content.index(b"PK\1\2") + 24
    content = content[:position] + struct.pack("<L", 1000) + content[position + 4 :]
    bomb.write_bytes(content)
    with pytest.raises(PilahError, match="cannot be unpacked"):
        photo_sources.folder_of(bomb, bomb.with_name("unpacked"))
    assert not bomb.with_name("unpacked").exists()


def test_small_zip_of_any_ratio_is_unpacked(bomb):
    assert (photo_sources.folder_of(bomb, bomb.with_name("unpacked")) / "glass" / "1.bmp").stat().st_size == SIZE_BYTES


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_zip_with_another_compression_method_is_unpacked(tmp_path, method, save_photo):
    photo = save_photo(tmp_path / "1.png", 1, size=(60, 60))
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        archive.write(photo, "glass/1.png")
    unpacked = photo_sources.folder_of(tmp_path / "a.zip", tmp_path / "unpacked")
    assert (unpacked / "glass" / "1.png").read_bytes() == photo.read_bytes()


def test_zip_that_is_larger_than_the_free_disk_is_refused(bomb, monkeypatch):
    set_disk(monkeypatch, unpacking.RESERVE_BYTES + SIZE_BYTES - 1)
    check_refused(bomb, r"needs 4\.0 MB when unpacked, and 1,000\.0 MB must remain free")


def test_zip_of_more_files_than_the_disk_can_take_is_refused(bomb, monkeypatch):
    set_disk(monkeypatch, 10 * unpacking.RESERVE_BYTES, files=0)
    check_refused(bomb, "holds 1 files, but the disk of .* can take only 0 more")


def test_small_files_count_as_whole_disk_blocks(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number in range(1000):
            archive.writestr(f"glass/{number}", b"x")
    set_disk(monkeypatch, unpacking.RESERVE_BYTES + 4_000_000)
    check_refused(tmp_path / "a.zip", r"needs 4\.1 MB")


def test_zip_with_deeply_nested_folders_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a/" * 1500 + "1.jpg", b"photo")
    check_refused(tmp_path / "a.zip", "holds folders 1501 levels deep")


def test_zip_in_a_zip_is_not_unpacked(tmp_path, bomb):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(bomb, "glass/inner.zip")
    unpacked = photo_sources.folder_of(tmp_path / "a.zip", tmp_path / "unpacked")
    assert [path.name for path in unpacked.rglob("*.*")] == ["inner.zip"]
