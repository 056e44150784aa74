"""Out-of-fold probabilities -> the photos whose label is likely wrong."""

import numpy as np
from cleanlab.filter import find_label_issues


def likely_mislabelled(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Rows of the photos whose label is likely wrong, int64 [m], the least credible label first.

    Confident learning (Northcutt, Jiang and Chuang, 2021) as cleanlab does it: it estimates from confident predictions
    how many photos of each class stand under which label, and takes as many of the least credible ones.

    Args:
        labels: int64 [n], in [0, classes), each class there.
        probabilities: float [n, classes], each row from a model that has not seen the photo.
    """
    shares = probabilities / probabilities.sum(axis=1, keepdims=True)  # rounded on disk: sums are 1 but for 1e-6
    return find_label_issues(labels, shares, return_indices_ranked_by="self_confidence", n_jobs=1).astype(np.int64)
