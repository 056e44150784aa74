"""The pixels of all photos, and the batches read from them."""

import numpy as np
import pytest
from tiny_backbone import SCENARIO

from components.data import pixels, records
from components.models import finetune

pytest_plugins = ["finetune_fixtures"]


def test_pixels_are_those_of_the_records_and_a_record_too_few_is_refused(written):
    folder, photo_list = written
    ids = [photo.id for photo in photo_list]
    expected = [record["image"] for record in records.read(folder).as_numpy_iterator()]
    np.testing.assert_array_equal(pixels.load(folder, ids), expected)
    (folder / "pixels.npy").unlink()
    with pytest.raises(RuntimeError, match="in order"):
        pixels.load(folder, ids[1:])
    assert not (folder / "pixels.npy").exists()


def test_no_batches_tune_themselves_for_that_holds_up_the_end_of_each_epoch(study):
    recipe, examples, rows = study.recipe(SCENARIO), study.examples("Tiny"), np.arange(20)
    trained, tested = finetune.batches(recipe, examples, rows, 0, 7), pixels.clean(examples.pixels, rows)
    assert [batches.options().autotune.enabled for batches in (trained, tested)] == [False, False]
