"""The deployment with Compose: it is valid, secure, and consistent with the embedded server, the page and the docs."""

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
from web import decoding, settings
from web import server as web_server

ROOT = pathlib.Path(__file__).parents[1]
BASE, GPU = ["docker-compose.yml"], ["docker-compose.yml", "docker-compose.gpu.yml"]
SERVED = "${RUN"  # start of the source of the served folder, which a run creates
both = pytest.mark.parametrize("files", [BASE, GPU], ids=["cpu", "gpu"])


def merge(base, override):
    """Merge two files as Compose does: maps by key, volumes by target; other values are replaced."""
    merged = {**base}
    for key, value in override.items():
        if isinstance(value, dict) and key in base:
            merged[key] = merge(base[key], value)
        elif key == "volumes" and key in base:
            merged[key] = list({mount["target"]: mount for mount in [*base[key], *value]}.values())
        else:
            merged[key] = value
    return merged


def compose(files):
    return functools.reduce(merge, [yaml.safe_load((ROOT / file).read_text()) for file in files])


def docs_text():
    return "\n".join(path.read_text() for path in sorted((ROOT / "docs").glob("*.md")))


def service(files, name="serving"):
    return compose(files)["services"][name]


def command_flags(files):
    """Return name -> value of each flag in the command."""
    matches = [re.fullmatch(r"--(\w+)=(.+)", word) for word in service(files)["command"]]
    return {match[1]: match[2] for match in matches}


def sources(files):
    """Return path in the container -> path in the repository of each mount but the served folder."""
    mounts = {mount["target"]: mount["source"] for mount in service(files)["volumes"]}
    return {target: ROOT / source for target, source in mounts.items() if SERVED not in source}


def source_of(files, path):
    """Return the path in the repository of a flag's file, which is mounted alone or with its folder."""
    target = pathlib.Path(path)
    (mounted,) = {candidate for candidate in map(str, (target, target.parent)) if candidate in sources(files)}
    return sources(files)[mounted] / target.relative_to(mounted)


