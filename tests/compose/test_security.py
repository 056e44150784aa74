"""Rights of the containers, and secrets in images, their histories and logs."""

import ast
import re
import subprocess
import sys

import compose_engine
import compose_project
import pytest
import yaml

USERS = {  # service -> user IDs of its processes; the image of TensorFlow Serving has no user of its own
    "db": {"999"},
    "serving": {"0"},
    "web": {"10001"},
}
IMAGES = [f"{compose_project.NAME}-pipeline", f"{compose_project.NAME}-web"]
PRIVATE = ("index-url", "extra-index-url", "find-links", "proxy", "trusted-host")  # settings of pip


def status(project, service):
    """Return field -> value of the container's first process."""
    text = project.compose("exec", "-T", service, "cat", "/proc/1/status")
    return dict(re.findall(r"(?m)^(\w+):\s+(.*)$", text))


def capabilities(project, service):
    """Return the capabilities that docker-compose.yml gives to a service, as the kernel's bits."""
    bits = {"CHOWN": 0, "DAC_OVERRIDE": 1, "FOWNER": 3, "SETGID": 6, "SETUID": 7}
    compose = yaml.safe_load((project.folder / "docker-compose.yml").read_text())
    return sum(1 << bits[name] for name in compose["services"][service].get("cap_add", []))


@pytest.mark.parametrize("service", compose_project.SERVICES)
def test_container_has_the_rights_of_the_file_and_no_others(project, service):
    first = status(project, service)
    assert first["NoNewPrivs"] == "1" and first["Seccomp"] == "2"
    assert int(first["CapBnd"], 16) == capabilities(project, service)
    assert int(first["CapEff"], 16) == (capabilities(project, service) if service == "serving" else 0)
    with pytest.raises(RuntimeError, match="Read-only file system"):
        project.compose("exec", "-T", "--user", "root", service, "touch", "/etc/x")
    for folder in ("/models", "/config"):
        if service == "serving":
            with pytest.raises(RuntimeError, match="Read-only file system"):
                project.compose("exec", "-T", service, "touch", f"{folder}/x")


@pytest.mark.parametrize("service", compose_project.SERVICES)
def test_no_process_runs_as_another_user(project, say, service):
    output = compose_engine.docker("top", project.container(service), "-eo", "pid,uid,args")  # docker needs pid
    # the health check of the database is started by docker, as root
    users = [line.split()[1] for line in output.splitlines()[1:] if "pg_isready" not in line]
    say(f"{service}: {len(users)} processes as user ID {', '.join(sorted(set(users)))}")
    assert set(users) == USERS[service], output


@pytest.mark.parametrize("service", compose_project.SERVICES)
def test_limits_of_the_file_are_in_force(project, service):
    compose = yaml.safe_load((project.folder / "docker-compose.yml").read_text())
    limits = compose["services"][service]["deploy"]["resources"]["limits"]
    memory, cpus = project.inspect(service, "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}").split()
    unit = {"G": 1024**3, "M": 1024**2}[limits["memory"][-1]]
    assert int(memory) == int(limits["memory"][:-1]) * unit
    assert int(cpus) == float(limits["cpus"]) * 1e9


def test_only_this_machine_reaches_the_ports(project):
    published = compose_engine.docker("ps", "--filter", f"label=com.docker.compose.project={compose_project.NAME}")
    assert set(re.findall(r"([\d.]+):\d+(?:-\d+)?->", published)) == {"127.0.0.1"}, published


def private_values(project):
    """Return the secrets of .env and the private settings of this machine's pip."""
    pip = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(pip, check=True, capture_output=True, text=True).stdout
    settings = [ast.literal_eval(value) for value in re.findall(rf"(?m)\.(?:{'|'.join(PRIVATE)})=(.*)$", listed)]
    return [*project.secrets.values(), *(word for setting in settings for word in setting.split())]


@pytest.mark.parametrize("image", IMAGES)
def test_image_and_its_history_have_no_secret(project, tmp_path, image):
    (tmp_path / "values").write_text("\n".join([*private_values(project), str(project.folder)]) + "\n")
    history = compose_engine.docker("history", "--no-trunc", image)
    assert not [value for value in (tmp_path / "values").read_text().split() if value in history]
    assert "HTTP_PROXY" not in history + compose_engine.docker("inspect", image)
    command = (
        f"docker save {image} | grep --text --only-matching --fixed-strings --file {tmp_path / 'values'} | sort -u"
    )
    assert compose_engine.run(["bash", "-o", "pipefail", "-c", f"{command} || test $? = 1"]) == ""


def test_search_of_an_image_finds_what_is_in_it(project):
    command = f"docker save {IMAGES[0]} | grep --text --only-matching --fixed-strings --max-count 1 --file"
    needle = project.folder / "needle"
    needle.write_text(
        "Keras and Kaggle therefore keep\nThe pipeline as a job\nRun a search\npip install --no-cache-dir\n"
    )
    assert compose_engine.run(["bash", "-c", f"{command} {needle}"])


def test_logs_have_no_secret_and_no_traceback(project):
    logs = project.logs()
    assert not [name for name, value in project.secrets.items() if value in logs]
    assert "Traceback" not in logs
