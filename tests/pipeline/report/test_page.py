"""The report of a run: its HTML is parsed and compared with the run's files."""

import collections
import contextlib
import dataclasses
import json
import pathlib
import re
import shutil

import finished_run
import pytest
import report_reader
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.plugins.hparams import plugin_data_pb2
from tensorboard.util import tensor_util

from components.base import artifacts
from components.base.errors import PilahError
from pipeline import config, runner
from pipeline.report import card, figures, localization, logs, page, sections
from pipeline.stages import report as report_stage

pytest_plugins = ["website_fixtures", "report_fixtures"]
ROOT = pathlib.Path(__file__).parents[3]
STAGES_LEFT = ["push"]


def test_every_number_on_the_page_matches_figures_json(run_dir):
    figures = artifacts.read_json(run_dir / "report" / "figures.json")
    page_figures = report_reader.read(run_dir).figures
    assert len({path for path, _, _ in page_figures}) > 250
    assert {path.split("/")[0] for path, _, _ in page_figures} > {
        "scenarios",
        "winner",
        "calibration",
        "least_typical",
        "audit",
        "leakage_check",
        "evaluations",
    }
    for path, value, text in page_figures:
        expected = localization.value_at(figures, path)
        assert value == ("" if expected is None else str(expected)), path
        number = text.replace(",", "").replace("\N{MINUS SIGN}", "-").removesuffix(" %").lstrip("<> ")
        scale = 100 if text.endswith("%") or re.search("/ece|confidence_gap", path) else 1  # the latter are in points
        if text.startswith("<"):
            assert scale * expected < float(number), path
        elif text.startswith(">"):
            assert scale * expected > float(number), path
        elif expected is not None:
            decimals = len(number.partition(".")[2])
            assert float(number) == pytest.approx(scale * expected, abs=0.500001 * 10**-decimals), path


def test_scenarios_on_the_page_match_the_leaderboard(run_dir):
    leaderboard = artifacts.read_json(run_dir / "leaderboard.json")
    best_first = sorted(leaderboard["scenarios"], key=lambda row: -row["f1"])
    rows = report_reader.rows_of(report_reader.read(run_dir).tables["scenario-table"])
    assert [int(row["No."]) for row in rows] == [row["scenario"] for row in best_first]
    for row, expected in zip(rows, best_first, strict=True):
        assert row["Scenario"] == f"{expected['backbone']}, {expected['optimizer']}, {expected['dropout']}"
        for name in ("precision", "recall", "f1"):
            assert row[name.capitalize()] == f"{expected[name]:.3f}"
        assert row["Accuracy"] == f"{expected['accuracy']:.1%}".replace("%", " %")
        low, high = (float(end) for end in row["95 % confidence interval"].split("\N{EN DASH}"))
        assert low < expected["f1"] < high


def test_class_counts_of_the_winner_match_predictions_csv(run_dir):
    winner = artifacts.read_json(run_dir / "leaderboard.json")["winner"]
    answers = artifacts.read_csv(run_dir / "trials" / f"{winner['scenario']:02d}" / "predictions.csv")
    pairs = collections.Counter((row["label"], row["predicted"]) for row in answers)
    rows = report_reader.rows_of(report_reader.read(run_dir).tables["class-table"])
    assert [row["Class"] for row in rows] == finished_run.CLASSES
    for row in rows:
        name = row["Class"]
        assert int(row["TP"]) == pairs[name, name]
        assert int(row["FP"]) == sum(pairs[other, name] for other in finished_run.CLASSES if other != name)
        assert int(row["FN"]) == sum(pairs[name, other] for other in finished_run.CLASSES if other != name)


def test_only_scenarios_far_below_the_winner_are_measurably_worse(run_dir):
    verdicts = {
        int(row["No."]): row["Measurably worse"]
        for row in report_reader.rows_of(report_reader.read(run_dir).tables["significance-table"])
    }
    assert verdicts == {2: "no", 3: "yes", 4: "yes"}


