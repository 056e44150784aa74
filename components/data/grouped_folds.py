"""Folds that keep near-duplicates together, so that no photo is tested by a model that has trained on its twin."""

import collections
import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from components.base.errors import PilahError
from components.data import near_duplicates, photos, stratified_folds


class UngroupableError(PilahError):
    """Folds that keep groups together cannot test every class."""


def regroup(
    photo_list: Sequence[photos.Photo],
    folds: int,
    seed: int,
    max_pixels: int,
    progress: Callable[[int, int], None],
) -> list[photos.Photo]:
    """`photo_list` with folds that keep photos together whose perceptual hashes are close.

    The hash alone, since folds are dealt before there are features: it finds one scene shot twice, not one object
    turned over, which the audit finds by features as well.

    Raises:
        UngroupableError: as `assign`.
        PilahError: a photo has changed since it was listed.
    """
    signs = near_duplicates.perceptual_hashes(photo_list, max_pixels, progress)
    groups = near_duplicates.groups(near_duplicates.hash_pairs(signs), len(photo_list))
    fold_of = assign([photo.label for photo in photo_list], groups, folds, seed)
    return [dataclasses.replace(photo, fold=int(fold)) for photo, fold in zip(photo_list, fold_of, strict=True)]


def assign(labels: Sequence[str], groups: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """The test fold of each photo, int64 [n]: one fold a group, classes spread as evenly as that allows.

    Raises:
        UngroupableError: some fold would test no photo of a class: it has fewer groups than there are folds, or its
            groups hold photos of other classes too, so that they cannot be spread.
    """
    if short := too_few_groups(labels, groups, folds):
        raise UngroupableError(
            f"Each class needs at least as many groups of near-duplicates as folds ({folds}), and these have fewer: "
            f"{short}. Add photos, leave out --group-folds, or lower --folds."
        )
    fold_of = np.empty(len(labels), np.int64)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for fold, (_, test) in enumerate(splitter.split(labels, labels, groups)):
        fold_of[test] = fold
    if missing := stratified_folds.untested(labels, fold_of, folds):
        raise UngroupableError(
            "Near-duplicates of different classes are kept in one fold, so that there is nothing to test of "
            f"{missing}. Leave out --group-folds, lower --folds, or change --seed."
        )
    return fold_of


def too_few_groups(labels: Sequence[str], groups: np.ndarray, folds: int) -> str:
    """The classes with fewer groups than folds, with their number of groups, as words; empty where there are none."""
    counts = collections.Counter(label for label, _ in set(zip(labels, groups.tolist(), strict=True)))
    return ", ".join(f"{label} {count}" for label, count in sorted(counts.items()) if count < folds)
