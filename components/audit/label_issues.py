"""Label issues: the photos whose label is likely wrong, by out-of-fold probabilities."""

import numpy as np
from cleanlab.filter import find_label_issues


def likely_mislabelled(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return the rows of the photos whose label is likely wrong, int64 [m], the least credible label first.

    Uses cleanlab's confident learning (Northcutt, Jiang and Chuang, 2021). It estimates from confident predictions how
    many photos of each class have which label, and returns that many photos with the least credible labels.

    Args:
        labels: int64 [n], in [0, classes); every class must occur.
        probabilities: float [n, classes], each row from a model that was not trained on the photo.
    """
    # normalize, because probabilities are rounded in files, so that their sums differ from 1 by up to 1e-6
    shares = probabilities / probabilities.sum(axis=1, keepdims=True)
    return find_label_issues(labels, shares, return_indices_ranked_by="self_confidence", n_jobs=1).astype(np.int64)
