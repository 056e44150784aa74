"""What an audit of the photos found -> counts, and rows for its tables."""

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
LABEL_DOUBT_COLUMNS = ("id", "label", "suggested", "p_label", "p_suggested", "fold", "path")
ODD_PHOTO_COLUMNS = ("id", "kind", "measure", "label", "path")


def near_duplicate_rows(
    found: near_duplicates.NearDuplicates, photo_list: Sequence[photos.Photo]
) -> list[dict[str, Any]]:
    """A row a pair, the largest group first (number 1), in a group the most similar pair first."""
    sizes = collections.Counter(found.group.tolist())
    paired = dict.fromkeys(found.group[found.pairs[:, 0]].tolist())  # a dict keeps the order of the rows
    number = {group: place for place, group in enumerate(sorted(paired, key=lambda group: -sizes[group]), start=1)}
    rows = []
    for (first, second), hamming_bits, cosine in zip(found.pairs, found.hamming_bits, found.cosine, strict=True):
        one, other = photo_list[first], photo_list[second]
        by_hash, by_features = hamming_bits <= near_duplicates.MAX_HAMMING_BITS, cosine >= found.min_cosine
        rows.append(
            {
                "group": number[int(found.group[first])],
                "first_id": one.id,
                "second_id": other.id,
                "hamming_bits": int(hamming_bits),
                "cosine": f"{cosine:.4f}",
                "found_by": "both" if by_hash and by_features else "hash" if by_hash else "features",
                "first_label": one.label,
                "second_label": other.label,
                "first_fold": one.fold,
                "second_fold": other.fold,
                "first_path": one.path,
                "second_path": other.path,
            }
        )
    return sorted(rows, key=lambda row: (row["group"], -float(row["cosine"])))


def near_duplicate_counts(rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    """How many pairs, groups and photos, and how many of them cross folds and classes."""
    photo_ids: dict[int, set[str]] = collections.defaultdict(set)  # group -> its photos
    across: dict[str, list[dict[str, Any]]] = {
        name: [row for row in rows if row[f"first_{name}"] != row[f"second_{name}"]] for name in ("fold", "label")
    }
    for row in rows:
        photo_ids[row["group"]] |= {row["first_id"], row["second_id"]}
    found_by = collections.Counter(row["found_by"] for row in rows)
    beside = {row[place] for row in across["fold"] for place in ("first_id", "second_id")}
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
        "photos_with_one_in_another_fold": len(beside),
    }


def label_doubt_rows(
    doubted: np.ndarray, probabilities: np.ndarray, photo_list: Sequence[photos.Photo], classes: Sequence[str]
) -> list[dict[str, Any]]:
    """A row a photo of `doubted`, in its order: its label, the class that the model would give it, and both shares."""
    rows = []
    for index in doubted.tolist():
        photo, shares = photo_list[index], probabilities[index]
        suggested = int(shares.argmax())
        rows.append(
            {
                "id": photo.id,
                "label": photo.label,
                "suggested": classes[suggested],
                "p_label": f"{shares[classes.index(photo.label)]:.6f}",
                "p_suggested": f"{shares[suggested]:.6f}",
                "fold": photo.fold,
                "path": photo.path,
            }
        )
    return rows


def odd_photo_rows(
    findings: Sequence[tuple[int, str, float]], photo_list: Sequence[photos.Photo]
) -> list[dict[str, Any]]:
    """A row a finding of image_quality.find; a photo that is odd in two ways has two."""
    return [
        {
            "id": photo_list[row].id,
            "kind": kind,
            "measure": f"{measure:.4f}",
            "label": photo_list[row].label,
            "path": photo_list[row].path,
        }
        for row, kind, measure in findings
    ]
