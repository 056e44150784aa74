"""Results of an audit -> rows of its tables, and counts. Folds in the tables count from 1."""

import collections
from collections.abc import Sequence
from typing import Any

import numpy as np

from components.data import near_duplicates, photos

NEAR_DUPLICATE_COLUMNS = (
    "group",
    "first_id",
    "second_id",
    "hamming_bits",
    "cosine",
    "found_by",
    "first_label",
    "second_label",
    "first_fold",
    "second_fold",
    "first_path",
    "second_path",
)
LABEL_ISSUE_COLUMNS = ("id", "label", "suggested", "p_label", "p_suggested", "fold", "path")
IMAGE_QUALITY_COLUMNS = ("id", "kind", "measure", "label", "path")


def near_duplicate_rows(
    duplicates: near_duplicates.NearDuplicates, photo_list: Sequence[photos.Photo]
) -> list[dict[str, Any]]:
    """Return a row for each pair, sorted by the size of the group (the largest is number 1), then by similarity."""
    sizes = collections.Counter(duplicates.group.tolist())
    groups_of_pairs = dict.fromkeys(duplicates.group[duplicates.pairs[:, 0]].tolist())  # in the order of the pairs
    number = {
        group: rank for rank, group in enumerate(sorted(groups_of_pairs, key=lambda group: -sizes[group]), start=1)
    }
    rows = []
    pairs = zip(duplicates.pairs, duplicates.hamming_bits, duplicates.cosine, strict=True)
    for (first_row, second_row), hamming_bits, cosine in pairs:
        first, second = photo_list[first_row], photo_list[second_row]
        by_hash, by_features = hamming_bits <= near_duplicates.MAX_HAMMING_BITS, cosine >= duplicates.min_cosine
        rows.append(
            {
                "group": number[int(duplicates.group[first_row])],
                "first_id": first.id,
                "second_id": second.id,
                "hamming_bits": int(hamming_bits),
                "cosine": f"{cosine:.4f}",
                "found_by": "both" if by_hash and by_features else "hash" if by_hash else "features",
                "first_label": first.label,
                "second_label": second.label,
                "first_fold": first.fold + 1,
                "second_fold": second.fold + 1,
                "first_path": first.path,
                "second_path": second.path,
            }
        )
    return sorted(rows, key=lambda row: (row["group"], -float(row["cosine"])))


def near_duplicate_counts(rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Return the numbers of pairs, groups and photos, in all and across folds and classes."""
    photo_ids: dict[int, set[str]] = collections.defaultdict(set)  # group -> its photos
    across: dict[str, list[dict[str, Any]]] = {
        name: [row for row in rows if row[f"first_{name}"] != row[f"second_{name}"]] for name in ("fold", "label")
    }
    for row in rows:
        photo_ids[row["group"]] |= {row["first_id"], row["second_id"]}
    found_by = collections.Counter(row["found_by"] for row in rows)
    across_folds = {row[name] for row in across["fold"] for name in ("first_id", "second_id")}
    return {
        "pairs": len(rows),
        "pairs_by_hash_alone": found_by["hash"],
        "pairs_by_features_alone": found_by["features"],
        "pairs_by_both": found_by["both"],
        "pairs_across_folds": len(across["fold"]),
        "pairs_across_classes": len(across["label"]),
        "groups": len(photo_ids),
        "groups_across_folds": len({row["group"] for row in across["fold"]}),
        "groups_across_classes": len({row["group"] for row in across["label"]}),
        "photos_in_groups": sum(map(len, photo_ids.values())),
        "photos_in_largest_group": max(map(len, photo_ids.values()), default=0),
        "photos_with_one_in_another_fold": len(across_folds),
    }


def label_issue_rows(
    issues: np.ndarray, probabilities: np.ndarray, photo_list: Sequence[photos.Photo], classes: Sequence[str]
) -> list[dict[str, Any]]:
    """Return a row for each photo of `issues`, int64 [m]: label, predicted class, and the probabilities of both."""
    rows = []
    for index in issues.tolist():
        photo, photo_probabilities = photo_list[index], probabilities[index]
        suggested = int(photo_probabilities.argmax())
        rows.append(
            {
                "id": photo.id,
                "label": photo.label,
                "suggested": classes[suggested],
                "p_label": f"{photo_probabilities[classes.index(photo.label)]:.6f}",
                "p_suggested": f"{photo_probabilities[suggested]:.6f}",
                "fold": photo.fold + 1,
                "path": photo.path,
            }
        )
    return rows


def image_quality_rows(
    issues: Sequence[tuple[int, str, float]], photo_list: Sequence[photos.Photo]
) -> list[dict[str, Any]]:
    """Return a row for each issue of image_quality.find; a photo may have several."""
    return [
        {
            "id": photo_list[row].id,
            "kind": kind,
            "measure": f"{measure:.4f}",
            "label": photo_list[row].label,
            "path": photo_list[row].path,
        }
        for row, kind, measure in issues
    ]
