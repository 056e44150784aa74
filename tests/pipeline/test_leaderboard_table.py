import dataclasses
import io

import pytest
import rich.console

from components.base import artifacts
from pipeline import config as config_module
from pipeline import leaderboard_table, resolved_settings, thesis

ENGINES = {"ResNet50": "openvino", "VGG19": "openvino"}
RESOLVED = resolved_settings.Resolved(
    {"ResNet50": "random weights, seed 1", "VGG19": "1" * 16}, ENGINES, "float32", False
)

LOW = ((1, 4), (4, 1))


def row(number, f1, matrix=((5, 0), (0, 5)), **changes):
    settings = {"scenario": number, "backbone": "ResNet50", "optimizer": "Adam", "dropout": 0.0, "strategy": "features"}
    return {
        **settings,
        **changes,
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
    winner = {**rows[1], "parameters": 1, "reason": "highest macro F1"}
    about = {"classes": ["glass", "metal"], "photos": 10, "folds": 2, "seed": 1, "strategy": "features"}
    artifacts.write_json(tmp_path / "leaderboard.json", {**about, "scenarios": rows, "winner": winner})
    artifacts.write_csv(tmp_path / "photos.csv", ["id"], [{"id": "a"}])
    artifacts.write_csv(tmp_path / "duplicates.csv", ["kind"], [{"kind": "conflict"}] * 4 + [{"kind": "duplicate"}])
    artifacts.write_csv(tmp_path / "dataset" / "rejects.csv", ["id"], [{"id": "b"}] * 3)
    resolved_settings.write(tmp_path, RESOLVED)
    for backbone in ("ResNet50", "VGG19"):  # of a run before
        settings = {"backbone": backbone, "weights": "random weights, seed 1"}
        artifacts.write_json(tmp_path / "features" / backbone / "settings.json", settings)
    config = dataclasses.replace(config_module.of_profile("demo", tmp_path), backbones=("ResNet50", "VGG19"))
    artifacts.write_json(tmp_path / "run.json", config_module.to_json(config))
    return tmp_path


def printed(run_dir, width=120):
    text = io.StringIO()
    console = rich.console.Console(file=text, width=width)
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
    numbers = [line.split()[0] for line in printed(run_dir).splitlines() if line[:20].endswith("ResNet50  ")]
    assert numbers == ["4", "2", "3", "1"]


def test_winner_and_reason_are_named(run_dir):
    assert "Winner: scenario 2 (ResNet50, Adam, dropout 0.0, features), highest macro F1." in printed(run_dir)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ((0.92, 0.9, 0.99996), "3 scenarios, its F1 is 0.9200 (95 % confidence interval 0.9000 to > 0.9999, BBC-CV)."),
        ((None, None, None), "No two scenarios give different answers, so nothing was selected"),
    ],
    ids=["selected", "not selected"],
)
def test_f1_corrected_for_the_selection_is_below_the_table(run_dir, values, line):
    whole = artifacts.read_json(run_dir / "leaderboard.json")
    names = ("f1_corrected", "f1_corrected_low", "f1_corrected_high")
    whole["winner"] |= dict(zip(names, values, strict=True))
    artifacts.write_json(run_dir / "leaderboard.json", whole)
    assert line in printed(run_dir)


def test_leaderboard_of_an_earlier_version_has_no_corrected_f1(run_dir):
    text = printed(run_dir)
    assert "0.9300" in text and "BBC-CV" not in text and "nothing was selected" not in text


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


def test_files_left_out_random_weights_and_synthetic_photos_are_named(run_dir):
    text = printed(run_dir)
    for line in (
        "4 identical files with different labels",
        "1 exact copies",
        "3 unusable",
        "RANDOM weights in ResNet50 instead of ImageNet's",
        "10 synthetic photos, 2 folds, seed 1",
    ):
        assert line in text


def test_random_weights_of_an_earlier_run_are_not_named(run_dir):
    weights = {"ResNet50": "0" * 16, "VGG19": "1" * 16}
    resolved_settings.write(run_dir, dataclasses.replace(RESOLVED, weights=weights))
    assert "RANDOM" not in printed(run_dir)