@both
def test_compose_file_follows_the_specification(tmp_path, files):
    merged = tmp_path / "docker-compose.yml"
    merged.write_text(yaml.safe_dump(compose(files)))
    validator = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    completed = subprocess.run([*validator, merged, *files], cwd=ROOT, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stdout + completed.stderr


def test_gpu_file_changes_only_image_batching_and_resources():
    base, gpu = service(BASE), service(GPU)
    assert {key for key in gpu if gpu[key] != base.get(key)} == {"image", "volumes", "deploy"}
    moved = {target for target, source in sources(GPU).items() if source != sources(BASE)[target]}
    assert moved == {command_flags(BASE)["batching_parameters_file"]}
    (device,) = gpu["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}


@both
def test_every_mounted_file_exists_and_is_read_only(files):
    for mount in service(files)["volumes"]:
        assert (mount["type"], mount["read_only"]) == ("bind", True), mount
    for source in sources(files).values():
        assert source.exists(), source


@both
def test_served_folder_is_mounted_at_the_base_path_of_the_model(files):
    (mount,) = [mount for mount in service(files)["volumes"] if SERVED in mount["source"]]
    assert mount["source"] == "./${RUN:-runs/demo}/served"
    assert mount["bind"] == {"create_host_path": False}  # otherwise Docker creates an empty folder for a missing run
    config = source_of(files, command_flags(files)["model_config_file"]).read_text()
    (model,) = text_format.Parse(config, model_server_config_pb2.ModelServerConfig()).model_config_list.config
    assert model.name == client.MODEL_NAME
    assert model.base_path == f"{mount['target']}/{client.MODEL_NAME}"


@both
def test_embedded_server_accepts_the_same_flags_and_files(files):
    flag_values = command_flags(files)
    flag_values |= {name: source_of(files, value) for name, value in flag_values.items() if value.startswith("/")}
    parsed = flags.parse([f"--{name}={value}" for name, value in flag_values.items()])
    assert parsed.model_config_file == flag_values["model_config_file"]
    assert parsed.model_config_file_poll_wait_seconds == 30
    assert parsed.allow_version_labels_for_unavailable_models and parsed.enable_grpc_healthcheck_service
    assert parsed.grpc_channel_arguments["grpc.http2.min_ping_interval_without_data_ms"] == 30_000
    assert not parsed.allow_reload_config
    assert (parsed.port, parsed.rest_api_port, parsed.metrics_path) == (8500, 8501, flags.DEFAULT_METRICS_PATH)
    assert parsed.batching.max_batch_size.value == (64 if files == GPU else 16)
    assert service(files)["ports"] == [f"127.0.0.1:{port}:{port}" for port in (parsed.port, parsed.rest_api_port)]


@both
def test_every_file_that_a_flag_names_is_mounted(files):
    named = {value for value in command_flags(files).values() if value.startswith("/")}
    assert named and all(source_of(files, name).is_file() for name in named)


@both
def test_reloaded_file_is_mounted_with_its_folder(files):
    """A mounted file keeps its old content when an editor replaces it."""
    assert command_flags(files)["model_config_file"] not in sources(files)


@both
def test_every_channel_argument_exists_in_grpc(files):
    """gRPC ignores unknown arguments without a warning."""
    library = pathlib.Path(cygrpc.__file__).read_bytes()
    for argument in command_flags(files)["grpc_channel_arguments"].split(","):
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


def test_ports_are_published_on_this_machine_only():
    published = [port for entry in compose(BASE)["services"].values() for port in entry.get("ports", [])]
    assert published and all(port.startswith("127.0.0.1:") for port in published)


@pytest.mark.parametrize("name", ["web", "serving"])
def test_service_has_more_time_to_stop_than_its_requests(name):
    seconds = int(service(BASE, name)["stop_grace_period"].removesuffix("s"))
    assert seconds > web_server.GRACE_SECONDS


@both
def test_model_server_has_resource_limits_and_restarts(files):
    limits = service(files)["deploy"]["resources"]["limits"]
    assert float(limits["cpus"]) > 0 and re.fullmatch(r"\d+[MG]", limits["memory"])
    assert service(files)["restart"] == "unless-stopped"


@both
def test_health_check_uses_no_program_that_the_image_lacks(files):
    command = service(files)["healthcheck"]["test"]
    assert command[:3] == ["CMD", "bash", "-c"]
    assert not {"curl", "wget", "python", "nc"} & set(re.findall(r"\w+", command[3]))


@pytest.fixture
def rest():
    """Yield rest(state), which returns the port of a REST server whose model is in that state."""
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
    with socket.socket() as bound_socket:
        bound_socket.bind(("127.0.0.1", 0))
        assert not is_healthy(bound_socket.getsockname()[1])


def test_secrets_have_no_default_and_are_in_the_example():
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
    """Compose reads the whole file for each service, and stops at a required variable that is not set."""
    assert ":?" not in (ROOT / "docker-compose.yml").read_text()
    assert "depends_on" not in service(BASE) and "depends_on" not in service(BASE, "pipeline")


def test_page_without_a_key_refuses_to_start():
    with pytest.raises(settings.SettingsError, match=r"^SECRET_KEY must be set .*, with Compose in \.env\. "):
        settings.read({"SECRET_KEY": ""})


@pytest.mark.parametrize("password", ["", "abc"])
def test_database_without_a_password_prints_one_line_and_exits_with_1(tmp_path, password):
    image_entry_point = tmp_path / "docker-entrypoint.sh"
    image_entry_point.write_text('#!/bin/sh\necho "started: $*"\n')
    image_entry_point.chmod(0o755)
    database = service(BASE, "db")
    command = [word.replace("$$", "$") for word in (*database["entrypoint"], *database["command"])]
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "POSTGRES_PASSWORD": password}
    completed = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=10, check=False)
    if password:
        assert (completed.returncode, completed.stdout, completed.stderr) == (0, "started: postgres\n", "")
    else:
        assert (completed.returncode, completed.stdout) == (1, "")
        (line,) = completed.stderr.splitlines()
        assert "POSTGRES_PASSWORD must be set in .env" in line


