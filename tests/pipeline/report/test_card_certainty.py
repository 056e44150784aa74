"""What the model card says about prediction sets and untypical photos."""

import shutil

import finished_run
import pytest

from components.base import artifacts
from pipeline.report import card, page

pytest_plugins = ["report_fixtures"]


def written(run_dir, name="MODEL_CARD.md"):
    return (card.write(run_dir) / name).read_text()


def section(text, title):
    return text.split(f"## {title}\n")[1].split("\n## ")[0]


def test_card_states_coverage_and_size_of_the_sets_and_untypical_photos(copy):
    calibration = artifacts.read_json(copy / "calibration" / "calibration.json")
    sets, flagged = calibration["sets"]["0.95"], calibration["flagged"]
    text = section(written(copy), "How sure it is of each answer")
    assert "The stated coverage is 95.0 %" in text
    assert f"{100 * sets['coverage']:.1f} % of the sets hold the actual class" in text
    assert f"a set has {sets['mean_size']:.2f} classes on average" in text
    assert f"{flagged['count']} are: {100 * flagged['share']:.1f} % (95 % confidence interval" in text
    assert "A heat map (Grad-CAM) shows where" in text
    for row in sets["per_class"]:
        assert f"| {row['class']} | {100 * row['coverage']:.1f} % |" in text


def test_card_of_a_run_without_calibration_has_no_such_part(copy):
    (copy / "calibration" / "calibration.json").unlink()
    page.write(copy, "en", [])
    text = written(copy)
    assert "How sure it is" not in text and "Coverage and untypical photos elsewhere" not in text
    assert "## Not tested" in text


def test_card_states_the_scores_on_photos_from_elsewhere(copy):
    text = written(copy)
    assert (
        "On 5 photos from elsewhere (kitchen): macro F1 0.667, accuracy 60.0 %; 80.0 % of the prediction sets hold the "
        "actual class, and 20.0 % of the photos are untypical." in section(text, "Performance")
    )
    assert "apart from those above" in section(text, "Not tested")


def test_card_states_the_scores_of_an_evaluation_of_an_earlier_version(copy):
    path = copy / "evaluations" / "kitchen.json"
    artifacts.write_json(path, finished_run.as_earlier(artifacts.read_json(path)))
    page.write(copy, "en", [])
    assert "(kitchen): macro F1 0.667, accuracy 60.0 %.\n" in written(copy)


@pytest.mark.parametrize("change", [{"version": 2}, {"training_photos_known": False}])
def test_card_has_no_evaluation_of_another_version_or_other_photos(change, copy):
    path = copy / "evaluations" / "kitchen.json"
    artifacts.write_json(path, artifacts.read_json(path) | change)
    page.write(copy, "en", [])
    text = written(copy)
    assert "from elsewhere (kitchen)" not in text and "than in training" in section(text, "Not tested")


def test_card_of_a_newer_version_has_no_evaluation_of_the_one_before(copy):
    served = copy / "served" / "pilah"
    shutil.copytree(served / "1", served / "2")
    artifacts.write_json(served / "2" / "model.json", artifacts.read_json(served / "1" / "model.json") | {"version": 2})
    assert "from elsewhere (kitchen)" not in written(copy)


def test_indonesian_card_has_the_same_figures(copy):
    text = written(copy, "MODEL_CARD.id.md")
    sets = artifacts.read_json(copy / "calibration" / "calibration.json")["sets"]["0.95"]
    assert f"{100 * sets['coverage']:.1f} % himpunan memuat kelas sebenarnya".replace(".", ",") in text
