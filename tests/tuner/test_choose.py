import pathlib

import numpy as np
import pytest

from components.base import artifacts
from components.base.errors import PilahError
from components.data import photos
from tuner import bbc_cv, choose, predictions, scenarios, trial_folder
from tuner import study as study_module

CLASSES = ["glass", "metal", "paper"]
PARAMETERS = {"ResNet50": 30, "VGG19": 20, "DenseNet121": 10}
PHOTOS = [
    photos.Photo(f"{number:016x}", f"/photos/{number}.jpg", CLASSES[number % 3], fold=number % 2)
    for number in range(12)
]
STUDY = study_module.Study(
    photo_list=PHOTOS,
    classes=CLASSES,
    folds=2,
    features_dir=pathlib.Path("not needed"),
    views=1,
    epochs=1,
    batch_size=4,
    learning_rate=1e-3,
    weight_decay=0.0,
    seed=7,
)
THREE = scenarios.list_scenarios(["ResNet50", "VGG19", "DenseNet121"], ["Adam"], [0.0])


def write_trial(trials_dir, number, wrong):
    """Write a trial in which the first `wrong` photos are predicted as the class after their own."""
    labels = [CLASSES.index(photo.label) for photo in PHOTOS]
    predicted = [(label + (row < wrong)) % 3 for row, label in enumerate(labels)]
    folder = trial_folder.path(trials_dir, number)
    probabilities = np.eye(3, dtype=np.float32)[predicted]
    predictions.write(folder / "predictions.csv", PHOTOS, probabilities, CLASSES)
    for fold in range(2):
        artifacts.write_json(
            folder / f"fold-{fold + 1}.json", {"seconds": 1.25 + fold, "history": {"loss": [], "accuracy": []}}
        )


def leaderboard_of(trials_dir, wrong_counts):
    """Return the leaderboard of scenarios with these numbers of wrong photos."""
    for number, wrong in enumerate(wrong_counts, start=1):
        write_trial(trials_dir, number, wrong)
    return choose.leaderboard(trials_dir, THREE, STUDY, {1: 30, 2: 20, 3: 10})


def parameters_of(rows):
    return {row["scenario"]: PARAMETERS[row["backbone"]] for row in rows}


def rows_of(*results):
    """Return leaderboard rows from (scenario, backbone, number of correct photos of 100 in two classes)."""
    return [
        choose.make_row(
            scenarios.Scenario(number, backbone, "Adam", 0.0),
            np.diag([correct, 0]) + [[0, 0], [100 - correct, 0]],
            "ab",
            0,
        )
        for number, backbone, correct in results
    ]


def test_leaderboard_has_the_documented_keys(tmp_path):
    leaderboard = leaderboard_of(tmp_path, [3, 0, 6])
    assert list(leaderboard) == ["classes", "photos", "folds", "seed", "strategy", "scenarios", "winner"]
    assert [leaderboard[name] for name in list(leaderboard)[:5]] == [CLASSES, 12, 2, 7, "features"]
    for row in leaderboard["scenarios"]:
        assert list(row) == [
            "scenario",
            "backbone",
            "optimizer",
            "dropout",
            "strategy",
            "precision",
            "recall",
            "f1",
            "accuracy",
            "confusion_matrix",
            "seconds",
        ]
    assert leaderboard["winner"]["scenario"] == 2


def test_leaderboard_reads_back_from_json_as_written(tmp_path):
    leaderboard = leaderboard_of(tmp_path / "trials", [3, 0, 6])
    artifacts.write_json(tmp_path / "leaderboard.json", leaderboard)
    assert artifacts.read_json(tmp_path / "leaderboard.json") == leaderboard


