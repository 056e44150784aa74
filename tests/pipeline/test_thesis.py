import pytest

from components.base import artifacts
from pipeline import run_folder, thesis

ROWS = [
    {"scenario": int(row["scenario"]), "backbone": row["backbone"], "optimizer": row["optimizer"]}
    | {"dropout": float(row["dropout"])}
    for row in artifacts.read_csv(thesis.RESULTS)
]


@pytest.fixture
def run_dir(tmp_path, monkeypatch):
    """Return a run whose only photo counts as the photos of the thesis."""
    artifacts.write_csv(tmp_path / run_folder.PHOTOS, ["id"], [{"id": "00"}])
    monkeypatch.setattr(thesis, "PHOTOS", artifacts.digest(["00"]))
    return tmp_path


def test_folds_are_those_of_the_scenarios_in_their_order(run_dir):
    folds = thesis.fold_f1_of_scenarios(run_dir, {"scenarios": ROWS})
    assert set(folds) == set(range(1, 28)) - {23}
    assert folds[1] == [0.86, 0.93, 0.98, 0.99, 0.99]
    assert {len(values) for values in folds.values()} == {5}


def test_mean_of_the_folds_is_near_the_f1_of_all_photos(run_dir):
    """Both are published for each scenario, the folds with two digits, by the notebooks and by the text."""
    of_all = thesis.f1_of_scenarios(run_dir, {"scenarios": ROWS})
    for number, folds in thesis.fold_f1_of_scenarios(run_dir, {"scenarios": ROWS}).items():
        assert sum(folds) / 5 == pytest.approx(of_all[number], abs=0.02)


def test_other_photos_or_scenarios_are_not_compared(run_dir, monkeypatch):
    assert not thesis.fold_f1_of_scenarios(run_dir, {"scenarios": ROWS[1:]})
    wider = [{**row, "hidden_units": 512} for row in ROWS]
    assert not thesis.fold_f1_of_scenarios(run_dir, {"scenarios": wider})
    monkeypatch.setattr(thesis, "PHOTOS", "0")
    assert not thesis.fold_f1_of_scenarios(run_dir, {"scenarios": ROWS})