def test_scenarios_with_equal_predictions_share_a_row(copy):
    shutil.copy(copy / "trials" / "01" / "predictions.csv", copy / "trials" / "02" / "predictions.csv")
    leaderboard = artifacts.read_json(copy / "leaderboard.json")
    first, second, *_ = leaderboard["scenarios"]
    second |= {name: first[name] for name in ("f1", "precision", "recall", "accuracy", "confusion_matrix")}
    artifacts.write_json(copy / "leaderboard.json", leaderboard)
    page.write(copy, "en", [])
    reader = report_reader.read(copy)
    rows = report_reader.rows_of(reader.tables["scenario-table"])
    assert [row["No."] for row in rows] == ["1,2", "3", "4"]  # the reader strips the space
    assert rows[0]["Scenario"] == "ResNet50, AdamW, 0.0 / 0.5"
    assert "predict the same class for every photo share a row" in reader.text
    compared = report_reader.rows_of(reader.tables["significance-table"])
    assert [compared[0][name] for name in ("No.", "Below the winner by", "Measurably worse")] == ["2", "0.000", "no"]


def test_name_of_scenarios_with_equal_predictions_lists_what_differs(run_dir):
    figures = artifacts.read_json(run_dir / "report" / "figures.json")
    rows = [{**row, "same_as": 1, "backbone": "VGG19"} for row in figures["scenarios"][:3]]
    settings = [("Adam", 0.0), ("AdamW", 0.0), ("Adam", 0.5)]
    for row, (optimizer, dropout) in zip(rows, settings, strict=True):
        row |= {"optimizer": optimizer, "dropout": dropout}
    names = [
        report_reader.with_figures(run_dir, {**figures, "scenarios": rows[:count]})[0].groups[0].name
        for count in (1, 2, 3)
    ]
    assert names == [
        "VGG19, Adam, 0.0",
        "VGG19, Adam / AdamW, 0.0",
        "VGG19, Adam, 0.0; VGG19, AdamW, 0.0; VGG19, Adam, 0.5",
    ]


@pytest.mark.parametrize(
    ("alike", "compared", "headline"),
    [
        (0, 0, "is the only scenario."),
        (0, 3, "was chosen; all others were measurably worse."),
        (1, 1, "was chosen; 1 of 1 others could be as good."),
        (2, 3, "was chosen; 2 of 3 others could be as good."),
        (3, 3, "was chosen; all 3 others could be as good."),
    ],
)
def test_headline_says_how_many_scenarios_could_be_as_good(alike, compared, headline, run_dir):
    figures = artifacts.read_json(run_dir / "report" / "figures.json")
    figures["winner"] |= {"alike": alike, "compared": compared}
    source, jinja = report_reader.with_figures(run_dir, figures)
    text = jinja.get_template("summary.html").render(backbone=source.backbone)
    assert f"ResNet50, AdamW, dropout 0.0 {headline}" in report_reader.Reader(text).text


@pytest.mark.parametrize(
    ("gap", "sentence", "card"),
    [
        (0.046, "It is overconfident by 4.6 points.", "4.6 points overconfident"),
        (-0.046, "It is underconfident by 4.6 points.", "4.6 points underconfident"),
        (0.02, "The difference of 2.0 points is no more than chance.", "2.0 points between"),
    ],
)
def test_confidence_gap_is_stated_unless_it_is_chance(gap, sentence, card, run_dir):
    figures = artifacts.read_json(run_dir / "report" / "figures.json")
    figures["winner"]["confidence_gap"] = {"gap": gap, "size": abs(gap), "by_chance": 0.03}
    source, jinja = report_reader.with_figures(run_dir, figures)
    assert sentence in report_reader.Reader(page.render(sections.calibration, source, jinja)["body"]).text
    summary = jinja.get_template("summary.html").render(backbone=source.backbone)
    assert card in report_reader.Reader(summary).text


def test_wrong_answers_have_the_score_of_their_actual_class(run_dir):
    figures = artifacts.read_json(run_dir / "report" / "figures.json")
    answers = {row["id"]: row for row in artifacts.read_csv(run_dir / "trials" / "01" / "predictions.csv")}
    text = report_reader.read(run_dir).text
    for pair in figures["winner"]["mistakes"]:
        for photo in pair["worst"]:
            score = float(answers[photo["id"]][f"p_{pair['actual']}"])
            assert photo["p_actual"] == score
            assert f"Actual: {pair['actual']}, {100 * score:.1f} %" in text


def test_page_is_self_contained_and_every_picture_has_a_description(run_dir):
    reader = report_reader.read(run_dir)
    for tag, attributes in reader.tags:
        address = attributes.get("src") or attributes.get("href") or ""
        assert tag not in ("link", "iframe") and address.startswith(("data:", "#", "")) and "//" not in address[:20]
        if tag == "img":
            assert attributes["alt"] and attributes["src"].startswith("data:image/")
        if attributes.get("role") == "img":
            assert attributes["aria-label"]
    assert "url(" not in (ROOT / "pipeline" / "report" / "templates" / "style.css").read_text()


