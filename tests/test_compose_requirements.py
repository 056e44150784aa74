"""What the tests of Compose need, the packages that they choose for the images, and that make test leaves them out."""

import os
import pathlib
import shutil

import compose_engine
import compose_packages

ROOT = pathlib.Path(__file__).parents[1]
LOCK = """\
always==1 \\
    --hash=sha256:00 \\
    --hash=sha256:01
    # via something
older==1 ; python_full_version < '3.12' \\
    --hash=sha256:02
older==2 ; python_full_version >= '3.12' \\
    --hash=sha256:03
windows==1 ; sys_platform == 'win32' \\
    --hash=sha256:04
"""


def test_compose_tests_are_left_out_without_their_option(request):
    hook, is_chosen = request.config.hook.pytest_ignore_collect, request.config.getoption("compose")
    assert hook(collection_path=ROOT / "tests" / "compose", config=request.config) is (None if is_chosen else True)
    assert not hook(collection_path=ROOT / "tests" / "test_compose.py", config=request.config)


def test_user_without_root_is_told_to_use_it(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert compose_engine.missing() == "needs root, for dockerd and debootstrap: sudo make compose-test"


def test_missing_programs_are_named_with_their_packages(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name: None if name in ("dockerd", "debootstrap") else f"/bin/{name}")
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    assert compose_engine.missing() == "needs debootstrap, dockerd: apt-get install debootstrap docker.io"
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/docker.sock")
    assert compose_engine.missing() == "needs debootstrap: apt-get install debootstrap"


def test_packages_are_those_that_the_lock_selects_for_the_python_of_the_images():
    selected = compose_packages.for_images(LOCK)
    assert [line.split()[0] for line in selected.splitlines() if "==" in line] == ["always==1", "older==2"]
    assert ";" not in selected and "--hash=sha256:03" in selected and "--hash=sha256:02" not in selected