def test_health_check_of_the_database_uses_tcp():
    """While a new database is set up, the image's temporary server answers on its socket."""
    check = service(BASE, "db")["healthcheck"]
    assert "--host 127.0.0.1" in check["test"][1]
    assert check["start_period"] == "120s"


@pytest.mark.parametrize("name", ["serving", "web", "db", "pipeline"])
def test_log_of_each_container_has_a_maximum_size(name):
    logging = service(BASE, name)["logging"]
    assert logging == {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}}


def test_web_waits_for_the_database_and_not_for_the_model_server():
    assert service(BASE, "web")["depends_on"] == {
        "db": {"condition": "service_healthy"},
        "serving": {"condition": "service_started"},
    }


@pytest.mark.parametrize("name", ["web", "db"])
def test_page_and_database_have_health_checks_and_resource_limits_and_restart(name):
    limited = service(BASE, name)
    assert limited["healthcheck"]["test"] and limited["restart"] == "unless-stopped"
    assert set(limited["deploy"]["resources"]["limits"]) == {"cpus", "memory"}


@both
@pytest.mark.parametrize(
    ("name", "capabilities", "folders"),
    [
        ("web", [], ["/tmp"]),
        ("serving", ["DAC_OVERRIDE"], ["/tmp"]),  # to read a run that only its owner can read
        ("db", ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"], ["/tmp", "/run/postgresql"]),
    ],
)
def test_service_has_only_the_privileges_that_it_needs(files, name, capabilities, folders):
    hardened = service(files, name)
    assert (
        hardened["read_only"]
        and hardened["cap_drop"] == ["ALL"]
        and hardened["security_opt"] == ["no-new-privileges:true"]
    )
    assert (hardened.get("cap_add", []), hardened["tmpfs"]) == (capabilities, folders)


def test_web_takes_its_limits_from_the_env_file_or_the_defaults_of_its_settings():
    variables = service(BASE, "web")["environment"]
    example = (ROOT / ".env.example").read_text()
    rates, retention = ("upload_rate", "visitor_rate", "total_rate"), ("keep_days", "max_stored_bytes")
    others = ("max_upload_bytes", "max_pixels", "metrics_from", "hsts_seconds", "serving_timeout_seconds")
    for name in (*rates, *retention, *others):
        variable, default = re.fullmatch(r"\$\{(\w+):-(.+)\}", variables[name.upper()]).groups()
        assert variable == name.upper() and f"\n#{variable}={default}\n" in example
        read = settings.read({variable: default, "SECRET_KEY": "k" * 32})
        assert getattr(read, name) == getattr(settings.Settings(), name)


def test_web_has_enough_memory_for_the_largest_pictures_and_uploads():
    limit = service(BASE, "web")["deploy"]["resources"]["limits"]["memory"]
    defaults = settings.Settings()
    pictures = decoding.AT_ONCE * decoding.MEMORY_BYTES
    content = web_server.MAX_RECEIVED_BYTES + web_server.THREADS * defaults.max_upload_bytes  # in /tmp, a tmpfs
    assert int(limit.removesuffix("G")) * 2**30 > 128 * 2**20 + pictures + content


def test_web_mounts_the_served_models_read_only():
    web, serving = service(BASE, "web"), service(BASE)
    (served,) = [mount for mount in web["volumes"] if isinstance(mount, dict)]
    assert served in serving["volumes"] and served["read_only"]
    assert web["environment"]["MODEL_FOLDER"] == f"{served['target']}/{client.MODEL_NAME}"


def test_docs_export_corrections_to_the_volume_of_the_page():
    docs = docs_text()
    (volume,) = [mount.split(":")[1] for mount in service(BASE, "web")["volumes"] if isinstance(mount, str)]
    (folder,) = re.findall(r"\ndocker compose exec web flask --app web export-corrections (\S+)", docs)
    assert folder.startswith(f"{volume}/")
    assert "\nrm -rf corrections " in docs and f"\ndocker compose cp web:{folder} corrections " in docs


def test_pipeline_is_a_job_that_up_does_not_start():
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
    assert f"install -d -m 1777 {target}\n" in image  # a new volume takes the mode of this folder
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$HOME $*"\n')
    python.chmod(0o755)
    (entry_point,) = re.findall(r"^ENTRYPOINT (.*)$", image, re.MULTILINE)
    command = [word.replace(target, str(tmp_path / "cache")) for word in json.loads(entry_point)]
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    arguments = ["run", "--images", "two words"]
    completed = subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, check=True)
    home = tmp_path / "cache" / str(os.getuid())  # Keras and kagglehub write there
    assert home.is_dir() and completed.stdout == f"{home} -m pipeline run --images two words\n"


