"""The commands for operators that the documentation names, by docker compose exec and cp."""

import json

import compose_clients
import pytest


@pytest.fixture(scope="module")
def answers(project):
    """Confirm one photo and correct another; return row id -> class that the visitor said."""
    browser, answers = compose_clients.Browser(), {}
    for number in range(2):
        row_id = browser.upload(compose_clients.photo())
        (row,) = project.query(f"SELECT scores FROM upload WHERE id = '{row_id}'")
        scores = json.loads(row)
        answers[row_id] = sorted(scores, key=scores.get)[-1 - number]
        response = browser.post(f"/result/{row_id}", f"/result/{row_id}/correction", class_name=answers[row_id])
        assert response.status_code == 303, response.text
    return answers


def exported(folder):
    return {path.stem: path.parent.name for path in folder.glob("*/*.jpg")}


def test_corrections_are_exported_and_copied_out(project, answers):
    assert "wrote 2" in project.flask("export-corrections", "/data/corrections")
    project.compose("cp", "web:/data/corrections", "corrections")
    assert exported(project.folder / "corrections") == answers


def test_prune_deletes_all_but_confirmed_and_corrected_photos(project, answers):
    assert "kept 2 confirmed or corrected ones" in project.flask("prune", "--days", "0")
    assert sorted(project.query("SELECT id FROM upload")) == sorted(answers)


def test_doctor_finds_nothing_to_delete(project, answers):
    assert "deleted 0 pictures without a row and 0 rows without a picture" in project.flask("doctor")


def test_operator_signs_in_and_is_signed_out_by_the_command(project, answers):
    browser = compose_clients.Browser()
    assert browser.post("/operator", "/operator", token=project.secrets["ADMIN_TOKEN"]).status_code == 303
    assert all(row_id in browser.get("/history").text for row_id in answers)
    assert "revoked 1 sessions" in project.flask("operator-sessions", "--revoke", "all")
    assert not any(row_id in browser.get("/history").text for row_id in answers)


def test_local_rules_are_shown_from_the_volume(project, answers):
    (project.folder / "rules.toml").write_text('[other]\nen = "Ask the council of Example Town."\n')
    project.compose("cp", "rules.toml", "web:/data/rules.toml")
    project.write_env(TRUSTED_PROXIES="1", DISPOSAL_ADVICE="/data/rules.toml")
    project.compose("up", "--detach")
    project.wait_until_healthy()
    browser = compose_clients.Browser()
    row_id = browser.upload(compose_clients.photo())
    browser.post(f"/result/{row_id}", f"/result/{row_id}/correction", feedback="confirmed")
    assert "Ask the council of Example Town." in browser.get(f"/result/{row_id}").text