def test_every_scenario_has_its_confusion_matrix(run_dir):
    source, jinja = report_reader.of(run_dir)
    matrices = report_reader.Reader(page.render(sections.matrices, source, jinja)["body"])
    counts = [[int(count) for count in row[1:]] for row in matrices.tables[None] if row[0] in finished_run.CLASSES]
    best_first = [row["confusion_matrix"] for row in source.figures["scenarios"]]
    assert counts == [row for matrix in best_first for row in matrix]


def test_pictures_of_earlier_versions_are_removed(copy):
    (copy / "report" / "confusion").mkdir()
    page.write(copy, "en", [])
    assert sorted(path.name for path in (copy / "report").iterdir()) == ["figures.json", "index.html"]


def test_synthetic_photos_and_random_weights_are_stated_first(run_dir):
    text = report_reader.read(run_dir).text
    assert text.index("photos are synthetic") < text.index("was chosen")
    assert text.index("Random weights in VGG19") < text.index("was chosen")


def test_names_are_escaped(run_dir):
    assert "paper &amp; foil" in (run_dir / "report" / "index.html").read_text()


@pytest.mark.parametrize("language", localization.LANGUAGES)
def test_values_in_a_message_are_escaped(language):
    _ = localization.translator(language)
    assert _("dropout %(rate)s", rate="<b>%") == "dropout &lt;b&gt;%"


def test_page_of_an_unfinished_run_states_it_and_shows_results(copy):
    (copy / "leaderboard.json").unlink()
    (copy / "trials" / "04" / "predictions.csv").unlink()
    page.write(copy, "id", STAGES_LEFT)
    reader = report_reader.read(copy)
    assert "belum selesai: 3 dari 4" in reader.text and "push" in reader.text
    assert len(reader.tables["scenario-table"]) == 1 + 3
    assert not {"class-table", "significance-table", "audit-table", "leakage-table"} & set(reader.tables)


def test_page_keeps_its_language_when_it_is_written_again(copy):
    page.write(copy, "id", [])
    report_stage.make(copy)
    assert '<html lang="id">' in (copy / "report" / "index.html").read_text()


def test_page_with_an_outdated_leaderboard_names_no_winner(copy):
    shutil.copy(copy / "trials" / "04" / "predictions.csv", copy / "trials" / "01" / "predictions.csv")
    computed = figures.compute(config.read(copy))
    assert computed["winner"] is None and computed["leakage_check"] is None
    assert len(computed["scenarios"]) == 4


def test_scenarios_of_other_photos_are_not_shown(copy):
    """A class was added, so the run starts again at stage features."""
    listed = artifacts.read_csv(copy / "photos.csv")
    artifacts.write_csv(copy / "photos.csv", list(listed[0]), [*listed, {**listed[0], "id": "f" * 16, "label": "wood"}])
    page.write(copy, "en", ["features"])
    reader = report_reader.read(copy)
    assert "not finished: 0 of 4" in reader.text and "was chosen" not in reader.text
    assert "scenario-table" not in reader.tables


@pytest.mark.parametrize(
    "changed", ["duplicates.csv", "calibration/photos.csv", "calibration/heatmaps.npy", "a setting"]
)
def test_report_is_written_again_when_its_inputs_change(changed, copy):
    settings = config.read(copy)
    before = runner._inputs(report_stage.STAGE, settings)
    if changed != "a setting":
        (copy / changed).write_text("path,label,kind,id\n")
    else:
        settings = dataclasses.replace(settings, weight_decay=0.5)
    assert runner._inputs(report_stage.STAGE, settings) != before


def test_page_of_a_run_without_photos_is_written(tmp_path, run_dir):
    shutil.copy(run_dir / "run.json", tmp_path / "run.json")
    page.write(tmp_path, "en", ["photos"])
    text = report_reader.read(tmp_path).text
    assert "not finished: 0 of 4" in text and "No winner is chosen" in text


def test_folder_without_a_run_is_an_error(tmp_path):
    with pytest.raises(PilahError, match=r"no run\.json"):
        page.write(tmp_path, "en", [])


