"""The profile `cluster` of docker-compose.yml: it fits the job and the command line, and the page does not reach it."""

import pathlib

import pytest
import typer.main
import yaml

from pipeline import cli

SERVICES = yaml.safe_load((pathlib.Path(__file__).parents[1] / "docker-compose.yml").read_text())["services"]
CLUSTER = ["scheduler", "worker"]
every_service = pytest.mark.parametrize("name", CLUSTER)


def parameters(name):
    """Return name -> value of the parameters that the command line takes from the command of a service."""
    command, *arguments = SERVICES[name]["command"]
    return typer.main.get_group(cli.app).commands[command].make_context(command, arguments).params


@every_service
def test_service_is_the_job_of_another_command(name):
    job, service = SERVICES["pipeline"], SERVICES[name]
    assert service["profiles"] == ["cluster"]
    assert {key: service[key] for key in ("image", "build", "user")} == {
        key: job[key] for key in ("image", "build", "user")
    }


def test_workers_have_the_folders_of_the_job_under_the_same_paths():
    assert SERVICES["worker"]["volumes"] == SERVICES["pipeline"]["volumes"]
    assert parameters("worker")["workers"] == 1 and SERVICES["worker"]["deploy"]["resources"]["limits"]["cpus"] == "1"


def test_workers_connect_to_the_scheduler_when_it_is_healthy():
    assert parameters("worker")["address"] == f"tcp://scheduler:{parameters('scheduler')['port']}"
    assert SERVICES["worker"]["depends_on"] == {"scheduler": {"condition": "service_healthy"}}
    assert f":{parameters('scheduler')['dashboard_port']}/health" in SERVICES["scheduler"]["healthcheck"]["test"][-1]


def test_only_the_job_and_the_workers_reach_the_scheduler():
    assert {name for name, service in SERVICES.items() if "cluster" in service.get("networks", [])} == {
        *CLUSTER,
        "pipeline",
    }
    port = parameters("scheduler")["dashboard_port"]
    assert SERVICES["scheduler"]["ports"] == [f"127.0.0.1:{port}:{port}"] and "ports" not in SERVICES["worker"]


@every_service
def test_service_has_no_privileges_and_limits_and_restarts(name):
    service = SERVICES[name]
    assert service["read_only"] and service["cap_drop"] == ["ALL"] and "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"] and service["restart"] == "unless-stopped"
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    assert service["logging"] == SERVICES["pipeline"]["logging"]


@every_service
def test_home_of_the_entry_point_is_writable(name):
    volumes = [mount.split(":")[1] for mount in SERVICES[name].get("volumes", []) if isinstance(mount, str)]
    assert "/cache" in [*volumes, *SERVICES[name]["tmpfs"]] and "/tmp" in SERVICES[name]["tmpfs"]
