"""The commands and programs of README.md, CONTRIBUTING.md and docs/, run as a reader would run them.

They run in a folder with the code, a small finished run under the names runs/demo and runs/mine, photos, and the page
and the model server of `make serve`. A command that trains has only its options checked: the command line is parsed and
the run configured, and the stages are replaced. One such run is real, with small settings, and makes runs/demo.
tests/helpers/documented_commands.py lists what happens to each command, and why some cannot run.
"""

import csv
import json
import pathlib
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from typing import Any

import documented_commands
import pytest
import web_app
from documented_commands import Command

from components.demo import synthetic_photos

pytest_plugins = ["forked_commands"]
ROOT = documented_commands.ROOT
COMMANDS = list({(command.setup, command.source): command for command in documented_commands.all_commands()}.values())
PROGRAMS = {"python": [sys.executable], "javascript": ["node"], "sh": ["bash", "-e", "-o", "pipefail"]}
SUFFIXES = {"python": ".py", "javascript": ".mjs", "sh": ".sh"}
SMALL = "--backbones VGG19 --optimizers Adam --dropouts 0.0,0.5 --folds 3 --epochs 2 --views 1 --image-size 32".split()
SMALL += ["--random-weights", "--min-f1", "0", "--seed", "7"]
PORT_OPTIONS = {
    "web": ("--port", "--grpc_port", "--rest_api_port"),
    "serving": ("--rest_api_port", "--port"),
    "web.server": ("--bind",),
    "tensorboard": ("--port",),
}
TIMEOUT_SECONDS = 120
STOPPED = (0, -signal.SIGINT, 128 + signal.SIGINT)


class Workspace:
    """The folder in which the commands run.

    Attributes:
        ports: documented port -> port of the servers that run here.
    """

    def __init__(self, path: pathlib.Path, commands: Any):
        self.path, self.ports = path, {port: _free_port() for port in (8000, 8500, 8501)}
        self._servers: list[subprocess.Popen[bytes]] = []
        self._commands = commands
        self.environment = web_app.environment(
            CURL_HOME=str(path), PILAH_DATA=str(path / "instance"), PYTHONPATH=str(path), NO_COLOR="1"
        )
        self.environment["TMPDIR"] = str(path / "tmp")  # for what TensorBoard leaves
        (path / "tmp").mkdir()
        for name in ("PYTEST_CURRENT_TEST", "DATABASE_URL", "MAKEFLAGS", "MAKELEVEL"):
            self.environment.pop(name, None)

    def run(self, source: str, language: str = "sh") -> str:
        """Run a program or a command line to its end, and return what it prints."""
        script = self.path / f"example{SUFFIXES[language]}"
        script.write_text(self.adapted(source), encoding="utf-8")
        done = subprocess.run(
            [*PROGRAMS[language], str(script)],
            cwd=self.path,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
        )
        assert done.returncode == 0, f"{source}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def pipeline(self, arguments: Sequence[str], **options: object) -> str:
        """Run a command of the pipeline, and return what it prints."""
        exit_code, command = self._commands.run(*arguments, folder=self.path, processes=1, **options)
        assert exit_code == 0, f"{shlex.join(arguments)}\n{command.printed}"
        return command.printed

    def start(self, source: str, setup: str = "", ports: Sequence[int] = ()) -> subprocess.Popen[bytes]:
        """Start a server after the lines `setup`, and return its process once it answers at the first of its ports."""
        options = PORT_OPTIONS[_server(source) or ""]
        ports = ports or [_free_port() for _ in range(3)]
        source = re.sub(r"\b(8000|8501)\b", str(ports[0]), source)
        for option, port in zip(options, ports, strict=False):
            source += "" if option in source else f" {option} {port}"
        with (self.path / "server.log").open("wb") as log:
            process = subprocess.Popen(
                # a test run in the background of a shell ignores Ctrl-C, and its children would too
                ["env", "--default-signal=INT", "bash", "-c", f"{self.adapted(setup)}\nexec {source}"],
                cwd=self.path,
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        self._servers.append(process)
        web_app.wait_until(lambda: _answers(ports[0]) or process.poll() is not None, seconds=TIMEOUT_SECONDS)
        assert process.poll() is None, (self.path / "server.log").read_text()
        return process

    def close(self) -> None:
        """Stop the servers that a failed test left."""
        for process in self._servers:
            process.terminate()
            process.wait(TIMEOUT_SECONDS)

    def adapted(self, source: str) -> str:
        """Return `source` with the ports of the servers here, and the id and token of an uploaded photo."""
        for documented, port in self.ports.items():
            source = re.sub(rf"localhost:{documented}\b", f"localhost:{port}", source)
        source = source.replace("client classify", f"client classify --target localhost:{self.ports[8500]}")
        if "results/ID" in source:
            upload = json.loads(self.run("curl -F image=@photo.jpg localhost:8000/api/classify"))
            source = source.replace("results/ID", f"results/{upload['id']}").replace("TOKEN", upload["token"])
        return source

    def recipe(self, make_command: str) -> list[str]:
        """Return the command lines that make would run, as .venv is up to date."""
        dry = make_command.replace("make ", "make --dry-run --old-file=.venv/ready ", 1)
        return self.run(dry).replace("\\\n", " ").splitlines()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("localhost", port)) == 0


