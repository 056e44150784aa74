"""A short form of the failure trial of hostile zips."""

import random

import pytest

from chaos.archives import archive_samples
from chaos.archives import trial as archives
from chaos.inputs import mutations
from components.base.errors import PilahError
from components.data import photo_sources

QUICK = [name for name in archive_samples.ZIPS if name not in archives.SHORT_SKIPPED]


@pytest.mark.parametrize("name", QUICK)
def test_hostile_zip_is_unpacked_inside_or_refused_in_one_line(tmp_path, name):
    path = archive_samples.write(name, tmp_path)
    assert archives.wrong(path, tmp_path, archive_samples.ZIPS[name][1]) is None


def test_damaged_zips_are_unpacked_inside_or_refused_in_one_line(tmp_path):
    path, samples = tmp_path / "photos.zip", [archive_samples.usual(), archive_samples.overlapping()]
    for number in range(100):
        path.write_bytes(archives.damaged(random.Random(number), samples))
        assert archives.wrong(path, tmp_path, None) is None


def test_other_ends_are_failures(tmp_path, monkeypatch):
    path = archive_samples.write("usual", tmp_path)
    assert "the error must have 'twice'" in archives.wrong(path, tmp_path, "twice")

    def fail(*arguments):
        raise PilahError("two\nlines")

    def write_outside(zip_path, target):
        (tmp_path / "outside").write_text("")
        raise PilahError("refused")

    ends = ((fail, "not one line"), (write_outside, "it left"), (lambda *_: 1 / 0, "ZeroDivisionError"))
    for function, words in ends:
        monkeypatch.setattr(photo_sources, "folder_of", function)
        assert words in archives.wrong(path, tmp_path, None)


def test_mutations_of_a_zip_reach_its_central_directory():
    sample = archive_samples.usual()
    start = sample.index(b"PK\x01\x02")
    files = [archives.damaged(random.Random(number), [sample]) for number in range(50)]
    assert any(file[:start] == sample[:start] and file != sample for file in files)
    assert mutations.pieces(sample) == [sample]
