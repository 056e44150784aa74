"""The pixels of all photos, and the batches read from them."""

import dataclasses

import numpy as np
import pytest
from tiny_backbone import SCENARIO

from components.data import pixels, records
from components.models import finetuning

pytest_plugins = ["finetuning_fixtures"]


def test_pixels_equal_the_records_and_a_missing_record_raises(written):
    folder, photo_list = written
    ids = [photo.id for photo in photo_list]
    expected = [record["image"] for record in records.read(folder).as_numpy_iterator()]
    np.testing.assert_array_equal(pixels.load(folder, ids), expected)
    (folder / "pixels.npy").unlink()
    with pytest.raises(RuntimeError, match="in order"):
        pixels.load(folder, ids[1:])
    assert not (folder / "pixels.npy").exists()


def test_batches_have_fixed_parallelism_and_no_autotuning(study):
    recipe, examples, rows = study.recipe(SCENARIO), study.examples("Tiny"), np.arange(20)
    training_batches = finetuning.batches(recipe, examples, rows, epoch=0, seed=7)
    test_batches = pixels.clean(examples.pixels, rows)
    assert [batches.options().autotune.enabled for batches in (training_batches, test_batches)] == [False, False]


def test_strong_augmentation_changes_the_pixels_of_fine_tuning_and_no_label(study):
    recipe, examples, rows = study.recipe(SCENARIO), study.examples("Tiny"), np.arange(20)
    strong = dataclasses.replace(recipe, augmentation_kind="strong")
    (pixels_of_affine, *affine), (pixels_of_strong, *rest) = (
        map(np.concatenate, zip(*finetuning.batches(each, examples, rows, epoch=0, seed=7), strict=True))
        for each in (recipe, strong)
    )
    assert pixels_of_strong.shape == pixels_of_affine.shape and pixels_of_strong.dtype == np.uint8
    assert (pixels_of_strong != pixels_of_affine).any(axis=(1, 2, 3)).mean() > 0.5
    for values, expected in zip(rest, affine, strict=True):
        np.testing.assert_array_equal(values, expected)
