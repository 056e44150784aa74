import numpy as np

from components.audit import label_issues
from components.base import metrics


def test_labels_contradicted_by_confident_predictions_are_issues_least_credible_first():
    labels = np.arange(60) % 3
    probabilities = np.full((60, 3), 0.05)
    probabilities[np.arange(60), labels] = 0.9
    probabilities[7] = [0.97, 0.02, 0.01]  # label 1
    probabilities[20] = [0.9, 0.05, 0.05]  # label 2
    probabilities[30] = [0.4, 0.3, 0.3]  # label 0: unsure but correct
    assert label_issues.likely_mislabelled(labels, probabilities).tolist() == [7, 20]


def test_confirmed_labels_are_not_issues():
    labels = np.arange(30) % 3
    assert label_issues.likely_mislabelled(labels, np.eye(3)[labels] * 0.7 + 0.1).tolist() == []
    assert metrics.score(metrics.confusion(labels, labels, 3), "abc").f1 == 1