def test_missing_photos_are_counted(copy):
    listed = artifacts.read_csv(copy / "photos.csv")
    for row in listed:
        row["path"] = row["path"].replace("images", "elsewhere")
    artifacts.write_csv(copy / "photos.csv", list(listed[0]), listed)
    source, jinja = report_reader.of(copy)
    wrong = sum(pair["photos"] > 0 for pair in source.figures["winner"]["mistakes"])
    mistakes = report_reader.Reader(page.render(sections.mistakes, source, jinja)["body"])
    assert re.search(r"\d+ photos are missing or cannot be read", mistakes.text)
    missing = [attributes for tag, attributes in mistakes.tags if attributes.get("class") == "missing"]
    assert len(missing) >= wrong and all(frame["aria-label"].endswith("is missing") for frame in missing)
    assert "no views can be shown" in page.render(sections.data, source, jinja)["body"]


def test_card_is_written_beside_the_model_with_its_figures(copy):
    version = copy / "served" / "pilah" / "1"
    assert card.write(copy) == version
    cards = {"MODEL_CARD.md", "MODEL_CARD.id.md", "model_card.html", "model_card.id.html", "model_card.json"}
    assert {path.name for path in version.iterdir()} == {*cards, "model.json"}
    f1 = artifacts.read_json(copy / "leaderboard.json")["winner"]["f1"]
    assert f"Macro F1 {f1:.3f}" in (version / "MODEL_CARD.md").read_text()
    assert f"F1 makro {f1:.3f}".replace(".", ",") in (version / "model_card.id.html").read_text()
    assert '<div class="scroll" tabindex="0"' in (version / "model_card.html").read_text()  # narrow screens
    assert "found by the audit: 3; of these, across folds: 1." in (version / "MODEL_CARD.md").read_text()
    assert (
        "of scenario 1 over 2 splits, with its backbone frozen, is 0.810 instead of 0.835"
        in (version / "MODEL_CARD.md").read_text()
    )


def test_card_as_json_matches_predictions_csv(copy):
    version = card.write(copy)
    answers = artifacts.read_csv(copy / "trials" / "01" / "predictions.csv")
    written = artifacts.read_json(version / "model_card.json")
    assert written["synthetic"] is True and written["random_weights"] is False
    right = [row["label"] == row["predicted"] for row in answers]
    assert (written["photos"], written["right"], written["folds"]) == (90, sum(right), finished_run.FOLDS)
    winner = artifacts.read_json(copy / "leaderboard.json")["winner"]
    assert written["f1"] == winner["f1"] and 0 < written["f1_low"] < winner["f1"] < written["f1_high"] < 1
    assert [class_["name"] for class_ in written["classes"]] == finished_run.CLASSES
    for row, class_ in zip(written["confusion_matrix"], written["classes"], strict=True):
        hits = sum(answer["label"] == answer["predicted"] == class_["name"] for answer in answers)
        assert (sum(row), class_["photos"], class_["right"]) == (30, 30, hits)
        assert class_["recall"] == pytest.approx(hits / 30) and {"precision", "f1"} < class_.keys()
    calibration = artifacts.read_json(copy / "calibration" / "calibration.json")
    assert (written["coverage"], written["certainty"]) == (0.95, calibration["certainty"])
    assert sum(level["answers"] for level in written["certainty"]) == 90


def test_card_as_json_of_a_run_without_calibration_states_no_certainty(copy):
    (copy / "calibration" / "calibration.json").unlink()
    page.write(copy, "en", [])
    written = artifacts.read_json(card.write(copy) / "model_card.json")
    assert (written["coverage"], written["certainty"]) == (None, [])


def test_card_as_json_states_random_weights(copy):
    path = copy / "served" / "pilah" / "1" / "model.json"
    artifacts.write_json(path, artifacts.read_json(path) | {"weights": "random weights, seed 42"})
    assert artifacts.read_json(card.write(copy) / "model_card.json")["random_weights"] is True


def test_card_states_f1_with_leakage_and_in_the_thesis(copy):
    path = copy / "report" / "figures.json"
    computed = artifacts.read_json(path)
    winner = computed["scenarios"][0]["scenario"]
    row = next(row for row in computed["leakage_check"]["scenarios"] if row["scenario"] == winner)
    card.write(copy)
    text = (copy / "served" / "pilah" / "1" / "MODEL_CARD.md").read_text()
    assert f"has an F1 of {row['carried_f1']:.3f}. The figures here do not leak" in text and "thesis" not in text
    row["thesis_f1"] = 0.9511
    artifacts.write_json(path, computed)
    card.write(copy)
    assert "The thesis reports an F1 of 0.951" in (copy / "served" / "pilah" / "1" / "MODEL_CARD.md").read_text()
    artifacts.write_json(path, {**computed, "leakage_check": None})
    card.write(copy)
    assert "leak" not in (copy / "served" / "pilah" / "1" / "MODEL_CARD.md").read_text()


