"""The start of the program, in separate processes, because it changes their environment."""

import os
import pathlib
import runpy
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
# what Python finds for a user id without an entry in passwd, then a library that asks for a home when it is imported
CODE = """
import pwd
def unknown(uid):
    raise KeyError(uid)
pwd.getpwuid = unknown
import pipeline.__main__
import pathlib, openvino
print(pathlib.Path.home())
"""

# what Beam does: a server of gRPC in the process, and a client of it
BEAM_CODE = """
import pipeline.__main__
import concurrent.futures, grpc
with concurrent.futures.ThreadPoolExecutor(1) as threads:
    server = grpc.server(threads)
    port = server.add_insecure_port("localhost:0")
    server.start()
    grpc.channel_ready_future(grpc.insecure_channel(f"localhost:{port}")).result(timeout=20)
    server.stop(None)
"""


def started(tmp_path, code=CODE, **variables):
    environment = {name: value for name, value in os.environ.items() if name != "HOME"}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**environment, "TMPDIR": str(tmp_path), **variables},
    )


@pytest.mark.parametrize("variables", [{}, {"HOME": "/nonexistent"}], ids=["no home", "home that does not exist"])
def test_user_without_home_gets_a_private_one_below_tmpdir(tmp_path, variables):
    done = started(tmp_path, **variables)
    home = tmp_path / f"pilah-{os.getuid()}"
    assert done.stdout.split() == [str(home)], done.stderr
    assert home.stat().st_mode & 0o777 == 0o700


def test_home_of_the_user_is_kept(tmp_path):
    (tmp_path / "home").mkdir()
    done = started(tmp_path, HOME=str(tmp_path / "home"))
    assert done.stdout.split()[0] == str(tmp_path / "home"), done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_file_in_the_place_of_the_temporary_home_is_left_alone(tmp_path):
    (tmp_path / f"pilah-{os.getuid()}").write_text("of another user")
    home = pathlib.Path(started(tmp_path).stdout.split()[0])
    assert home.is_dir() and home.parent == tmp_path
    assert (tmp_path / f"pilah-{os.getuid()}").read_text() == "of another user"


@pytest.mark.parametrize("variables", [{}, {"no_proxy": "example.org"}, {"NO_PROXY": "localhost"}], ids=str)
def test_beam_reaches_itself_behind_a_proxy(tmp_path, monkeypatch, variables):
    for name in ("no_grpc_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    done = started(tmp_path, BEAM_CODE, HOME=str(tmp_path), http_proxy="http://127.0.0.1:1", **variables)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_full_disk_of_the_output_is_one_line_on_standard_error(option):
    with pathlib.Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "pipeline", option]
        done = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("pilah: Standard output cannot be written (No space left on device).")
    assert len(done.stderr.splitlines()) == 1


def test_program_is_imported_by_training_processes_without_being_run():
    runpy.run_path(str(ROOT / "pipeline" / "__main__.py"), run_name="__mp_main__")  # as multiprocessing does