def test_row_has_the_scores_of_its_matrix_summed_over_folds(tmp_path):
    rows = leaderboard_of(tmp_path, [4, 0, 6])["scenarios"]
    assert [row["scenario"] for row in rows] == [1, 2, 3], "in order of number and not of score"
    # Of the first four photos, two of glass are predicted as metal, one of metal as paper, and one of paper as glass.
    assert rows[0]["confusion_matrix"] == [[2, 2, 0], [0, 3, 1], [1, 0, 3]]
    assert rows[0]["accuracy"] == pytest.approx(8 / 12)
    assert rows[0]["precision"] == pytest.approx((2 / 3 + 3 / 5 + 3 / 4) / 3)
    assert rows[0]["recall"] == pytest.approx((2 / 4 + 3 / 4 + 3 / 4) / 3)
    assert rows[0]["f1"] == pytest.approx((4 / 7 + 6 / 9 + 6 / 8) / 3)
    assert rows[0]["seconds"] == 3.5, "the sum of 1.25 and 2.25 of the two folds"
    assert (rows[1]["backbone"], rows[1]["optimizer"], rows[1]["dropout"]) == ("VGG19", "Adam", 0.0)
    assert rows[1]["f1"] == 1.0


def test_winner_is_the_row_with_the_highest_f1_with_parameters_and_reason(tmp_path):
    leaderboard = leaderboard_of(tmp_path, [3, 0, 6])
    row = leaderboard["scenarios"][1]
    assert leaderboard["winner"] == {
        **{name: row[name] for name in row if name not in ("confusion_matrix", "seconds")},
        "parameters": 20,
        "reason": "highest macro F1 of 3",
        **dict.fromkeys(("f1_corrected", "f1_corrected_low", "f1_corrected_high"), 1.0),  # it makes no mistake
    }


def test_f1_is_corrected_for_the_choice_among_all_scenarios(tmp_path):
    winner = leaderboard_of(tmp_path, [5, 4, 6])["winner"]
    f1, low, high = (winner[name] for name in ("f1_corrected", "f1_corrected_low", "f1_corrected_high"))
    assert winner["scenario"] == 2 and low < f1 < winner["f1"] < high


@pytest.mark.parametrize("wrong_counts", [[3], [3, 3, 3]], ids=["one scenario", "equal answers"])
def test_f1_is_not_corrected_if_nothing_was_selected(tmp_path, wrong_counts):
    for number, wrong in enumerate(wrong_counts, start=1):
        write_trial(tmp_path, number, wrong)
    winner = choose.leaderboard(tmp_path, THREE[: len(wrong_counts)], STUDY, {1: 30, 2: 20, 3: 10})["winner"]
    assert [winner[name] for name in ("f1_corrected", "f1_corrected_low", "f1_corrected_high")] == [None] * 3


@pytest.mark.parametrize(("parameters_of_densenet", "f1"), [(10, 0.0), (40, 1.0)])
def test_tie_in_a_bootstrap_is_broken_as_on_the_leaderboard(tmp_path, monkeypatch, parameters_of_densenet, f1):
    """ResNet50 and DenseNet121 differ in photo 3 alone, which is not drawn; DenseNet121 predicts the wrong class."""
    drawn = np.array([[photo != 3 for photo in range(12)]]).astype(int)
    monkeypatch.setattr(bbc_cv, "_bootstraps", lambda photos, block, seed: iter([drawn]))
    for number, wrong in enumerate([3, 6, 4], start=1):
        write_trial(tmp_path, number, wrong)
    parameters = {1: 30, 2: 20, 3: parameters_of_densenet}
    assert choose.leaderboard(tmp_path, THREE, STUDY, parameters)["winner"]["f1_corrected_low"] == f1


def test_tie_is_broken_by_fewer_parameters_with_the_reason(tmp_path):
    winner = leaderboard_of(tmp_path, [3, 3, 3])["winner"]
    assert winner["scenario"] == 3
    assert winner["reason"] == "highest macro F1 of 3, tied with 1, 2: fewer parameters"


@pytest.mark.parametrize(
    ("tied", "reason"),
    [
        ([(4, "VGG19"), (5, "VGG19"), (6, "VGG19")], "tied with 5, 6: lower number"),
        ([(4, "VGG19"), (1, "ResNet50"), (2, "ResNet50")], "tied with 1, 2: fewer parameters"),
        (
            [(4, "VGG19"), (5, "VGG19"), (1, "ResNet50"), (12, "ResNet50")],
            "tied with 1, 5, 12: fewer parameters than 1, 12, lower number than 5",
        ),
    ],
    ids=["number", "parameters", "both"],
)
def test_reason_explains_how_a_tie_was_broken(tied, reason):
    rows = rows_of(*[(*scenario, 90) for scenario in tied], (3, "ResNet50", 80), (7, "VGG19", 80))
    winner = choose.winner(rows, parameters_of(rows))
    assert winner["scenario"] == 4
    assert winner["reason"] == f"highest macro F1 of {len(rows)}, {reason}"


