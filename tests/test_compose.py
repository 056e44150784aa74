"""The deployment by Compose: valid by its specification, and of the same words as the embedded server."""

import functools
import http.server
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import threading
import tomllib

import pytest
import yaml
from google.protobuf import text_format
from grpc._cython import cygrpc
from tensorflow_serving.config import model_server_config_pb2

import web
from serving import client
from serving.embedded import flags
from web import decoding, gunicorn_config, settings

ROOT = pathlib.Path(__file__).parents[1]
BASE, GPU = ["docker-compose.yml"], ["docker-compose.yml", "docker-compose.gpu.yml"]
SERVED = "${RUN"  # how the source of the served folder begins: a run makes it
both = pytest.mark.parametrize("files", [BASE, GPU], ids=["cpu", "gpu"])


def laid_over(lower, upper):
    """What Compose makes of two files: maps merge, volumes merge by target, the upper one's other values stand."""
    merged = {**lower}
    for key, value in upper.items():
        if isinstance(value, dict) and key in lower:
            merged[key] = laid_over(lower[key], value)
        elif key == "volumes" and key in lower:
            merged[key] = list({mount["target"]: mount for mount in [*lower[key], *value]}.values())
        else:
            merged[key] = value
    return merged


def compose(files):
    return functools.reduce(laid_over, [yaml.safe_load((ROOT / file).read_text()) for file in files])


def service(files, name="serving"):
    return compose(files)["services"][name]


def given_flags(files):
    """name -> value of each flag in the command."""
    matches = [re.fullmatch(r"--(\w+)=(.+)", word) for word in service(files)["command"]]
    return {match[1]: match[2] for match in matches}


def sources(files):
    """Path in the container -> path in the repository, of what is mounted but the served folder."""
    mounts = {mount["target"]: mount["source"] for mount in service(files)["volumes"]}
    return {target: ROOT / source for target, source in mounts.items() if SERVED not in source}


def source_of(files, path):
    """Path in the repository of what a flag names in the container, by the mount of it or of its folder."""
    target = pathlib.Path(path)
    (mounted,) = {one for one in map(str, (target, target.parent)) if one in sources(files)}
    return sources(files)[mounted] / target.relative_to(mounted)


