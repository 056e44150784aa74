import dataclasses
import pathlib

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from components.base import artifacts
from components.base.errors import PilahError
from components.data import grouped_folds, near_duplicates, photos, stratified_folds
from components.demo import synthetic_photos
from pipeline.config import Config
from pipeline.stages import photos as photos_stage

MAX_PIXELS = 1_000_000


def ignore(done, total):
    pass


def hashes(paths):
    photo_list = [photos.Photo(artifacts.file_digest(path), str(path), "glass", 0) for path in paths]
    return near_duplicates.perceptual_hashes(photo_list, MAX_PIXELS, ignore)


@pytest.fixture
def three_paths(tmp_path):
    """Return the paths of a photo, a smaller, brighter copy in low quality, and another photo."""
    first = synthetic_photos.draw("glass", 1, seed=1)
    paths = [tmp_path / name for name in ("first.png", "again.jpg", "other.png")]
    first.save(paths[0])
    ImageEnhance.Brightness(first.resize((100, 75))).enhance(1.1).save(paths[1], quality=40)
    synthetic_photos.draw("paper", 1, seed=1).save(paths[2])
    return paths


def test_copy_of_a_photo_is_near_and_another_photo_is_not(three_paths):
    assert near_duplicates.hash_pairs(hashes(three_paths)).tolist() == [[0, 1]]


def test_copy_with_an_exif_orientation_is_near(three_paths, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees clockwise
    turned = Image.open(three_paths[0]).transpose(Image.Transpose.ROTATE_90)
    turned.save(tmp_path / "turned.jpg", exif=exif)
    assert near_duplicates.hash_pairs(hashes([three_paths[0], tmp_path / "turned.jpg"])).tolist() == [[0, 1]]


@pytest.mark.parametrize("kind", ["not a photo", "half a JPEG"])
def test_unusable_photos_have_no_near_duplicates(kind, three_paths, tmp_path):
    content = {"not a photo": b"text", "half a JPEG": three_paths[1].read_bytes()[:-500]}[kind]
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(content)
    assert len(near_duplicates.hash_pairs(hashes([tmp_path / "a.jpg", tmp_path / "b.jpg"]))) == 0


def test_hashes_that_differ_in_four_bits_are_near_and_in_five_are_not():
    rows = np.ones((3, 64), np.float32)
    rows[1, :4] = -1
    rows[2, :5] = -1
    assert near_duplicates.hash_pairs(rows).tolist() == [[0, 1], [1, 2]]


def test_pairs_are_found_across_blocks_of_rows(monkeypatch):
    vectors = np.eye(7, dtype=np.float32)[[0, 1, 2, 0, 4, 5, 0]]
    in_one_block = near_duplicates.pairs_above(vectors, 1).tolist()
    monkeypatch.setattr(near_duplicates, "BLOCK_ROWS", 2)
    assert near_duplicates.pairs_above(vectors, 1).tolist() == in_one_block == [[0, 3], [0, 6], [3, 6]]


def test_chain_of_pairs_is_one_group_and_other_photos_are_separate():
    group = near_duplicates.groups(np.array([[0, 3], [3, 5]]), 6)
    assert group[0] == group[3] == group[5]
    assert len(set(group.tolist())) == 4


def test_pair_with_different_hashes_is_found_by_features():
    rng = np.random.default_rng(0)
    activations = rng.normal(size=(6, 50)).astype(np.float32)
    activations[4] = 3 * activations[1] + 0.1 * rng.normal(size=50)
    duplicates = near_duplicates.find(np.zeros((6, 64), np.float32), activations, np.array([0, 0, 0, 1, 0, 1]))
    assert duplicates.pairs.tolist() == [[1, 4]]
    assert duplicates.cosine[0] > 0.99 and duplicates.min_cosine == 0.9


def test_threshold_rises_above_cosines_of_different_classes():
    """Uninformative features, such as those of random weights, must not make all photos near-duplicates."""
    rng = np.random.default_rng(0)
    units = near_duplicates.unit_rows(100 + rng.normal(size=(40, 8)).astype(np.float32))
    labels = np.arange(40) % 2
    assert near_duplicates.cosine_threshold(units, labels) > 0.999
    assert len(near_duplicates.pairs_above(units, near_duplicates.MIN_COSINE)) == 40 * 39 / 2
    assert len(near_duplicates.pairs_above(units, near_duplicates.cosine_threshold(units, labels))) < 40


def test_grouped_folds_keep_copies_together_that_plain_folds_separate(tmp_path):
    for label in ("glass", "paper"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for index in range(6):
            photo = synthetic_photos.draw(label, index, seed=3)
            photo.save(tmp_path / "photos" / label / f"{index}.png")
            photo.save(tmp_path / "photos" / label / f"{index}-again.jpg", quality=70)
    config = Config(tmp_path, images=(tmp_path / "photos",), folds=3, seed=1)
    plain, grouped = list_photos(config), list_photos(dataclasses.replace(config, group_folds=True))
    assert separated(plain), "otherwise there is nothing to keep together"
    assert not separated(grouped)
    assert [photo.id for photo in grouped] == [photo.id for photo in plain]
    for fold in range(3):
        assert {photo.label for photo in grouped if photo.fold == fold} == {"glass", "paper"}


def list_photos(config):
    """Run the stage photos, and return the rows of its photos.csv."""
    photos_stage.run(config, lambda done, total, what="", note="": None)
    return photos.read(config.run_dir / "photos.csv")


def separated(photo_list):
    """Return the photos whose two copies are in different folds."""
    fold_of = {}
    for photo in photo_list:
        path = pathlib.Path(photo.path)
        fold_of.setdefault((photo.label, path.stem.removesuffix("-again")), set()).add(photo.fold)
    assert len(fold_of) == len(photo_list) / 2
    return [name for name, folds in fold_of.items() if len(folds) > 1]


def test_class_with_fewer_groups_than_folds_raises():
    with pytest.raises(PilahError, match=r"as folds \(3\).*: paper 2\."):
        grouped_folds.assign(["glass"] * 4 + ["paper"] * 4, np.array([0, 1, 2, 3, 4, 4, 4, 5]), 3, seed=1)


def test_groups_across_classes_that_leave_a_fold_without_a_class_raise():
    labels = ["glass"] * 3 + ["paper"] * 3
    groups = np.array([0, 1, 2, 0, 0, 1])  # with any 3 folds, the fold of group 2 has no paper
    with pytest.raises(grouped_folds.UngroupableError, match="these have fewer: paper 2"):
        grouped_folds.assign(labels, groups, 3, seed=1)
    labels, groups = ["glass"] * 8 + ["paper"] * 2, np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 3])
    fold_of = grouped_folds.assign(labels, groups, 2, seed=1)
    assert stratified_folds.untested(labels, fold_of, 2) == ""


@pytest.mark.parametrize("seed", range(20))
def test_grouped_folds_test_every_class_or_raise(seed):
    rng = np.random.default_rng(seed)
    labels, groups = [f"class {number}" for number in rng.integers(0, 3, 24)], rng.integers(0, 7, 24)
    try:
        fold_of = grouped_folds.assign(labels, groups, 3, seed=seed + 1)
    except grouped_folds.UngroupableError:
        return
    assert {(label, fold) for label, fold in zip(labels, fold_of.tolist(), strict=True)} == {
        (label, fold) for label in set(labels) for fold in range(3)
    }
