import itertools
import pathlib

import numpy as np
import pytest
from PIL import Image

from components.demo import synthetic_photos


def silent(done: int, total: int) -> None:
    """Ignore progress."""


def files_of(folder: pathlib.Path) -> dict[str, bytes]:
    """Return relative path -> bytes of every file below `folder`."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("label", synthetic_photos.CLASSES)
def test_photo_of_every_class_is_rgb_of_the_documented_size(label):
    photo = synthetic_photos.draw(label, 1, 0)
    assert (photo.mode, photo.size) == ("RGB", synthetic_photos.SIZE_PX)
    assert np.asarray(photo).std() > 5


@pytest.mark.parametrize("label", synthetic_photos.CLASSES)
def test_same_arguments_draw_the_same_photo(label):
    first = synthetic_photos.draw(label, 3, 5)
    synthetic_photos.draw("trash", 8, 5)
    assert synthetic_photos.draw(label, 3, 5).tobytes() == first.tobytes()


def test_other_arguments_draw_other_photos():
    arguments = list(itertools.product(synthetic_photos.CLASSES, (1, 2, 3), (0, 1)))
    assert len({synthetic_photos.draw(*values).tobytes() for values in arguments}) == len(arguments)


@pytest.mark.parametrize("label", synthetic_photos.CLASSES)
def test_photos_of_a_class_differ_by_more_than_noise(label):
    small = [
        np.asarray(synthetic_photos.draw(label, index, 0).resize((8, 6), Image.Resampling.BOX), float)
        for index in range(12)
    ]
    assert min(np.abs(first - second).mean() for first, second in itertools.combinations(small, 2)) > 3


@pytest.mark.parametrize("label", synthetic_photos.CLASSES)
def test_many_photos_of_a_class_are_drawn_without_error(label):
    for index in range(60):
        synthetic_photos.draw(label, index, 99)


def test_unknown_class_raises():
    with pytest.raises(KeyError, match="wood"):
        synthetic_photos.draw("wood", 1, 0)


def test_written_folder_has_all_classes_with_their_numbers_of_photos(tmp_path):
    synthetic_photos.write(tmp_path / "photos", 20, 0, silent)
    counts = {folder.name: len(list(folder.glob("*.jpg"))) for folder in (tmp_path / "photos").iterdir()}
    assert counts == {"cardboard": 18, "glass": 20, "metal": 18, "paper": 20, "plastic": 20, "trash": 10}
    with Image.open(tmp_path / "photos" / "trash" / "trash-010.jpg") as photo:
        assert (photo.format, photo.size) == ("JPEG", synthetic_photos.SIZE_PX)


def test_same_seed_writes_the_same_bytes_and_another_seed_does_not(tmp_path):
    for name, seed in (("first", 0), ("again", 0), ("other", 1)):
        synthetic_photos.write(tmp_path / name, 4, seed, silent)
    first, again, other = (files_of(tmp_path / name) for name in ("first", "again", "other"))
    assert first == again
    assert first.keys() == other.keys()
    assert not set(first.values()) & set(other.values())


def test_progress_is_called_for_each_photo_with_the_total(tmp_path):
    calls = []
    synthetic_photos.write(tmp_path / "photos", 2, 0, lambda done, total: calls.append((done, total)))
    assert calls == [(done, 11) for done in range(1, 12)]


def test_interrupted_write_leaves_no_folder_and_the_next_write_is_complete(tmp_path):
    def interrupt(done: int, total: int) -> None:
        if done == total - 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthetic_photos.write(tmp_path / "photos", 4, 0, interrupt)
    assert not (tmp_path / "photos").exists()

    synthetic_photos.write(tmp_path / "photos", 2, 0, silent)
    assert len(files_of(tmp_path / "photos")) == 11  # without files of the interrupted write, which was larger
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_existing_folder_is_replaced(tmp_path):
    synthetic_photos.write(tmp_path / "photos", 4, 0, silent)
    synthetic_photos.write(tmp_path / "photos", 2, 1, silent)
    synthetic_photos.write(tmp_path / "fresh", 2, 1, silent)
    assert files_of(tmp_path / "photos") == files_of(tmp_path / "fresh")
