"""Label issues: the photos whose label is likely wrong, by out-of-fold probabilities."""

import numpy as np
from cleanlab.filter import find_label_issues


def likely_mislabelled(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return the rows of the photos whose label is likely wrong, int64 [m], the least credible label first.

    Confident learning (Northcutt, Jiang and Chuang, 2021) in cleanlab: it estimates from confident predictions how many
    photos of each class have which label, and returns as many of the least credible ones.

    Args:
        labels: int64 [n], in [0, classes); each class occurs.
        probabilities: float [n, classes], each row from a model that was not trained on the photo.
    """
    shares = probabilities / probabilities.sum(axis=1, keepdims=True)  # sums differ from 1 by 1e-6, as files round
    return find_label_issues(labels, shares, return_indices_ranked_by="self_confidence", n_jobs=1).astype(np.int64)