def test_card_states_corrected_f1_and_calibration_error_by_chance(copy):
    best = artifacts.read_json(copy / "report" / "figures.json")["winner"]
    card.write(copy)
    text = (copy / "served" / "pilah" / "1" / "MODEL_CARD.md").read_text()
    f1, low, high = (best[name] for name in ("f1_corrected", "f1_corrected_low", "f1_corrected_high"))
    assert low < f1 < high and "best of 4 scenarios" in text
    interval = f"95 % confidence interval {low:.3f} to {high:.3f}, BBC-CV"
    assert f"Corrected for this selection, F1 is {f1:.3f} ({interval})." in text
    chance = best["ece_by_chance"]
    assert f"would have {100 * chance['mean']:.1f} points on average" in text


def test_card_leaves_out_an_audit_of_other_photos(copy):
    version = copy / "served" / "pilah" / "1"
    described = artifacts.read_json(version / "model.json")
    artifacts.write_json(version / "model.json", {**described, "data": {**described["data"], "photos_and_folds": "0"}})
    card.write(copy)
    text = (version / "MODEL_CARD.md").read_text()
    assert "have not been audited" in text and "near-duplicates found by the audit" not in text


def test_card_of_a_fine_tuned_model_has_its_image_size_and_its_learning_rate_once(copy):
    path = copy / "served" / "pilah" / "1" / "model.json"
    described = artifacts.read_json(path)
    finetuned = dataclasses.replace(
        config.read(copy), refine=1, finetuning_rate=3e-4, image_size_px=320, test_views=2, group_folds=True, ensemble=2
    )
    scenario = {**described["scenario"], "strategy": "finetune"}
    artifacts.write_json(path, {**described, "scenario": scenario, "settings": config.to_json(finetuned)})
    card.write(copy)
    text = (path.parent / "MODEL_CARD.md").read_text()
    assert "fine-tuned from" in text and "320 x 320 pixels" in text
    assert "Each of the 2 models" in text
    assert text.count("learning rate 0.0003") == text.count("learning rate") == 1
    assert "averaged over 2 views" in text and "kept in the same fold" in text


def test_card_keeps_the_recipe_of_its_model_when_the_runs_settings_change(copy):
    grouped = dataclasses.replace(config.read(copy), group_folds=True)  # keeps the folds of these photos
    artifacts.write_json(copy / "run.json", config.to_json(grouped))
    page.write(copy, "en", [])
    card.write(copy)
    text = (copy / "served" / "pilah" / "1" / "MODEL_CARD.md").read_text()
    assert "96 x 96" in text and "Photos with similar hashes were kept" not in text


def test_card_is_unchanged_until_the_run_has_trained_with_new_settings(copy):
    card.write(copy)
    path = copy / "served" / "pilah" / "1" / "MODEL_CARD.md"
    before = path.read_text()
    artifacts.write_json(copy / "run.json", config.to_json(dataclasses.replace(config.read(copy), image_size_px=500)))
    page.write(copy, "en", [])
    assert card.write(copy) is None
    assert path.read_text() == before


def test_model_that_is_not_the_winner_gets_no_card(copy):
    version = copy / "served" / "pilah" / "1"
    described = artifacts.read_json(version / "model.json")
    artifacts.write_json(version / "model.json", {**described, "figures": {"f1": 0.5}})
    assert card.write(copy) is None
    assert not (version / "MODEL_CARD.md").exists()


def test_tensorboard_reads_scores_hyperparameters_and_training_of_each_scenario(copy):
    for _ in range(2):  # the second call replaces the files of the first
        logs.write(copy)
    leaderboard = artifacts.read_json(copy / "leaderboard.json")
    for row in leaderboard["scenarios"]:
        folder = copy / "trials" / f"{row['scenario']:02d}"
        assert len(list(folder.glob("events.out.tfevents.*"))) == 1
        events = event_accumulator.EventAccumulator(str(folder)).Reload()
        (f1,) = events.Tensors("f1")
        assert tensor_util.make_ndarray(f1.tensor_proto) == pytest.approx(row["f1"])
        tags = [tag for tag in events.Tags()["tensors"] if tag.startswith("loss/")]
        assert tags == [f"loss/fold-{number}" for number in range(1, finished_run.FOLDS + 1)]
        assert len(events.Tensors("loss/fold-1")) == finished_run.EPOCHS
        metadata = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
        started = plugin_data_pb2.HParamsPluginData.FromString(metadata).session_start_info
        assert started.hparams["backbone"].string_value == row["backbone"]
        assert started.hparams["dropout"].number_value == row["dropout"]