@both
def test_compose_file_is_valid_by_the_specification(tmp_path, files):
    merged = tmp_path / "docker-compose.yml"
    merged.write_text(yaml.safe_dump(compose(files)))
    validator = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*validator, merged, *files], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_gpu_file_changes_image_batching_and_resources_alone():
    lower, upper = service(BASE), service(GPU)
    assert {key for key in upper if upper[key] != lower.get(key)} == {"image", "volumes", "deploy"}
    moved = {target for target, source in sources(GPU).items() if source != sources(BASE)[target]}
    assert moved == {given_flags(BASE)["batching_parameters_file"]}
    (device,) = upper["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}


@both
def test_every_mounted_file_is_there_and_read_only(files):
    for mount in service(files)["volumes"]:
        assert (mount["type"], mount["read_only"]) == ("bind", True), mount
    for source in sources(files).values():
        assert source.exists(), source


@both
def test_served_folder_is_mounted_where_the_model_is_looked_for(files):
    (mount,) = [mount for mount in service(files)["volumes"] if SERVED in mount["source"]]
    assert mount["source"] == "./${RUN:-runs/demo}/served"
    assert mount["bind"] == {"create_host_path": False}  # else a run that is not there becomes an empty folder
    config = source_of(files, given_flags(files)["model_config_file"]).read_text()
    (model,) = text_format.Parse(config, model_server_config_pb2.ModelServerConfig()).model_config_list.config
    assert model.name == client.MODEL_NAME
    assert model.base_path == f"{mount['target']}/{client.MODEL_NAME}"


@both
def test_embedded_server_takes_the_same_flags_and_files(files):
    here = given_flags(files)
    here |= {name: source_of(files, value) for name, value in here.items() if value.startswith("/")}
    parsed = flags.parse([f"--{name}={value}" for name, value in here.items()])
    assert (parsed.model_config_file, parsed.model_config_file_poll_wait_seconds) == (here["model_config_file"], 30)
    assert parsed.allow_version_labels_for_unavailable_models and parsed.enable_grpc_healthcheck_service
    assert parsed.grpc_channel_arguments["grpc.http2.min_ping_interval_without_data_ms"] == 30_000
    assert not parsed.allow_reload_config
    assert (parsed.port, parsed.rest_api_port, parsed.metrics_path) == (8500, 8501, flags.DEFAULT_METRICS_PATH)
    assert parsed.batching.max_batch_size.value == (64 if files == GPU else 16)
    assert service(files)["ports"] == [f"127.0.0.1:{port}:{port}" for port in (parsed.port, parsed.rest_api_port)]


@both
def test_every_file_that_a_flag_names_is_mounted(files):
    named = {value for value in given_flags(files).values() if value.startswith("/")}
    assert named and all(source_of(files, name).is_file() for name in named)


@both
def test_file_that_is_read_again_is_mounted_by_its_folder(files):
    """A file that is mounted by itself stays the old one when an editor writes beside it and renames."""
    assert given_flags(files)["model_config_file"] not in sources(files)


@both
def test_grpc_knows_every_channel_argument(files):
    """It passes over those that it does not know without a word."""
    library = pathlib.Path(cygrpc.__file__).read_bytes()
    for argument in given_flags(files)["grpc_channel_arguments"].split(","):
        name, number = argument.split("=")
        assert name.encode() + b"\0" in library and number.isdecimal(), argument


@both
def test_image_has_the_minor_version_of_tensorflow(files):
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    (minor,) = {
        re.fullmatch(r"tensorflow==(\d+\.\d+)\.\*", line)[1]
        for group in groups.values()
        for line in group
        if isinstance(line, str) and line.startswith("tensorflow==")
    }
    suffix = "-gpu" if files == GPU else ""
    assert re.fullmatch(rf"tensorflow/serving:{re.escape(minor)}\.\d+{suffix}", service(files)["image"])


def test_ports_are_published_to_this_machine_alone():
    published = [port for one in compose(BASE)["services"].values() for port in one.get("ports", [])]
    assert len(published) == 3 and all(port.startswith("127.0.0.1:") for port in published)


@pytest.mark.parametrize("name", ["web", "serving"])
def test_service_has_longer_to_end_than_its_requests_have(name):
    seconds = int(service(BASE, name)["stop_grace_period"].removesuffix("s"))
    assert seconds > gunicorn_config.graceful_timeout


@both
def test_service_is_bounded_and_starts_again(files):
    limits = service(files)["deploy"]["resources"]["limits"]
    assert float(limits["cpus"]) > 0 and re.fullmatch(r"\d+[MG]", limits["memory"])
    assert service(files)["restart"] == "unless-stopped"


@both
def test_health_is_asked_without_programs_that_the_image_lacks(files):
    command = service(files)["healthcheck"]["test"]
    assert command[:3] == ["CMD", "bash", "-c"]
    assert not {"curl", "wget", "python", "nc"} & set(re.findall(r"\w+", command[3]))


@pytest.fixture
def rest():
    """rest(state): the port of a REST server whose model is in that state."""
    servers = []

    def start(state):
        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                if self.path == f"/v1/models/{client.MODEL_NAME}":
                    self.wfile.write(f'{{"model_version_status": [{{"state": "{state}"}}]}}\n'.encode())

            def log_message(self, *_):
                pass

        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer))
        threading.Thread(target=servers[-1].serve_forever, args=[0.01]).start()
        return servers[-1].server_port

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def is_healthy(port):
    *_, script = service(BASE)["healthcheck"]["test"]
    script = script.replace("/8501", f"/{port}")
    return not subprocess.run(["bash", "-c", script], capture_output=True, timeout=10, check=False).returncode


