"""The folder PILAH_DATA: its key, its permissions, and unusable folders."""

import errno
import logging
import os
import pathlib
import stat

import pytest
import sqlalchemy as sa
import web_app

import web
from web import data_folder
from web.database import db


@pytest.mark.parametrize(
    "content", [b"", b"short", b"\0" * 64, b" " * 64, b"k" * 31 + b"\n", b"\xff" * 64], ids=range(6)
)
def test_damaged_key_is_replaced_and_logged(tmp_path, caplog, content):
    (tmp_path / "secret_key").write_bytes(content)
    log = logging.getLogger("web")
    log.addHandler(caplog.handler)
    key = data_folder.secret_key(tmp_path)
    log.removeHandler(caplog.handler)
    assert len(key) == 64 and key == (tmp_path / "secret_key").read_text() == data_folder.secret_key(tmp_path)
    [line] = {record.getMessage() for record in caplog.records}
    assert str(tmp_path / "secret_key") in line and "\n" not in line and key not in line
    assert [path.name for path in tmp_path.iterdir()] == ["secret_key"]


@pytest.mark.parametrize("content", ["k" * 32, "a key with spaces and punctuation!", "k" * 64 + "\n"])
def test_valid_key_is_kept(tmp_path, content):
    (tmp_path / "secret_key").write_text(content)
    assert data_folder.secret_key(tmp_path) == content


def test_new_key_is_synced_before_use(tmp_path, monkeypatch):
    synced, sync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.append(os.fstat(handle).st_ino), sync(handle)))
    data_folder.secret_key(tmp_path)
    assert synced == [(tmp_path / "secret_key").stat().st_ino, tmp_path.stat().st_ino]
    assert (tmp_path / "secret_key").stat().st_mode & 0o077 == 0


def test_unreadable_or_unwritable_key_is_an_error_with_its_path(tmp_path, monkeypatch):
    (tmp_path / "secret_key").mkdir()
    with pytest.raises(data_folder.DataFolderError, match=f"{tmp_path}/secret_key .* or set SECRET_KEY"):
        data_folder.secret_key(tmp_path)
    (tmp_path / "secret_key").rmdir()

    def no_space(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(data_folder.DataFolderError, match="No space left on device"):
        data_folder.secret_key(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [None, 0o644, 0o666])
def test_database_file_is_readable_only_by_its_owner(make_app, tmp_path, mode):
    if mode is not None:
        for name in ("a file.db", "a file.db-wal", "a file.db-shm"):  # a crash leaves the last two
            (tmp_path / name).touch()
            (tmp_path / name).chmod(mode)
    for url, name in (("", "pilah.db"), (f"sqlite:///{tmp_path}/a file.db", "a file.db")):
        app = web.create_app({**web_app.SETTINGS, "pilah_data": str(tmp_path), "database_url": url})
        with app.app_context():
            db.session.execute(sa.text("CREATE TABLE written (id INTEGER)"))
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob(f"{name}*")}
        web_app.close(app)
        assert modes == dict.fromkeys((name, f"{name}-shm", f"{name}-wal"), 0o600)


def test_new_folder_is_private_and_existing_one_keeps_its_mode(tmp_path):
    data_folder.prepare(tmp_path / "new")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    (tmp_path / "new").chmod(0o750)  # such as for a group that makes backups
    data_folder.prepare(tmp_path / "new")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o750


@pytest.mark.parametrize("folder", ["file", "file/below", "/proc/pilah", "loop", "x" * 300])
def test_unusable_data_folder_ends_the_start_with_one_line(tmp_path, folder):
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(SystemExit) as end:
        web.create_app({**web_app.SETTINGS, "pilah_data": str(pathlib.Path(tmp_path, folder))})
    line = str(end.value)
    assert line.startswith("web: PILAH_DATA") and "\n" not in line and "Set PILAH_DATA" in line