def _server(source: str) -> str | None:
    """Return the name of the server that a command line starts; None for other commands."""
    match = re.match(r"\.venv/bin/(?:python -m )?(web\.server|web|serving|tensorboard)\s+(?!--version|--help)", source)
    return match[1] if match else None


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, commands: Any) -> Iterator[Workspace]:
    path = tmp_path_factory.mktemp("workspace")
    for name in ("benchmarks", "components", "docs", "Makefile", "pipeline", "README.md", "CHANGELOG.md"):
        (path / name).symlink_to(ROOT / name)
    for name in ("CONTRIBUTING.md", "docker", "pyproject.toml", "requirements", "serving", "tests", "tuner", "web"):
        (path / name).symlink_to(ROOT / name)
    (path / ".venv").symlink_to(sys.prefix)
    _write_photos(path)
    workspace = Workspace(path, commands)
    workspace.pipeline(["run", "--run-dir", "runs/demo", *SMALL], small=True)
    shutil.copytree(path / "runs" / "demo", path / "runs" / "mine")
    workspace.pipeline(["run", "--run-dir", "runs/mine", "--from", "push", "--force"], small=True)  # for rollback
    yield workspace
    workspace.close()


def _write_photos(path: pathlib.Path) -> None:
    """Write the photos that the commands name: folders of class folders, a zip, a table of classes, and two photos."""
    for seed, name in enumerate(("photos", "other-photos")):
        synthetic_photos.write(path / name, 6, seed=seed + 100, progress=lambda done, total: None)
    shutil.make_archive(str(path / "photos"), "zip", path / "photos")
    files = sorted((path / "photos").rglob("*.jpg"))
    (path / "train").mkdir()
    with (path / "train.csv").open("w", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(["filename", "label"])
        for file in files:
            shutil.copy(file, path / "train")
            writer.writerow([file.name, file.parent.name])
    for seed, name in enumerate(("photo.jpg", "other.jpg")):
        (path / name).write_bytes(web_app.photo(seed=seed))
    (path / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n")


@pytest.fixture(scope="module")
def site(workspace: Workspace) -> Iterator[Workspace]:
    """Return the workspace while the page and the model server of `make serve` run."""
    (serve,) = workspace.recipe("make serve RUN=runs/demo")
    process = workspace.start(serve, ports=list(workspace.ports.values()))
    try:
        for port, path, expected in ((8501, "v1/models/pilah", b"AVAILABLE"), (8000, "healthz", b"ok")):
            address = f"http://localhost:{workspace.ports[port]}/{path}"
            web_app.wait_until(lambda: expected in _body(address), seconds=TIMEOUT_SECONDS)  # noqa: B023
        yield workspace
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0, (workspace.path / "server.log").read_text()


def _body(address: str) -> bytes:
    try:
        with urllib.request.urlopen(address, timeout=5) as response:
            return bytes(response.read())
    except OSError:
        return b""


def _arguments_of_pipeline(line: str) -> list[str] | None:
    match = re.fullmatch(r"(?:\w+=\S+ )*\.venv/bin/python -m pipeline (.*)", line)
    return shlex.split(match[1]) if match else None


def _run_line(workspace: Workspace, line: str, setup: str) -> str:
    arguments = _arguments_of_pipeline(line)
    if arguments is not None:
        return workspace.pipeline(arguments, configure_only=arguments[0] == "run")
    if _server(line):
        process = workspace.start(line, setup)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) in STOPPED, (workspace.path / "server.log").read_text()
        return ""
    return workspace.run(f"{setup}\n{line}")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.place)
