import numpy as np
import pytest

from components.base import artifacts
from components.base.errors import PilahError
from components.data import photos
from tuner import predictions, trial_folder

CLASSES = ["glass", "metal", "papier, Übersee 紙"]


def photo(number, fold):
    return photos.Photo(f"{number:016x}", f"/photos/{number}.jpg", CLASSES[number % 3], fold)


PHOTOS = [photo(number, fold=number % 2) for number in range(6)]


def write_fold(folder, fold, tested):
    probabilities = np.random.default_rng(fold).dirichlet(np.ones(3), len(tested)).astype(np.float32)
    predictions.write(folder / f"fold-{fold + 1}.csv", tested, probabilities, CLASSES)
    return folder / f"fold-{fold + 1}.csv"


def test_rows_have_photo_fold_most_probable_class_and_probabilities(tmp_path):
    probabilities = np.array([[0.7, 0.2, 0.1], [0.125, 0.375, 0.5]], np.float32)
    predictions.write(tmp_path / "fold-2.csv", [photo(4, 1), photo(0, 1)], probabilities, CLASSES)
    rows = artifacts.read_csv(tmp_path / "fold-2.csv")
    assert [list(row.values()) for row in rows] == [
        [f"{4:016x}", "metal", "2", "glass", "0.700000", "0.200000", "0.100000"],
        [f"{0:016x}", "glass", "2", CLASSES[2], "0.125000", "0.375000", "0.500000"],
    ]
    assert list(rows[0]) == ["id", "label", "fold", "predicted", "p_glass", "p_metal", f"p_{CLASSES[2]}"]


@pytest.mark.parametrize("shape", [(1, 3), (3, 3), (2, 2), (2, 4)])
def test_probabilities_of_the_wrong_shape_raise_and_leave_no_file(tmp_path, shape):
    with pytest.raises(ValueError):
        predictions.write(tmp_path / "fold-1.csv", PHOTOS[:2], np.ones(shape), CLASSES)
    assert list(tmp_path.iterdir()) == []


def test_joined_folds_have_each_photo_once_in_order(tmp_path):
    files = [write_fold(tmp_path, fold, [photo for photo in PHOTOS if photo.fold == fold]) for fold in (0, 1)]
    predictions.join(files, PHOTOS, tmp_path / "predictions.csv")
    rows = artifacts.read_csv(tmp_path / "predictions.csv")
    assert [row["id"] for row in rows] == [photo.id for photo in PHOTOS]
    by_id = {row["id"]: row for file in files for row in artifacts.read_csv(file)}
    assert rows == [by_id[photo.id] for photo in PHOTOS]


@pytest.mark.parametrize(
    "tested",
    [
        {0: PHOTOS[:3], 1: PHOTOS[3:5]},
        {0: PHOTOS[:3], 1: PHOTOS[2:]},
        {0: PHOTOS[:3], 1: [PHOTOS[2], *PHOTOS[4:]]},
        {0: PHOTOS[:3], 1: [*PHOTOS[3:], photo(9, 1)]},
        {0: PHOTOS[:3], 1: [*PHOTOS[3:5], photo(9, 1)]},
        {0: [], 1: []},
    ],
    ids=["missing", "twice", "missing and twice", "unknown", "unknown instead of listed", "none"],
)
def test_missing_repeated_or_unknown_photo_raises(tmp_path, tested):
    files = [write_fold(tmp_path, fold, photo_list) for fold, photo_list in tested.items()]
    with pytest.raises(PilahError, match="exactly one fold"):
        predictions.join(files, PHOTOS, tmp_path / "predictions.csv")
    assert not (tmp_path / "predictions.csv").exists()


def test_rows_of_the_matrix_are_actual_classes(tmp_path):
    predicted = np.eye(3, dtype=np.float32)[[0, 0, 0, 1, 1, 0]]  # PHOTOS are of the classes 0 1 2 0 1 2
    predictions.write(tmp_path / "predictions.csv", PHOTOS, predicted, CLASSES)
    assert predictions.confusion(tmp_path / "predictions.csv", PHOTOS, CLASSES).tolist() == [
        [1, 1, 0],
        [1, 1, 0],
        [2, 0, 0],
    ]


def test_folds_count_from_1_on_disk_and_from_0_in_memory(tmp_path):
    files = [write_fold(tmp_path, fold, [photo for photo in PHOTOS if photo.fold == fold]) for fold in (0, 1)]
    predictions.join(files, PHOTOS, tmp_path / "predictions.csv")
    expected = [photo.fold for photo in PHOTOS]
    assert [int(row["fold"]) for row in artifacts.read_csv(tmp_path / "predictions.csv")] == [
        1 + fold for fold in expected
    ]
    assert predictions.read(tmp_path / "predictions.csv").fold.tolist() == expected
    assert trial_folder.finished_folds(tmp_path) == [0, 1]
    assert [trial_folder.fold_predictions(tmp_path, fold) for fold in (0, 1)] == files


@pytest.mark.parametrize("change", ["cut", "order", "label", "fold", "predicted", "class"])
def test_predictions_of_another_run_raise(tmp_path, change):
    path = tmp_path / "predictions.csv"
    predictions.write(path, PHOTOS, np.eye(3, dtype=np.float32)[[0, 0, 0, 1, 1, 0]], CLASSES)
    rows, columns = artifacts.read_csv(path), predictions.columns(CLASSES)
    if change == "cut":
        rows = rows[:-1]
    elif change == "order":
        rows = rows[::-1]
    elif change == "class":
        columns = [name.replace("metal", "wood") for name in columns]
        rows = [
            {name.replace("metal", "wood"): value.replace("metal", "wood") for name, value in row.items()}
            for row in rows
        ]
    else:
        rows[2] = {**rows[2], change: {"label": "glass", "fold": "2", "predicted": "metal"}[change]}
    artifacts.write_csv(path, columns, rows)
    with pytest.raises(PilahError, match=r"does not have the predictions of the run's 6 photos\. Delete the file"):
        predictions.confusion(path, PHOTOS, CLASSES)


@pytest.mark.parametrize(("old", "new"), [(",1,", ",one,"), (",glass,", ",wood,"), ("0.", "zero"), ("id,", "ids,")])
def test_damaged_file_raises_with_its_path(tmp_path, old, new):
    path = tmp_path / "predictions.csv"
    path.write_text("id,label,fold,predicted,p_glass,p_metal\na,glass,1,metal,0.25,0.75\n")
    assert predictions.read(path).ids == ["a"]
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(PilahError, match=r"predictions\.csv is damaged.*Delete it"):
        predictions.read(path)


def test_file_without_rows_raises_with_its_path(tmp_path):
    path = tmp_path / "predictions.csv"
    path.write_text("id,label,fold,predicted,p_glass\n")
    with pytest.raises(PilahError, match=r"predictions\.csv is damaged: it has no rows"):
        predictions.read(path)