def test_slightly_higher_f1_wins_over_fewer_parameters():
    """The two scores differ by one error in 10**18 photos, and are equal as floats."""
    rows = rows_of((1, "ResNet50", 100), (2, "DenseNet121", 100))
    for row, wrong in zip(rows, (0, 1), strict=True):
        row["confusion_matrix"] = [[10**18, 0], [wrong, 10**18]]
    winner = choose.winner(rows, parameters_of(rows))
    assert (winner["scenario"], winner["reason"]) == (1, "highest macro F1 of 2")


def test_equal_scores_are_tied_if_floats_differ_in_the_last_digit():
    """The two matrices have different class orders, so that sums are rounded differently."""
    matrix = np.array([[8, 3, 0], [2, 8, 3], [2, 1, 7]])
    rows = [
        choose.make_row(scenarios.Scenario(1, "ResNet50", "Adam", 0.0), matrix, CLASSES, 0),
        choose.make_row(scenarios.Scenario(2, "DenseNet121", "Adam", 0.0), matrix[::-1, ::-1], CLASSES, 0),
    ]
    assert rows[0]["f1"] > rows[1]["f1"]
    winner = choose.winner(rows, parameters_of(rows))
    assert (winner["scenario"], winner["reason"]) == (2, "highest macro F1 of 2, tied with 1: fewer parameters")
    assert [row["scenario"] for row in choose.best_first(rows, 2)] == [2, 1]


def test_rows_for_display_have_the_winner_before_tied_rows():
    rows = rows_of((1, "VGG19", 90), (2, "ResNet50", 90), (3, "VGG19", 95), (4, "DenseNet121", 90), (5, "VGG19", 95))
    for order in (rows, rows[::-1]):
        assert [row["scenario"] for row in choose.best_first(order, 5)] == [5, 3, 1, 2, 4]
        assert [row["scenario"] for row in choose.best_first(order, None)] == [3, 5, 1, 2, 4]


def test_ranking_is_by_f1_then_parameters_then_number():
    rows = rows_of(
        (1, "ResNet50", 90),
        (2, "ResNet50", 90),
        (3, "VGG19", 95),
        (4, "VGG19", 90),
        (5, "DenseNet121", 90),
        (6, "DenseNet121", 10),
    )
    for order in (rows, rows[::-1]):
        assert [row["scenario"] for row in choose.rank(order, parameters_of(order))] == [3, 5, 4, 1, 2, 6]


@pytest.mark.parametrize(("complete", "missing"), [([1, 3], ": 2\\."), ([2], ": 1, 3\\."), ([], ": 1, 2, 3\\.")])
def test_leaderboard_without_predictions_of_a_scenario_raises(tmp_path, complete, missing):
    for number in complete:
        write_trial(tmp_path, number, 0)
    with pytest.raises(PilahError, match=f"all 3 scenarios.*{missing}"):
        choose.leaderboard(tmp_path, THREE, STUDY, {1: 30, 2: 20, 3: 10})


def test_single_scenario_is_the_winner(tmp_path):
    write_trial(tmp_path, 1, 2)
    leaderboard = choose.leaderboard(tmp_path, THREE[:1], STUDY, {1: 30, 2: 20, 3: 10})
    assert (leaderboard["winner"]["scenario"], leaderboard["winner"]["reason"]) == (1, "highest macro F1 of 1")


def test_class_that_is_never_predicted_lowers_f1(tmp_path):
    write_trial(tmp_path, 1, 0)
    folder = trial_folder.path(tmp_path, 1)
    two_classes = np.eye(3, dtype=np.float32)[[min(CLASSES.index(photo.label), 1) for photo in PHOTOS]]
    predictions.write(folder / "predictions.csv", PHOTOS, two_classes, CLASSES)
    (row,) = choose.leaderboard(tmp_path, THREE[:1], STUDY, {1: 30, 2: 20, 3: 10})["scenarios"]
    assert row["f1"] == pytest.approx((1 + 2 / 3 + 0) / 3)
