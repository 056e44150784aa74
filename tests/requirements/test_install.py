"""Set-up of .venv with the uv on the path, with the locked uv and with pip, which are fakes that record their calls."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import venv

import pytest

from requirements import install

ROOT = pathlib.Path(__file__).parents[2]
UV = """#!/bin/sh
PATH=/usr/bin:/bin
echo uv "$@" >>calls
env >uv_environment
if test -e uv_kills; then kill -KILL $PPID; fi
test ! -e uv_fails
"""
PYTHON = f"""#!/bin/sh
PATH=/usr/bin:/bin
shift 3  # -m pip --disable-pip-version-check
echo pip "$@" >>calls
case "$*" in
--version) echo "pip 26 from .venv (python {sys.version_info.major}.{sys.version_info.minor})" ;;
"config list") cat pip_settings ;;
"list --format json") echo '[{{"name": "uv"}}, {{"name": "Flask_Locked"}}, {{"name": "Old.Package"}}]' ;;
*requirements/uv.txt)
    if test -e uv_is_not_there; then
        printf 'ERROR: a long story\\nERROR: No matching distribution found for uv\\n' >&2
        exit 1
    fi
    cp uv_of_pip .venv/bin/uv
    ;;
*requirements/dev.txt) test ! -e pip_fails ;;
esac
"""
SYNC = "uv pip sync --quiet --require-hashes --python .venv/bin/python requirements/dev.txt"
PIP_INSTALL = "pip install --quiet --no-compile --no-deps --require-hashes"


@pytest.fixture(autouse=True)
def checkout(tmp_path, monkeypatch):
    """Return a checkout, in which the process then is: a lock, no .venv, and no uv on the path."""
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "dev.txt").write_text("flask-locked==1 \\\n    --hash=sha256:0\n")
    (tmp_path / "pip_settings").write_text("")
    write_program(tmp_path / "uv_of_pip", UV)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "rm").symlink_to(shutil.which("rm"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(venv, "create", create_with_fake_pip)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def create_with_fake_pip(folder, symlinks, with_pip):
    assert symlinks and with_pip
    pathlib.Path(folder, "bin").mkdir(parents=True)
    write_program(pathlib.Path(folder, "bin", "python"), PYTHON)


def write_program(file, text):
    file.write_text(text)
    file.chmod(0o755)


def put_uv_on_path():
    write_program(pathlib.Path("bin/uv"), UV)


def run_file():
    return subprocess.run([sys.executable, ROOT / "requirements" / "install.py"], capture_output=True, text=True)


def calls():
    """Return the calls of uv and pip that may change the environment."""
    lines = pathlib.Path("calls").read_text().splitlines()
    return [line for line in lines if line not in {"pip --version", "pip config list", "pip list --format json"}]


def test_uv_on_path_installs_the_lock_with_its_hashes():
    put_uv_on_path()
    install.main()
    assert calls() == [SYNC]
    assert install.READY.exists()


def test_set_up_and_update_print_one_line_each(capfd):
    put_uv_on_path()
    install.main()
    assert capfd.readouterr() == ("Setting up .venv: 3 GB, one or two minutes with uv, longer with pip.\n", "")
    install.main()
    assert capfd.readouterr() == ("Updating .venv.\n", "")


def test_without_uv_on_path_pip_installs_the_locked_one():
    install.main()
    assert calls() == [f"{PIP_INSTALL} --only-binary :all: -r requirements/uv.txt", SYNC]
    assert install.READY.exists()


def test_uv_that_cannot_be_installed_is_replaced_by_pip_in_one_line(capfd):
    pathlib.Path("uv_is_not_there").touch()
    install.main()
    assert calls()[1:] == [f"{PIP_INSTALL} -r requirements/dev.txt", "pip uninstall --quiet --yes old-package"]
    assert capfd.readouterr().err == (
        "uv could not be installed, so pip sets up .venv, which takes longer. "
        "ERROR: No matching distribution found for uv\n"
    )
    assert install.READY.exists()


def test_uv_that_fails_is_replaced_by_pip_in_one_line(capfd):
    put_uv_on_path()
    pathlib.Path("uv_fails").touch()
    install.main()
    assert calls()[1:] == [f"{PIP_INSTALL} -r requirements/dev.txt", "pip uninstall --quiet --yes old-package"]
    assert capfd.readouterr().err == "uv failed (its message is above), so pip sets up .venv, which takes longer.\n"
    assert install.READY.exists()


def test_uv_gets_the_index_settings_of_pip_and_keeps_its_own(monkeypatch):
    put_uv_on_path()
    pathlib.Path("pip_settings").write_text(
        ":env:.index-url='https://variable.example/simple'\n"
        "global.cert='/etc/ca.pem'\n"
        "global.extra-index-url='\\nhttps://one.example\\nhttps://two.example'\n"
        "global.index-url='https://file.example/simple'\n"
        "global.timeout='60'\n"
        "global.trusted-host='pip.example'\n"
        "install.find-links='wheels more'\n"
    )
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("UV_INSECURE_HOST", "uv.example")
    install.main()
    environment = dict(line.split("=", 1) for line in pathlib.Path("uv_environment").read_text().splitlines())
    assert environment["UV_DEFAULT_INDEX"] == "https://variable.example/simple"
    assert environment["UV_INDEX"] == "https://one.example https://two.example"
    assert environment["UV_INDEX_STRATEGY"] == "unsafe-best-match"
    assert environment["UV_FIND_LINKS"] == "wheels,more"
    assert environment["SSL_CERT_FILE"] == "/etc/ca.pem"
    assert environment["UV_INSECURE_HOST"] == "uv.example"


def set_up():
    """Set .venv up and leave a file in it, which only an update keeps."""
    put_uv_on_path()
    install.main()
    pathlib.Path(".venv/of_before").touch()


def test_changed_lock_updates_the_environment_in_place():
    set_up()
    install.main()
    assert pathlib.Path(".venv/of_before").exists()
    assert calls() == [SYNC, SYNC]


def interrupt():
    pathlib.Path("uv_kills").touch()
    assert run_file().returncode == -signal.SIGKILL
    pathlib.Path("uv_kills").unlink()


def lose_python():
    pathlib.Path(".venv/bin/python").unlink()
    pathlib.Path(".venv/bin/python").symlink_to("/nowhere/python3")


def break_python():
    write_program(pathlib.Path(".venv/bin/python"), "#!/bin/sh\nexit 1\n")


def change_python():
    write_program(pathlib.Path(".venv/bin/python"), PYTHON.replace("(python 3", "(python 2"))


@pytest.mark.parametrize("damage", [interrupt, lose_python, break_python, change_python])
def test_unusable_environment_is_built_again(damage):
    set_up()
    damage()
    install.main()
    assert not pathlib.Path(".venv/of_before").exists()
    assert calls()[-1] == SYNC
    assert install.READY.exists()


def test_environment_of_another_folder_is_left_alone():
    set_up()
    pathlib.Path(".venv").rename("elsewhere")
    pathlib.Path(".venv").symlink_to("elsewhere")
    install.main()
    assert pathlib.Path("elsewhere/of_before").exists()
    assert not pathlib.Path(".venv").is_symlink()


def test_failure_is_one_line_and_leaves_no_finished_environment():
    put_uv_on_path()
    pathlib.Path("uv_fails").touch()
    pathlib.Path("pip_fails").touch()
    create_with_fake_pip(".venv", symlinks=True, with_pip=True)
    install.READY.touch()
    run = run_file()
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1].startswith(".venv is not set up: .venv/bin/python -m pip ")
    assert "Traceback" not in run.stderr
    assert not install.READY.exists()


def make_older(path, seconds):
    """Date a file back, since two files written in turn can have the same time."""
    os.utime(path, (time.time() - seconds,) * 2, follow_symlinks=False)


@pytest.fixture
def is_up_to_date(checkout):
    """Return a function that asks make whether the finished .venv is up to date."""
    make = shutil.which("make", path="/usr/bin:/bin:/usr/local/bin")
    set_up()
    shutil.copy(ROOT / "Makefile", checkout)
    pathlib.Path("requirements/uv.txt").touch()
    for path in (*pathlib.Path("requirements").iterdir(), pathlib.Path(install.PYTHON)):
        make_older(path, 400)
    make_older(install.READY, 300)
    return lambda: subprocess.run([make, "--question", ".venv/ready"], stderr=subprocess.DEVNULL).returncode == 0


def test_make_runs_the_set_up_again_only_if_the_lock_changed_or_python_is_missing(is_up_to_date):
    assert is_up_to_date()
    make_older(pathlib.Path("requirements/dev.txt"), 200)
    assert not is_up_to_date()
    make_older(install.READY, 100)
    assert is_up_to_date()
    lose_python()
    assert not is_up_to_date()