def test_documented_command_succeeds(command, request):
    if command.reason:
        pytest.skip(command.reason)
    for name in (
        "node" if command.language == "javascript" else "bash",
        *re.findall(r"\bcurl\b|^make\b", command.source),
    ):
        if not shutil.which(name):
            pytest.skip(f"{name} is not installed")
    needs_site = re.search(r"localhost:8|serving.client|flask", command.source)
    workspace = request.getfixturevalue("site" if needs_site else "workspace")
    if command.language != "sh":
        printed = workspace.run(command.source, command.language)
    else:
        lines = workspace.recipe(command.source) if command.source.startswith("make ") else [command.source]
        printed = "".join(_run_line(workspace, line, command.setup) for line in lines)
    if "photo.jpg" in command.source:
        assert any(name in printed for name in synthetic_photos.CLASSES), printed


@pytest.mark.parametrize("page", documented_commands.PAGES, ids=lambda page: page.name)
def test_no_block_of_a_page_is_missed(page):
    assert documented_commands.unread_blocks(page.read_text("utf-8").replace("`<!-- not run: REASON -->`", "")) == []


@pytest.mark.parametrize("block", ["```bash\nls\n```\n", "- a\n\n  ```sh\n  ls\n  ```\n", "~~~sh\nls\n~~~\n"])
def test_block_that_would_be_missed_is_named(block):
    assert documented_commands.unread_blocks(block)
    assert documented_commands.unread_blocks("<!-- not run: slow -->\n\n```sh\nls\n```\n")


def test_documentation_has_commands_and_clients_in_each_language():
    assert {command.language for command in COMMANDS if not command.reason} == set(PROGRAMS)


def test_built_pages_have_the_example_report_and_all_pages_in_their_navigation(workspace):
    built = workspace.path / "build" / "docs"
    if not built.exists():
        workspace.run("\n".join(workspace.recipe("make docs")))
    assert (built / "example-report" / "index.html").exists()
    front_page = (built / "index.html").read_text("utf-8")
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"index"}
    assert {name for name in pages if f'href="{name}.html"' not in front_page} == set()


def test_wrong_option_of_a_training_is_noticed(workspace):
    with pytest.raises(AssertionError, match="no-such-option"):
        _run_line(workspace, ".venv/bin/python -m pipeline run --run-dir runs/mine --no-such-option", "")


def test_block_is_split_into_commands_with_their_reason_and_setup():
    text = "<!-- not run: needs Docker -->\n```\ndocker ps  # running\n```\n"
    text += "\n```sh\nexport A=1\nls \\\n  -l\n# note\n```\n"
    text += "\n```text\noutput\n```\n\n```python\npass\n```\n"
    assert list(documented_commands.commands_in(text, "page.md")) == [
        Command("page.md:3", "sh", "docker ps", reason="needs Docker"),
        Command("page.md:7", "sh", "ls    -l", setup="export A=1"),
        Command("page.md:18", "python", "pass\n"),
    ]
