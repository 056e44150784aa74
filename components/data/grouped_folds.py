"""Folds that keep near-duplicates together, so that no model is tested on a near-duplicate of a training photo."""

import collections
import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from components.base.errors import PilahError
from components.data import near_duplicates, photos, stratified_folds


class UngroupableError(PilahError):
    """No folds keep groups together and also test every class."""


def regroup(
    photo_list: Sequence[photos.Photo],
    folds: int,
    seed: int,
    *,
    max_pixels: int,
    progress: Callable[[int, int], None],
) -> list[photos.Photo]:
    """Return `photo_list` with new folds, in which photos with similar perceptual hashes have the same fold.

    Only hashes are used, because folds are assigned before features are computed. They find two shots of a scene, but
    not an object that was turned over; the audit finds those by features.

    Raises:
        UngroupableError: as in `assign`.
        PilahError: a photo has changed since it was listed.
    """
    hashes = near_duplicates.perceptual_hashes(photo_list, max_pixels, progress)
    groups = near_duplicates.groups(near_duplicates.hash_pairs(hashes), len(photo_list))
    fold_of = assign([photo.label for photo in photo_list], groups, folds, seed)
    return [dataclasses.replace(photo, fold=int(fold)) for photo, fold in zip(photo_list, fold_of, strict=True)]


def assign(labels: Sequence[str], groups: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Return the test fold of each photo, int64 [n]: equal within a group, and as stratified as possible.

    Raises:
        UngroupableError: some fold would test no photo of a class, because the class has fewer groups than there are
            folds, or its groups hold photos of other classes too.
    """
    if short := too_few_groups(labels, groups, folds):
        raise UngroupableError(
            f"Each class needs at least as many groups of near-duplicates as folds ({folds}), but these have fewer: "
            f"{short}. Add photos, leave out --group-folds, or lower --folds."
        )
    fold_of = np.empty(len(labels), np.int64)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for fold, (_, test) in enumerate(splitter.split(labels, labels, groups)):
        fold_of[test] = fold
    if missing := stratified_folds.untested(labels, fold_of, folds):
        raise UngroupableError(
            "With near-duplicates of different classes kept in one fold, there are no test photos of "
            f"{missing}. Leave out --group-folds, lower --folds, or change --seed."
        )
    return fold_of


def keep_together(fold_of: np.ndarray, labels: Sequence[str], groups: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Return `fold_of` with each group moved to the fold that has most of its photos; `seed` breaks ties.

    Photos without a near-duplicate keep their folds, so that the two splits differ only in the moved photos.

    Args:
        fold_of: int64 [n], fold of each photo.
        groups: int64 [n], equal for photos of one group.

    Raises:
        UngroupableError: some fold would test no photo of a class.
    """
    _, group = np.unique(groups, return_inverse=True)
    counts = np.random.default_rng(seed).random((len(groups), folds)) / 2  # breaks ties
    np.add.at(counts, (group, fold_of), 1)  # photos by group and fold
    together = counts.argmax(axis=1)[group]
    if missing := stratified_folds.untested(labels, together, folds):
        raise UngroupableError(
            "Every fold must test every class, but with each group of near-duplicates moved to one fold there are no "
            f"test photos of {missing}. Add photos."
        )
    return together


def too_few_groups(labels: Sequence[str], groups: np.ndarray, folds: int) -> str:
    """Return the classes with fewer groups than folds and their numbers of groups, as text; empty if there are none."""
    counts = collections.Counter(label for label, _ in set(zip(labels, groups.tolist(), strict=True)))
    return ", ".join(f"{label} {count}" for label, count in sorted(counts.items()) if count < folds)