def test_other_photos_are_not_compared_with_the_thesis(run_dir):
    assert "thesis" not in printed(run_dir)


@pytest.fixture
def thesis_dir(run_dir, monkeypatch):
    """Return a run folder with the photos and the 27 scenarios of the thesis."""
    monkeypatch.setattr(thesis, "PHOTOS", artifacts.digest(["a"]))
    settings = [
        {"backbone": line["backbone"], "optimizer": line["optimizer"], "dropout": float(line["dropout"])}
        for line in artifacts.read_csv(thesis.RESULTS)
    ]
    change_scenarios(run_dir, [row(number, 0.5, **changes) for number, changes in enumerate(settings, 1)])
    return run_dir


def change_scenarios(run_dir, rows):
    whole = artifacts.read_json(run_dir / "leaderboard.json")
    artifacts.write_json(run_dir / "leaderboard.json", {**whole, "scenarios": rows})


def scenarios(run_dir):
    return artifacts.read_json(run_dir / "leaderboard.json")["scenarios"]


def test_thesis_photos_and_scenarios_are_compared_with_the_thesis(thesis_dir):
    text = printed(thesis_dir)
    assert "thesis F1" in text and "0.9511" in text
    searched = scenarios(thesis_dir)
    change_scenarios(thesis_dir, [*searched, row(28, 0.95, strategy="finetune")])
    assert "finetune" in printed(thesis_dir) and "0.9511" in printed(thesis_dir)
    change_scenarios(thesis_dir, searched[:9])
    assert "thesis F1" not in printed(thesis_dir)


def table_of(text):
    """Return the header and the rows of the printed leaderboard, each a list of cells."""
    lines = text.partition("Winner:")[0].splitlines()
    return [line.replace("thesis F1", "thesis_F1").split() for line in (lines[1], *lines[3:])]


FINE_TUNED = [row(28, 0.95, strategy="finetune"), row(29, 0.99999, strategy="finetune", backbone="DenseNet121")]
SETTINGS = ["scenario", "backbone", "optimizer", "dropout"]


@pytest.mark.parametrize(
    ("width", "more_rows", "columns"),
    [
        (120, [], ["F1", "thesis_F1", "precision", "recall", "accuracy", "seconds"]),
        (80, [], ["F1", "thesis_F1", "precision", "recall"]),
        (120, FINE_TUNED[:1], ["strategy", "F1", "thesis_F1", "precision", "recall", "accuracy", "seconds"]),
        (80, FINE_TUNED[:1], ["strategy", "F1", "thesis_F1"]),
    ],
)
def test_leaderboard_of_the_thesis_fits_the_width_with_whole_cells(thesis_dir, width, more_rows, columns):
    change_scenarios(thesis_dir, [*scenarios(thesis_dir), *more_rows])
    text = printed(thesis_dir, width)
    header, *rows = table_of(text)
    assert header == [*SETTINGS, *columns]
    assert len(rows) == 27 + len(more_rows) and "…" not in text
    assert max(len(line) for line in text.partition("Winner:")[0].splitlines()) <= width
    by_number = {int(cells[0]): cells for cells in rows}
    for scenario in scenarios(thesis_dir):
        settings = [str(scenario[name]) for name in ("scenario", "backbone", "optimizer", "dropout")]
        assert by_number[scenario["scenario"]][:4] == settings
        assert len(by_number[scenario["scenario"]]) >= len(header) - 1  # refined scenarios have no F1 in the thesis


@pytest.mark.parametrize("width", [80, 120])
def test_long_names_and_scores_near_1_fit_the_width(run_dir, width):
    long_name = "EfficientNetV2B0Large"
    change_scenarios(run_dir, [row(2, 0.99999, backbone=long_name, dropout=0.123456), *FINE_TUNED])
    text = printed(run_dir, width)
    assert long_name in text and "0.123456" in text and "finetune" in text and "> 0.9999" in text and "…" not in text
    assert max(len(line) for line in text.partition("Winner:")[0].splitlines()) <= width


def test_strategy_of_all_scenarios_is_in_the_title_alone(run_dir):
    title, header, *_ = printed(run_dir).splitlines()
    assert title.rstrip().endswith(", strategy features") and "strategy" not in header
