import itertools
import pathlib

import numpy as np
import pytest
from PIL import Image

from components.demo import synthetic_photos


def silent(done: int, total: int) -> None:
    """Progress that nobody watches."""


def files_of(folder: pathlib.Path) -> dict[str, bytes]:
    """Every file below `folder`: its path there -> its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("label", synthetic_photos.CLASSES)
def test_any_class_is_drawn_rgb_at_the_stated_size_and_not_flat(label):
    photo = synthetic_photos.draw(label, 1, 0)
    assert (photo.mode, photo.size) == ("RGB", synthetic_photos.SIZE_PX)
    assert np.asarray(photo).std() > 5


@pytest.mark.parametrize("label", synthetic_photos.CLASSES)
def test_same_arguments_draw_the_same_photo_whatever_was_drawn_before(label):
    first = synthetic_photos.draw(label, 3, 5)
    synthetic_photos.draw("trash", 8, 5)
    assert synthetic_photos.draw(label, 3, 5).tobytes() == first.tobytes()


def test_any_other_argument_draws_another_photo():
    arguments = list(itertools.product(synthetic_photos.CLASSES, (1, 2, 3), (0, 1)))
    assert len({synthetic_photos.draw(*each).tobytes() for each in arguments}) == len(arguments)


@pytest.mark.parametrize("label", synthetic_photos.CLASSES)
def test_photos_of_a_class_differ_by_more_than_noise(label):
    small = [
        np.asarray(synthetic_photos.draw(label, index, 0).resize((8, 6), Image.Resampling.BOX), float)
        for index in range(12)
    ]
    assert min(np.abs(one - other).mean() for one, other in itertools.combinations(small, 2)) > 3


@pytest.mark.parametrize("label", synthetic_photos.CLASSES)
def test_many_photos_of_a_class_are_all_drawn_without_an_error(label):
    for index in range(60):
        synthetic_photos.draw(label, index, 99)


def test_unknown_class_is_refused():
    with pytest.raises(KeyError, match="wood"):
        synthetic_photos.draw("wood", 1, 0)


def test_written_folder_has_every_class_with_its_count_of_readable_photos(tmp_path):
    synthetic_photos.write(tmp_path / "photos", 20, 0, silent)
    counts = {folder.name: len(list(folder.glob("*.jpg"))) for folder in (tmp_path / "photos").iterdir()}
    assert counts == {"cardboard": 18, "glass": 20, "metal": 18, "paper": 20, "plastic": 20, "trash": 10}
    with Image.open(tmp_path / "photos" / "trash" / "trash-010.jpg") as photo:
        assert (photo.format, photo.size) == ("JPEG", synthetic_photos.SIZE_PX)


def test_same_seed_writes_the_same_bytes_and_another_seed_other_bytes(tmp_path):
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        synthetic_photos.write(tmp_path / name, 4, seed, silent)
    one, again, other = (files_of(tmp_path / name) for name in ("one", "again", "other"))
    assert one == again
    assert one.keys() == other.keys()
    assert not set(one.values()) & set(other.values())


def test_progress_hears_each_photo_once_and_the_total(tmp_path):
    heard = []
    synthetic_photos.write(tmp_path / "photos", 2, 0, lambda done, total: heard.append((done, total)))
    assert heard == [(done, 11) for done in range(1, 12)]


def test_folder_is_not_there_when_writing_was_interrupted_and_whole_after_the_next_try(tmp_path):
    def interrupt(done: int, total: int) -> None:
        if done == total - 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthetic_photos.write(tmp_path / "photos", 4, 0, interrupt)
    assert not (tmp_path / "photos").exists()

    synthetic_photos.write(tmp_path / "photos", 2, 0, silent)
    assert len(files_of(tmp_path / "photos")) == 11  # none left over from the larger set that was interrupted
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_folder_holds_only_the_new_set_when_it_was_there_before(tmp_path):
    synthetic_photos.write(tmp_path / "photos", 4, 0, silent)
    synthetic_photos.write(tmp_path / "photos", 2, 1, silent)
    synthetic_photos.write(tmp_path / "fresh", 2, 1, silent)
    assert files_of(tmp_path / "photos") == files_of(tmp_path / "fresh")
