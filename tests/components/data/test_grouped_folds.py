import numpy as np
import pytest

from components.data import grouped_folds, stratified_folds

LABELS = ["glass", "paper"] * 6
PLAIN = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2])


def test_group_moves_to_the_fold_with_most_of_its_photos_and_other_photos_stay():
    groups = np.arange(12)
    groups[[0, 4, 6]] = 4  # one photo in fold 0, two in fold 1
    together = grouped_folds.keep_together(PLAIN, LABELS, groups, 3, seed=1)
    assert together.tolist() == [1, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]


def test_group_with_a_tie_between_folds_moves_by_the_seed():
    groups = np.arange(12)
    groups[[8, 4]] = 8
    splits = [grouped_folds.keep_together(PLAIN, LABELS, groups, 3, seed) for seed in range(20)]
    assert {(split[4], split[8]) for split in splits} == {(1, 1), (2, 2)}
    assert all((np.delete(split, [4, 8]) == np.delete(PLAIN, [4, 8])).all() for split in splits)


def test_group_that_takes_the_last_photo_of_a_class_from_a_fold_raises():
    groups = np.arange(12)
    groups[[0, 2, 4, 6, 8]] = 0  # all photos of glass except one in fold 2
    with pytest.raises(grouped_folds.UngroupableError, match="no test photos of glass in fold"):
        grouped_folds.keep_together(PLAIN, LABELS, groups, 3, seed=1)


@pytest.mark.parametrize("seed", range(5))
def test_groups_are_kept_together_in_the_fold_with_most_of_their_photos(seed):
    rng = np.random.default_rng(seed)
    labels = [("glass", "metal")[number] for number in rng.integers(0, 2, 200)]
    groups, plain = rng.integers(0, 100, 200), stratified_folds.assign(labels, 4, seed)
    together = grouped_folds.keep_together(plain, labels, groups, 4, seed=1)
    for group in np.unique(groups):
        before, (fold,) = plain[groups == group].tolist(), set(together[groups == group].tolist())
        assert before.count(fold) == max(before.count(other) for other in range(4))
