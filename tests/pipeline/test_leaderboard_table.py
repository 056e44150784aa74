import dataclasses
import io

import pytest
import rich.console

from components.base import artifacts
from pipeline import config as config_module
from pipeline import leaderboard_table, resolved_settings, thesis

RESOLVED = resolved_settings.Resolved({"ResNet50": "random, seed 1", "VGG19": "1" * 16}, "openvino", "float32", False)

LOW = ((1, 4), (4, 1))


def row(number, f1, matrix=((5, 0), (0, 5))):
    settings = {"scenario": number, "backbone": "ResNet50", "optimizer": "Adam", "dropout": 0.0, "strategy": "features"}
    return {
        **settings,
        "seconds": 1.5,
        "precision": f1,
        "recall": f1,
        "f1": f1,
        "accuracy": f1,
        "confusion_matrix": matrix,
    }


@pytest.fixture
def run_dir(tmp_path):
    rows = [row(1, 0.81, LOW), row(2, 0.93, matrix=((5, 0), (5, 0))), row(3, 0.85, matrix=((1, 4), (3, 2)))]
    winner = {**rows[1], "reason": "highest macro F1"}
    about = {"classes": ["glass", "metal"], "photos": 10, "folds": 2, "seed": 1}
    artifacts.write_json(tmp_path / "leaderboard.json", {**about, "scenarios": rows, "winner": winner})
    artifacts.write_csv(tmp_path / "photos.csv", ["id"], [{"id": "a"}])
    artifacts.write_csv(tmp_path / "duplicates.csv", ["kind"], [{"kind": "conflict"}] * 4 + [{"kind": "duplicate"}])
    artifacts.write_csv(tmp_path / "dataset" / "rejects.csv", ["id"], [{"id": "b"}] * 3)
    resolved_settings.write(tmp_path, RESOLVED)
    for backbone in ("ResNet50", "VGG19"):  # of a run before
        settings = {"backbone": backbone, "weights": "random, seed 1"}
        artifacts.write_json(tmp_path / "features" / backbone / "settings.json", settings)
    config = dataclasses.replace(config_module.of_profile("demo", tmp_path), backbones=("ResNet50", "VGG19"))
    artifacts.write_json(tmp_path / "run.json", config_module.to_json(config))
    return tmp_path


def printed(run_dir):
    text = io.StringIO()
    console = rich.console.Console(file=text, width=140)
    leaderboard_table.show(run_dir, console)
    return text.getvalue()


def test_scenarios_are_sorted_best_first(run_dir):
    text = printed(run_dir)
    assert text.index("0.9300") < text.index("0.8500") < text.index("0.8100")


def test_score_just_below_1_is_not_shown_as_1(run_dir):
    whole = artifacts.read_json(run_dir / "leaderboard.json")
    whole["scenarios"].append(row(4, 0.99996))
    artifacts.write_json(run_dir / "leaderboard.json", whole)
    assert printed(run_dir).count("> 0.9999") == 4 and "1.0000" not in printed(run_dir)


def test_winner_is_first_of_the_scenarios_that_are_tied_with_it(run_dir):
    whole = artifacts.read_json(run_dir / "leaderboard.json")
    whole["scenarios"].append(row(4, 0.93000001, matrix=whole["winner"]["confusion_matrix"]))
    whole["winner"] |= {"scenario": 4}
    artifacts.write_json(run_dir / "leaderboard.json", whole)
    numbers = [line.split()[0] for line in printed(run_dir).splitlines() if "features" in line]
    assert numbers[:4] == ["4", "2", "3", "1"]


def test_winner_and_reason_are_named(run_dir):
    assert "Winner: scenario 2 (ResNet50, Adam, dropout 0.0, features), highest macro F1." in printed(run_dir)


def test_class_that_the_winner_never_predicts_is_named(run_dir):
    assert "never predicts 1 of 2 classes, whose precision and F1 count as 0: metal." in printed(run_dir)


def test_many_classes_that_the_winner_never_predicts_are_one_line(run_dir):
    whole = artifacts.read_json(run_dir / "leaderboard.json")
    matrix = [[5] + 59 * [0]] * 60
    whole["classes"] = [f"class {number:02d}" for number in range(60)]
    whole["scenarios"][1]["confusion_matrix"] = matrix
    artifacts.write_json(run_dir / "leaderboard.json", whole)
    (line,) = [line for line in printed(run_dir).splitlines() if "never predicts" in line or "class 01" in line]
    assert "59 of 60 classes" in line and line.endswith("class 05 and 54 more.")


def test_skipped_files_random_weights_and_synthetic_photos_are_named(run_dir):
    text = printed(run_dir)
    for line in (
        "4 identical files with different labels",
        "1 exact copies",
        "3 unusable",
        "RANDOM weights in ResNet50 instead of ImageNet's",
        "photos are synthetic",
    ):
        assert line in text


def test_random_weights_of_an_earlier_run_are_not_named(run_dir):
    weights = {"ResNet50": "0" * 16, "VGG19": "1" * 16}
    resolved_settings.write(run_dir, dataclasses.replace(RESOLVED, weights=weights))
    assert "RANDOM" not in printed(run_dir)


def test_other_photos_are_not_compared_with_the_thesis(run_dir):
    assert "thesis" not in printed(run_dir)


def test_thesis_photos_and_scenarios_are_compared_with_the_thesis(run_dir, monkeypatch):
    monkeypatch.setattr(thesis, "PHOTOS", artifacts.digest(["a"]))
    whole = artifacts.read_json(run_dir / "leaderboard.json")
    published = artifacts.read_csv(thesis.RESULTS)
    names = ("backbone", "optimizer")
    whole["scenarios"] = [
        {**row(int(line["scenario"]), 0.5), **{n: line[n] for n in names}, "dropout": float(line["dropout"])}
        for line in published
    ]
    artifacts.write_json(run_dir / "leaderboard.json", whole)
    text = printed(run_dir)
    assert "thesis F1" in text and "0.9511" in text
    whole["scenarios"].append({**row(28, 0.95), "strategy": "finetune"})
    artifacts.write_json(run_dir / "leaderboard.json", whole)
    assert "finetune" in printed(run_dir) and "0.9511" in printed(run_dir)
    whole["scenarios"] = whole["scenarios"][:9]
    artifacts.write_json(run_dir / "leaderboard.json", whole)
    assert "thesis F1" not in printed(run_dir)