@pytest.mark.parametrize(("state", "healthy"), [("AVAILABLE", True), ("LOADING", False)])
def test_service_is_healthy_once_a_version_is_available(rest, state, healthy):
    assert is_healthy(rest(state)) == healthy


def test_service_that_does_not_listen_is_not_healthy():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert not is_healthy(taken.getsockname()[1])


def test_secrets_have_no_default_and_stand_in_the_example():
    text = (ROOT / "docker-compose.yml").read_text()
    secrets = {"SECRET_KEY", "POSTGRES_PASSWORD", "ADMIN_TOKEN"}
    assert {name: re.findall(rf"\$\{{{name}(.*?)\}}", text) for name in secrets} == {
        "SECRET_KEY": [":-"],
        "POSTGRES_PASSWORD": [":-", ":-"],
        "ADMIN_TOKEN": [":-"],
    }
    example = dict(line.split("=", 1) for line in (ROOT / ".env.example").read_text().splitlines() if "=" in line[:24])
    assert all(example[name] == "" for name in secrets)


def test_services_that_need_no_secret_start_without_one():
    """Compose reads the whole file for each service, and stops at a variable that is required and not set."""
    assert ":?" not in (ROOT / "docker-compose.yml").read_text()
    assert "depends_on" not in service(BASE) and "depends_on" not in service(BASE, "pipeline")


def test_page_without_a_key_says_so_in_one_line():
    with pytest.raises(settings.SettingsError, match=r"^SECRET_KEY must be set .*, under Compose in \.env\. "):
        settings.read({"SECRET_KEY": ""})


@pytest.mark.parametrize("password", ["", "abc"])
def test_database_without_a_password_says_so_in_one_line(tmp_path, password):
    image_entry_point = tmp_path / "docker-entrypoint.sh"
    image_entry_point.write_text('#!/bin/sh\necho "started: $*"\n')
    image_entry_point.chmod(0o755)
    database = service(BASE, "db")
    command = [word.replace("$$", "$") for word in (*database["entrypoint"], *database["command"])]
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "POSTGRES_PASSWORD": password}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=10, check=False)
    if password:
        assert (done.returncode, done.stdout, done.stderr) == (0, "started: postgres\n", "")
    else:
        assert (done.returncode, done.stdout) == (1, "")
        (line,) = done.stderr.splitlines()
        assert "POSTGRES_PASSWORD must be set in .env" in line


def test_database_is_healthy_over_tcp_alone():
    """While a new database is set up, the image's temporary server answers at its socket."""
    check = service(BASE, "db")["healthcheck"]
    assert "--host 127.0.0.1" in check["test"][1]
    assert check["start_period"] == "120s"


@pytest.mark.parametrize("name", ["serving", "web", "db", "pipeline"])
def test_log_of_each_container_is_bounded(name):
    logging = service(BASE, name)["logging"]
    assert logging == {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}}


def test_web_waits_for_the_database_and_not_for_the_model_server():
    assert service(BASE, "web")["depends_on"] == {
        "db": {"condition": "service_healthy"},
        "serving": {"condition": "service_started"},
    }


@pytest.mark.parametrize("name", ["web", "db"])
def test_service_that_stays_is_checked_bounded_and_started_again(name):
    limited = service(BASE, name)
    assert limited["healthcheck"]["test"] and limited["restart"] == "unless-stopped"
    assert set(limited["deploy"]["resources"]["limits"]) == {"cpus", "memory"}


