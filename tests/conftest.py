"""Fixtures of tiny real photos for all tests, the option --quick, and the order of the tests."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow reads both when it is imported
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("no_grpc_proxy", "localhost,127.0.0.1")  # Beam and the servers of the tests, behind a proxy

import contextlib
import pathlib
import shutil
import sys
import tempfile
from collections.abc import Callable

import photo_files
import pytest

TESTS = pathlib.Path(__file__).parent
SLOW = {  # test files and folders that train networks, or start servers, browsers, processes or the web tier
    "benchmarks/test_devices.py",
    "benchmarks/test_fold_models.py",
    "chaos/test_cluster.py",
    "chaos/test_edits.py",
    "chaos/test_faults.py",
    "chaos/test_inputs.py",
    "chaos/test_kills.py",
    "chaos/test_served.py",
    "chaos/test_upgrades.py",
    "chaos/test_hostile_requests.py",
    "chaos/test_load.py",
    "components/data/test_beam_runners.py",
    "components/data/test_records.py",
    "components/models",
    "components/publish/devices",
    "components/publish/test_export.py",
    "pipeline/commands/test_export.py",
    "pipeline/commands/test_status.py",
    "pipeline/report/test_page.py",
    "pipeline/stages",
    "pipeline/test_cli.py",
    "pipeline/test_cluster.py",
    "pipeline/test_cluster_tls.py",
    "pipeline/test_start.py",
    "requirements/test_vulnerabilities.py",
    "serving/test_client.py",
    "serving/test_client_command.py",
    "serving/test_conformance.py",
    "serving/test_saved_model.py",
    "serving/test_server.py",
    "test_documented_commands.py",
    "test_photo_accounting.py",
    "test_secrets.py",
    "test_walk.py",
    "test_web_command.py",
    "tuner/test_cross_validation.py",
    "tuner/test_workers.py",
    "web",
}
TEMPORARY = pytest.StashKey[pathlib.Path]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="Skip the slow tests, as make check does.")
    parser.addoption("--compose", action="store_true", help="Collect tests/compose, as make compose-test does.")


def pytest_ignore_collect(collection_path: pathlib.Path, config: pytest.Config) -> bool | None:
    if collection_path == TESTS / "compose" and not config.getoption("compose"):
        return True
    is_slow = collection_path.is_relative_to(TESTS) and collection_path.relative_to(TESTS).as_posix() in SLOW
    return True if is_slow and config.getoption("quick") else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Move test_walk.py to the front: it takes longest, and parallel test processes should end together."""
    items.sort(key=lambda item: item.path.name != "test_walk.py")


def pytest_configure(config: pytest.Config) -> None:
    """Give the session its own folder for temporary files; pytest's own stay where they are."""
    if not hasattr(config, "workerinput"):  # workers inherit the variable
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
        config.stash[TEMPORARY] = folder = pathlib.Path(tempfile.mkdtemp(prefix="pilah-tests-"))
        folder.chmod(0o1777)  # some tests run as another user
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder)


@pytest.hookimpl(trylast=True)  # after the workers have ended
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail if the tests have left temporary files."""
    for name, module in [*sys.modules.items()]:
        if name.startswith("__autograph_generated_file") and module.__file__:  # of this process, which still needs it
            pathlib.Path(module.__file__).unlink(missing_ok=True)
    folder = session.config.stash.get(TEMPORARY, None)
    if not folder:
        return
    bytecode = folder / "__pycache__"  # AutoGraph removes its modules when a process ends, but not their bytecode
    for path in bytecode.glob("__autograph_generated_file*"):
        path.unlink()
    with contextlib.suppress(OSError):  # it stays if other files are in it
        bytecode.rmdir()
    left = sorted(path.name for path in folder.iterdir())
    shutil.rmtree(folder, ignore_errors=True)
    if left:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        terminal = session.config.pluginmanager.get_plugin("terminalreporter")
        terminal.write_line(f"FAILED: the tests left temporary files: {', '.join(left)}", red=True)


@pytest.fixture
def save_photo() -> Callable[..., pathlib.Path]:
    """Return save_photo(path, seed, size=(width, height), mode="RGB" or "L"); equal seeds give equal photos."""
    return photo_files.write_photo


@pytest.fixture(scope="session")
def save_classes() -> Callable[..., pathlib.Path]:
    """Return save_classes(root, {"glass": 4, "metal": 3}), which saves different photos in a folder per class."""
    return photo_files.write_classes
