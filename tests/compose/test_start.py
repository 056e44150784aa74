"""The commands of docs/deployment.md up to a running page, and its messages."""

import os

import compose_clients
import compose_project
import pytest


def failure(project, *arguments):
    with pytest.raises(RuntimeError) as raised:
        project.compose(*arguments)
    return str(raised.value)


def test_job_without_runs_folder_names_it(project):
    message = failure(project, "run", "--rm", "--no-TTY", "pipeline", "status", "--run-dir", compose_project.RUN)
    assert "bind source path does not exist" in message and "/runs" in message
    assert not (project.folder / "runs").exists()


def test_job_pushes_a_model_of_its_owner(project):
    (project.folder / "runs").mkdir()
    os.chown(project.folder / "runs", compose_project.OWNER, compose_project.OWNER)
    output = project.job("run", *compose_project.RUN_OPTIONS.split(), seconds=1200)
    assert "Winner: scenario 1" in output
    assert f"RUN={compose_project.RUN} docker compose up" in output
    version = project.served() / "1"
    assert (version / "saved_model.pb").stat().st_uid == compose_project.OWNER


def test_model_server_starts_alone_without_settings(project):
    project.compose("up", "--detach", "serving")
    project.wait(lambda: project.states() == {"serving": "healthy"}, "the model server is healthy")
    (status,) = compose_clients.get(compose_clients.REST).json()["model_version_status"]
    assert (status["version"], status["state"]) == ("1", "AVAILABLE")


def test_page_and_database_without_settings_name_them(project):
    message = failure(project, "up", "--detach")
    assert "dependency failed to start" in message
    assert "db: POSTGRES_PASSWORD must be set in .env" in project.logs()
    output = failure(project, "run", "--rm", "--no-TTY", "--no-deps", "web")
    assert "SECRET_KEY must be set" in output and "Traceback" not in output
    project.compose("down", "--volumes")


def test_missing_run_is_named(project):
    project.write_env(RUN="runs/missing")
    message = failure(project, "up", "--detach")
    assert "bind source path does not exist" in message and "/runs/missing/served" in message


def test_all_services_become_healthy(project):
    project.write_env(TRUSTED_PROXIES="1")
    project.compose("up", "--detach")
    project.wait_until_healthy()


@pytest.mark.parametrize("path", ["readyz", "metrics"])
def test_state_is_shown_inside_the_container_and_refused_outside(project, path):
    program = f"import urllib.request as r; print(r.urlopen('http://127.0.0.1:8000/{path}').read().decode())"
    assert project.compose("exec", "-T", "web", "python", "-c", program)
    assert compose_clients.get(f"{compose_clients.PAGE}/{path}").status_code == 403


def test_page_shows_the_model_of_the_run(project):
    page = compose_clients.Browser().get("/about").text
    assert "Model card" in page and "glass" in page