@both
@pytest.mark.parametrize(
    ("name", "capabilities", "folders"),
    [
        ("web", [], ["/tmp"]),
        ("serving", ["DAC_OVERRIDE"], ["/tmp"]),  # reads a run that is its owner's alone
        ("db", ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"], ["/tmp", "/run/postgresql"]),
    ],
)
def test_service_may_do_nothing_that_it_need_not(files, name, capabilities, folders):
    hardened = service(files, name)
    assert (
        hardened["read_only"]
        and hardened["cap_drop"] == ["ALL"]
        and hardened["security_opt"] == ["no-new-privileges:true"]
    )
    assert (hardened.get("cap_add", []), hardened["tmpfs"]) == (capabilities, folders)


def test_web_takes_its_limits_from_the_env_file_and_else_has_its_own_defaults():
    variables = service(BASE, "web")["environment"]
    example = (ROOT / ".env.example").read_text()
    rates, kept = ("upload_rate", "visitor_rate", "total_rate"), ("keep_days", "max_stored_bytes")
    others = ("max_upload_bytes", "max_pixels", "metrics_from", "hsts_seconds", "serving_timeout_seconds")
    for name in (*rates, *kept, *others):
        variable, default = re.fullmatch(r"\$\{(\w+):-(.+)\}", variables[name.upper()]).groups()
        assert variable == name.upper() and f"\n#{variable}={default}\n" in example
        read = settings.read({variable: default, "SECRET_KEY": "k" * 32})
        assert getattr(read, name) == getattr(settings.Settings(), name)


def test_web_has_the_memory_for_the_largest_pictures_and_uploads():
    limit = service(BASE, "web")["deploy"]["resources"]["limits"]["memory"]
    most = settings.Settings()
    pictures = decoding.AT_ONCE * decoding.MEMORY_BYTES
    content = gunicorn_config.threads * 2 * most.max_upload_bytes  # in memory, and in a file of /tmp, which is a tmpfs
    assert int(limit.removesuffix("G")) * 2**30 > 128 * 2**20 + pictures + content


def test_web_reads_the_cards_of_what_is_served_and_cannot_write_there():
    web, serving = service(BASE, "web"), service(BASE)
    (served,) = [mount for mount in web["volumes"] if isinstance(mount, dict)]
    assert served in serving["volumes"] and served["read_only"]
    assert web["environment"]["MODEL_FOLDER"] == f"{served['target']}/{client.MODEL_NAME}"


def test_corrections_are_exported_to_where_the_page_may_write_and_docker_can_copy_from():
    guide = (ROOT / "docs" / "serving.md").read_text()
    (volume,) = [mount.split(":")[1] for mount in service(BASE, "web")["volumes"] if isinstance(mount, str)]
    (folder,) = re.findall(r"\ndocker compose exec web flask --app web export-corrections (\S+)", guide)
    assert folder.startswith(f"{volume}/")
    assert "\nrm -rf corrections " in guide and f"\ndocker compose cp web:{folder} corrections " in guide


def test_pipeline_is_a_job_that_starts_with_no_other_service():
    assert service(BASE, "pipeline")["profiles"] == ["job"]


def test_pipeline_runs_as_the_owner_of_the_runs():
    job = service(BASE, "pipeline")
    assert job["user"] == "${RUNS_OWNER:-1000:1000}"
    assert "\n#RUNS_OWNER=1000:1000\n" in (ROOT / ".env.example").read_text()
    (runs,) = [mount for mount in job["volumes"] if isinstance(mount, dict) and mount["target"] == "/app/runs"]
    assert runs["bind"] == {"create_host_path": False} and not runs.get("read_only")


def test_pipeline_keeps_weights_in_a_folder_of_its_user(tmp_path):
    (weights,) = [mount for mount in service(BASE, "pipeline")["volumes"] if isinstance(mount, str)]
    _, target = weights.split(":")
    image = (ROOT / service(BASE, "pipeline")["build"]["dockerfile"]).read_text()
    assert f"install -d -m 1777 {target}\n" in image  # a new volume takes the mode of the folder below it
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$HOME $*"\n')
    python.chmod(0o755)
    (entry_point,) = re.findall(r"^ENTRYPOINT (.*)$", image, re.MULTILINE)
    command = [word.replace(target, str(tmp_path / "cache")) for word in json.loads(entry_point)]
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    arguments = ["run", "--images", "two words"]
    done = subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, check=True)
    home = tmp_path / "cache" / str(os.getuid())  # Keras and kagglehub write below it
    assert home.is_dir() and done.stdout == f"{home} -m pipeline run --images two words\n"