@contextlib.contextmanager
def opened(run_dir, chromium, **options):
    """Open the page, and check at the end that it made no request and that no script failed."""
    context = chromium.new_context(viewport={"width": 360, "height": 740}, **options)
    browser_page, problems = context.new_page(), []
    browser_page.on("pageerror", lambda error: problems.append(str(error)))
    browser_page.on("request", lambda request: problems.append(request.url) if request.url.startswith("http") else None)
    browser_page.goto((run_dir / "report" / "index.html").as_uri())
    yield browser_page
    context.close()
    assert problems == []


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_axe_finds_no_violation_with_everything_unfolded(chromium, run_dir, color_scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe-core here: make test installs it")
    with opened(run_dir, chromium, color_scheme=color_scheme) as browser_page:
        browser_page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true })")
        violations = axe.Axe().run(browser_page).response["violations"]
        faults = [(violation["id"], node["html"][:200]) for violation in violations for node in violation["nodes"]]
        assert faults == []
        assert browser_page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("width_px", [320, 360, 768, 1440])
def test_page_with_long_class_names_does_not_scroll_sideways(chromium, copy, width_px, monkeypatch):
    text = (copy / "report" / "figures.json").read_text()
    for short, long in (("glass", "Miscellaneous Trash and Unlabeled litter"), ("metal", "Metal" * 8)):
        text = text.replace(f'"{short}"', f'"{long}"')
    monkeypatch.setattr(figures, "compute", lambda config: json.loads(text))
    page.write(copy, "id", STAGES_LEFT)
    with opened(copy, chromium) as browser_page:
        browser_page.set_viewport_size({"width": width_px, "height": 740})
        browser_page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true })")
        assert browser_page.evaluate("document.documentElement.scrollWidth") <= width_px


def test_number_scenario_f1_and_interval_fit_a_phone_and_the_number_stays(chromium, run_dir):
    with opened(run_dir, chromium) as browser_page:
        interval = browser_page.locator("#scenario-table tbody tr").first.locator("td").nth(2)
        box = interval.bounding_box()
        assert "\N{EN DASH}" in interval.inner_text() and box["x"] + box["width"] <= 360
        number = browser_page.locator("#scenario-table tbody th").first
        before = number.bounding_box()["x"]
        browser_page.evaluate("document.querySelector('.scroll:has(#scenario-table)').scrollLeft = 200")
        assert interval.bounding_box()["x"] < box["x"] and number.bounding_box()["x"] == before


def test_photo_is_enlarged_without_javascript_and_by_keyboard(chromium, run_dir):
    with opened(run_dir, chromium, java_script_enabled=False) as browser_page:
        photo = browser_page.locator("#mistakes .photo").first
        small = photo.locator("img").first.bounding_box()["width"]
        heatmap = photo.get_by_alt_text("Heat map of")
        assert heatmap.count() == 1 and not heatmap.is_visible()
        photo.locator("summary").focus()
        browser_page.keyboard.press("Enter")
        assert photo.locator("img").first.bounding_box()["width"] > 2 * small
        assert heatmap.bounding_box()["width"] == photo.locator("img").first.bounding_box()["width"]
        assert "Actual: " in photo.inner_text()


def test_confusion_matrices_of_all_scenarios_are_not_printed(chromium, run_dir):
    with opened(run_dir, chromium) as browser_page:
        folded = browser_page.get_by_text("Confusion matrices of all scenarios")
        assert folded.is_visible()
        browser_page.emulate_media(media="print")
        assert not folded.is_visible()


def test_header_button_sorts_the_table_in_a_browser(chromium, run_dir):
    with opened(run_dir, chromium) as browser_page:
        header = browser_page.locator("#scenario-table th", has_text="No.")
        for order, expected in (("descending", ["4", "3", "2", "1"]), ("ascending", ["1", "2", "3", "4"])):
            header.get_by_role("button").click()
            assert header.get_attribute("aria-sort") == order
            assert browser_page.locator("#scenario-table tbody th").all_inner_texts() == expected
        assert browser_page.locator("#scenario-table th[aria-sort=none]").count() == 10
