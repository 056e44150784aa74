"""Cross-validation folds, stratified by class; every fold must test every class."""

import collections
from collections.abc import Sequence

import numpy as np
from sklearn.model_selection import StratifiedKFold

from components.base.errors import PilahError
from components.data import class_names


def assign(labels: Sequence[str], folds: int, seed: int) -> np.ndarray:
    """Return the test fold of each photo, int64 [n] in [0, folds): stratified by class, shuffled by `seed`."""
    fold_of = np.empty(len(labels), np.int64)
    index_of = {name: index for index, name in enumerate(dict.fromkeys(labels))}
    classes = np.array([index_of[label] for label in labels])  # an array of names has room for the longest in each row
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    for fold, (_, test) in enumerate(splitter.split(classes, classes)):
        fold_of[test] = fold
    return fold_of


def check_class_sizes(labels: Sequence[str], classes: Sequence[str], folds: int, conflicts: Sequence[str] = ()) -> None:
    """Raise PilahError if a class has fewer photos than folds, since some fold would then test none of it.

    Args:
        conflicts: paths of files that were left out because they are in several classes.
    """
    counts = collections.Counter(labels)
    too_small = [f"{name} {counts[name]}" for name in classes if counts[name] < folds]
    if too_small:
        note = f" {len(conflicts)} files in several classes were left out, such as {conflicts[0]}." if conflicts else ""
        raise PilahError(
            f"Each class needs at least as many usable photos as folds ({folds}), but these have fewer: "
            f"{class_names.joined(too_small)}.{note} Add photos, remove the class, or lower --folds."
        )


def untested(labels: Sequence[str], fold_of: np.ndarray, folds: int) -> str:
    """Return the folds without a photo of some class as text, such as "glass in fold 1"; folds count from 1.

    The text is empty if every fold tests every class.

    Args:
        fold_of: int64 [n], the fold of each label.
    """
    tested = set(zip(labels, fold_of.tolist(), strict=True))
    missing = [(name, fold) for name in sorted(set(labels)) for fold in range(folds) if (name, fold) not in tested]
    return ", ".join(f"{name} in fold {fold + 1}" for name, fold in missing)
