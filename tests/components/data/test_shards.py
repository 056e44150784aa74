import socket

import photo_files
import pytest

from components.base.errors import PilahError
from components.data import class_folders, listing, photos, shards


@pytest.fixture
def shard(tmp_path):
    root = photo_files.write_classes(tmp_path / "photos", {"glass": 2})
    listed = listing.list_photos(class_folders.scan([root], ["glass"]), 2, 1, lambda done, total: None)[0]
    (tmp_path / "dataset").mkdir()
    photos.write(tmp_path / "photos.csv", listed)
    return shards.Shard(str(tmp_path / "dataset" / "shard-0"), tmp_path / "photos.csv", 0, 2)


def write(shard):
    shards.write(shard, lambda values: b"", 16, 10_000)


def test_shard_in_a_folder_that_the_worker_does_not_see_is_named(shard, tmp_path):
    (tmp_path / "dataset").rmdir()
    write(shard)
    assert not (tmp_path / "dataset").exists(), "the worker made a folder of its own"
    with pytest.raises(PilahError, match=r"^1 of 1 shards were not written to .*/dataset\. Every Beam worker must see"):
        shards.read_reports([shard])


def test_error_on_another_machine_names_it(shard, tmp_path, monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "node2")
    (tmp_path / "photos" / "glass" / "glass1.png").unlink()
    write(shard)
    monkeypatch.undo()
    with pytest.raises(PilahError, match=r"^On node2: .*/glass1\.png cannot be read \(No such file"):
        shards.read_reports([shard])


def test_only_the_shards_remain_when_the_reports_were_read(shard, tmp_path):
    write(shard)
    (tmp_path / "dataset" / ".part-shard-0.killed").write_bytes(b"of a killed worker")
    (report,) = shards.read_reports([shard])
    assert (report["photos"], report["rejects"]) == (2, [])
    assert [path.name for path in (tmp_path / "dataset").iterdir()] == ["shard-0"]