@pytest.mark.parametrize("name", ["web", "pipeline"])
def test_image_is_built_from_files_that_are_there_and_runs_as_a_user(name):
    dockerfile = ROOT / service(BASE, name)["build"]["dockerfile"]
    steps = [line.split() for line in dockerfile.read_text().splitlines()]
    copied = [word for step in steps if step[:1] == ["COPY"] and "--from" not in step[1] for word in step[1:-1]]
    assert copied and all(list(ROOT.glob(path)) for path in copied)
    assert ["USER", "pilah"] in steps


def test_web_starts_from_the_files_of_its_image_alone_and_loads_nothing_that_trains(tmp_path):
    for line in (ROOT / service(BASE, "web")["build"]["dockerfile"]).read_text().splitlines():
        if line.startswith("COPY ") and "requirements" not in line and "--from" not in line:
            *sources, target = line.split()[1:]
            for path in (path for source in sources for path in ROOT.glob(source)):
                copy = shutil.copytree if path.is_dir() else shutil.copy
                to = tmp_path / target / path.name if path.is_file() else tmp_path / target
                to.parent.mkdir(parents=True, exist_ok=True)
                copy(path, to)
    code = (
        "import sys, web; app = web.create_app(); from serving import client; client.main(['classify', 'none.jpg']);"
        "print(*sys.modules)"
    )
    environment = {"PILAH_ENV": "development", "PILAH_DATA": "data"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert not {"tensorflow", "keras", "apache_beam", "tensorflow_datasets", "keras_tuner", "numpy"} & loaded
    assert {"web", "serving", "components"} <= loaded and not {"pipeline", "tuner"} & loaded


def is_ignored(path):
    """Whether Docker leaves `path` out of a build: the last pattern that matches it, or a folder above it, counts."""
    ignored = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#"):
            pattern = re.escape(line.removeprefix("!")).replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*")
            if re.match(rf"{pattern}(?:/|$)", path):
                ignored = not line.startswith("!")
    return ignored


@pytest.mark.parametrize(
    "path",
    [
        ".env",
        ".env.production",
        ".git/config",
        "web/.env",
        "instance/secret_key",
        "instance/pilah.db",
        "web/instance/pilah.db-wal",
        "runs/thesis/served/pilah/1/saved_model.pb",
        "backup.sqlite3",
        "garbage.zip",
        "tls.pem",
        "serving/config/tls.key",
        "web/__pycache__/settings.cpython-313.pyc",
    ],
)
def test_secrets_and_data_stay_out_of_a_build(path):
    assert is_ignored(path)


@pytest.mark.parametrize("name", ["web", "pipeline"])
def test_what_an_image_copies_is_part_of_its_build(name):
    dockerfile = ROOT / service(BASE, name)["build"]["dockerfile"]
    for line in dockerfile.read_text().splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            for path in (path for word in line.split()[1:-1] for path in ROOT.glob(word)):
                files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
                kept = [file for file in files if file.suffix != ".pyc"]
                assert kept and not [file for file in kept if is_ignored(str(file.relative_to(ROOT)))]


def test_proxy_of_the_guide_takes_as_much_as_the_page(tmp_path):
    (kilobytes,) = re.findall(r"client_max_body_size (\d+)k;", (ROOT / "docs" / "serving.md").read_text())
    app = web.create_app({"pilah_env": "development", "pilah_data": str(tmp_path)})
    assert int(kilobytes) * 1024 == app.config["MAX_CONTENT_LENGTH"]


def test_web_image_installs_nothing_that_trains():
    packages = re.findall(r"^([\w-]+)==", (ROOT / "requirements" / "web.txt").read_text(), re.MULTILINE)
    assert not {"tensorflow", "keras", "apache-beam", "tensorflow-serving-api"} & set(packages)


def test_named_volumes_are_declared():
    whole = compose(BASE)
    used = {
        mount.split(":")[0]
        for one in whole["services"].values()
        for mount in one.get("volumes", [])
        if isinstance(mount, str)
    }
    assert used == set(whole["volumes"])