@pytest.mark.parametrize("name", ["web", "pipeline"])
def test_image_copies_existing_files_and_does_not_run_as_root(name):
    dockerfile = ROOT / service(BASE, name)["build"]["dockerfile"]
    steps = [line.split() for line in dockerfile.read_text().splitlines()]
    copied = [word for step in steps if step[:1] == ["COPY"] and "--from" not in step[1] for word in step[1:-1]]
    assert copied and all(list(ROOT.glob(path)) for path in copied)
    assert ["USER", "pilah"] in steps


def test_web_starts_with_only_the_files_of_its_image_and_loads_no_training_library(tmp_path):
    for line in (ROOT / service(BASE, "web")["build"]["dockerfile"]).read_text().splitlines():
        if line.startswith("COPY ") and "requirements" not in line and "--from" not in line:
            *sources, target = line.split()[1:]
            for path in (path for source in sources for path in ROOT.glob(source)):
                copy = shutil.copytree if path.is_dir() else shutil.copy
                to = tmp_path / target / path.name if path.is_file() else tmp_path / target
                to.parent.mkdir(parents=True, exist_ok=True)
                copy(path, to)
    code = (
        "import sys, web.server, components.data.decoding_process; web.create_app();"
        "from serving.client import __main__ as command; command.main(['classify', 'none.jpg']); print(*sys.modules)"
    )
    environment = {"PILAH_ENV": "development", "PILAH_DATA": "data"}
    completed = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert completed.returncode == 0, completed.stderr
    loaded = {name.split(".")[0] for name in completed.stdout.split()}
    assert not {"tensorflow", "keras", "apache_beam", "tensorflow_datasets", "keras_tuner", "numpy"} & loaded
    assert {"web", "serving", "components"} <= loaded and not {"pipeline", "tuner"} & loaded


def is_ignored(path):
    """Return whether Docker excludes `path` from a build, by the last pattern that matches it or a parent folder."""
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
def test_secrets_and_data_are_excluded_from_builds(path):
    assert is_ignored(path)


@pytest.mark.parametrize("name", ["web", "pipeline"])
def test_files_that_an_image_copies_are_not_excluded_from_its_build(name):
    dockerfile = ROOT / service(BASE, name)["build"]["dockerfile"]
    for line in dockerfile.read_text().splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            for path in (path for word in line.split()[1:-1] for path in ROOT.glob(word)):
                files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
                sources = [file for file in files if file.suffix != ".pyc"]
                assert sources and not [file for file in sources if is_ignored(str(file.relative_to(ROOT)))]


def test_proxy_of_the_docs_has_the_size_limit_of_the_page(tmp_path):
    (kilobytes,) = re.findall(r"client_max_body_size (\d+)k;", docs_text())
    app = web.create_app({"pilah_env": "development", "pilah_data": str(tmp_path)})
    assert int(kilobytes) * 1024 == app.config["MAX_CONTENT_LENGTH"]


def test_web_image_installs_no_training_library():
    packages = re.findall(r"^([\w-]+)==", (ROOT / "requirements" / "web.txt").read_text(), re.MULTILINE)
    assert not {"tensorflow", "keras", "apache-beam", "tensorflow-serving-api"} & set(packages)


def test_named_volumes_are_declared():
    config = compose(BASE)
    used = {
        mount.split(":")[0]
        for entry in config["services"].values()
        for mount in entry.get("volumes", [])
        if isinstance(mount, str)
    }
    assert used == set(config["volumes"])
