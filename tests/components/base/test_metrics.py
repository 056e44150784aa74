import numpy as np
import pytest
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from components.base import metrics
from components.base.errors import NotFiniteError

CLASSES = ("cardboard", "glass", "metal", "paper", "plastic", "trash")
THESIS_COUNTS = {  # class -> true positives, false positives, false negatives of the thesis's worked example
    "cardboard": (393, 9, 10),
    "glass": (479, 25, 22),
    "metal": (392, 25, 18),
    "paper": (578, 16, 16),
    "plastic": (453, 21, 29),
    "trash": (124, 12, 13),
}
THESIS_MATRIX = np.array(  # one matrix with the counts that the thesis gives
    [
        [393, 1, 1, 6, 1, 1],
        [0, 479, 10, 0, 11, 1],
        [1, 10, 392, 1, 4, 2],
        [6, 1, 2, 578, 3, 4],
        [0, 12, 9, 4, 453, 4],
        [2, 1, 3, 5, 2, 124],
    ]
)


def test_exact_f1_equals_the_float_and_does_not_depend_on_class_order():
    with_empty_class = np.pad(THESIS_MATRIX, (0, 1))
    for matrix in (THESIS_MATRIX, with_empty_class):
        expected = metrics.score(matrix, [str(number) for number in range(len(matrix))]).f1
        assert float(metrics.exact_f1(matrix)) == pytest.approx(expected, rel=1e-15)
    order = [3, 0, 5, 1, 4, 2]
    assert metrics.exact_f1(THESIS_MATRIX) == metrics.exact_f1(THESIS_MATRIX[np.ix_(order, order)].tolist())


def labels_of(matrix):
    """Return the actual and predicted classes of the photos in a confusion matrix."""
    actual, predicted = np.indices(matrix.shape)
    return np.repeat(actual.ravel(), matrix.ravel()), np.repeat(predicted.ravel(), matrix.ravel())


def test_worked_example_of_the_thesis_gives_its_macro_averages():
    true_positives, false_positives, false_negatives = np.array(list(THESIS_COUNTS.values())).T
    np.testing.assert_array_equal(np.diag(THESIS_MATRIX), true_positives)
    np.testing.assert_array_equal(THESIS_MATRIX.sum(axis=0) - true_positives, false_positives)
    np.testing.assert_array_equal(THESIS_MATRIX.sum(axis=1) - true_positives, false_negatives)
    scores = metrics.score(THESIS_MATRIX, CLASSES)
    assert round(scores.precision, 4) == 0.9514
    assert round(scores.recall, 4) == 0.9509
    assert round(scores.f1, 4) == 0.9511
    assert scores.accuracy == 2419 / 2527
    assert scores.never_predicted == ()


@pytest.mark.parametrize("classes", [2, 3, 6, 11])
@pytest.mark.parametrize("limit", [2, 40])  # with counts below 2, many rows and columns are empty
def test_random_matrices_agree_with_scikit_learn(classes, limit):
    rng = np.random.default_rng(classes)
    for _ in range(10):
        matrix = rng.integers(0, limit, (classes, classes)) * (rng.random(classes) < 0.8)
        matrix[0, 1] += 1
        actual, predicted = labels_of(matrix)
        scores = metrics.score(matrix, [str(number) for number in range(classes)])
        for average, ours in (
            ("macro", (scores.precision, scores.recall, scores.f1)),
            (None, (scores.class_precision, scores.class_recall, scores.class_f1)),
        ):
            expected = precision_recall_fscore_support(
                actual, predicted, labels=range(classes), average=average, zero_division=0
            )
            np.testing.assert_allclose(ours, expected[:3], rtol=1e-12)
        assert scores.accuracy == pytest.approx(accuracy_score(actual, predicted), rel=1e-12)


def test_rows_of_the_matrix_are_actual_classes():
    matrix = metrics.confusion([0, 0, 0, 1], [0, 2, 2, 1], 3)
    assert matrix.tolist() == [[1, 0, 2], [0, 1, 0], [0, 0, 0]]
    scores = metrics.score(matrix, ["glass", "metal", "paper"])
    assert scores.class_recall == (1 / 3, 1.0, 0.0)
    assert scores.class_precision == (1.0, 1.0, 0.0)


def test_confusion_counts_each_photo_once():
    actual, predicted = labels_of(THESIS_MATRIX)
    np.testing.assert_array_equal(metrics.confusion(actual.tolist(), predicted.tolist(), 6), THESIS_MATRIX)


def test_class_never_predicted_counts_as_0_and_is_named():
    scores = metrics.score(np.array([[4, 0, 0], [0, 4, 0], [2, 2, 0]]), ["glass", "metal", "paper"])
    assert scores.never_predicted == ("paper",)
    assert scores.class_precision[2] == scores.class_recall[2] == scores.class_f1[2] == 0
    assert scores.precision == pytest.approx((4 / 6 + 4 / 6 + 0) / 3)
    assert scores.f1 == pytest.approx((0.8 + 0.8 + 0) / 3)


def test_class_without_photos_has_recall_0_and_still_counts():
    scores = metrics.score(np.array([[3, 0, 1], [0, 4, 0], [0, 0, 0]]), ["glass", "metal", "paper"])
    assert scores.class_recall == (0.75, 1.0, 0.0)
    assert scores.recall == pytest.approx(1.75 / 3)
    assert scores.never_predicted == (), "paper was predicted once, wrongly"


def test_class_without_photos_does_not_lower_the_f1_of_a_fold():
    assert metrics.f1_of_present_classes(np.array([[3, 0, 0], [0, 2, 0], [0, 0, 0]])) == 1.0
    with_false_positive = np.array([[3, 0, 1], [0, 2, 0], [0, 0, 0]])
    assert metrics.f1_of_present_classes(with_false_positive) == pytest.approx((6 / 7 + 1) / 2)


def test_class_without_photos_or_predictions_is_zero_in_the_matrix():
    matrix = metrics.confusion([0, 1], [0, 1], 3)
    assert matrix.shape == (3, 3)
    scores = metrics.score(matrix, ["glass", "metal", "paper"])
    assert scores.f1 == pytest.approx(2 / 3)
    assert scores.never_predicted == ("paper",)


def test_perfect_predictions_score_1():
    scores = metrics.score(np.diag([3, 1, 200]), ["glass", "metal", "paper"])
    assert (scores.precision, scores.recall, scores.f1, scores.accuracy) == (1, 1, 1, 1)


def test_wrong_number_of_class_names_raises():
    with pytest.raises(ValueError):
        metrics.score(np.eye(3, dtype=int), ["glass", "metal"])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_rows_that_are_not_finite_are_counted(bad):
    scores = np.full((5, 3), 0.2, np.float32)
    metrics.check_finite(scores, "Scores", "Do this.")
    scores[1, 2] = scores[4, 0] = scores[4, 1] = bad
    with pytest.raises(NotFiniteError, match=r"Scores must be finite, but 2 of 5 are not\. Do this\."):
        metrics.check_finite(scores, "Scores", "Do this.")


def test_matrix_without_photos_raises():
    with pytest.raises(ValueError, match="at least one photo"):
        metrics.score(np.zeros((3, 3), np.int64), ["a", "b", "c"])
