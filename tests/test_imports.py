"""Rules for imports between our folders and of libraries (docs/architecture.md has the same rules)."""

import ast
import functools
import graphlib
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
OURS = ("pipeline", "components", "tuner", "serving", "web")
READERS = {f"pipeline.{name}" for name in ("config", "run_folder", "resolved_settings", "trials", "thesis")}
DATA, MODELS = {"components.base", "components.data"}, {"components.base", "components.data", "components.models"}
PUBLISH = DATA | {"components.publish"}
COMPONENTS = MODELS | {"components.publish", "components.audit", "components.demo"}
ALLOWED_IMPORTS = {  # module or folder -> modules and folders that it may import besides its own
    "components": set(),
    "components.base": set(),
    "components.data": {"components.base"},
    "components.models": DATA,
    "components.publish": MODELS,
    "components.audit": DATA,
    "components.demo": set(),
    "tuner": MODELS,
    "pipeline": COMPONENTS | {"tuner", "serving"},
    "pipeline.run_folder": {
        "components.base",
        "components.data.photos",
        "components.publish.push",
        "tuner.search_space",
        "tuner.trial_folder",
    },
    "pipeline.stages": COMPONENTS
    | READERS
    | {"tuner"}
    | {
        f"pipeline.{name}"
        for name in ("cluster", "fold_training", "progress", "provenance", "recipe", "report", "runner")
    },
    "pipeline.commands": COMPONENTS
    | READERS
    | {"tuner", "serving"}
    | {f"pipeline.{name}" for name in ("cluster", "cluster_tls", "cluster_worker", "lock", "progress", "recipe")}
    | {"pipeline.next_commands", "pipeline.runner", "pipeline.stages.report"},
    "pipeline.report": DATA | READERS | {"components.publish.push", "tuner"},
    "serving": {"components.base.rounding", "components.base.version", "components.data.images"},
    "web": {"serving", "components.data.images", "components.data.decoding_process"}
    | {f"components.base.{name}" for name in ("rounding", "version")},
}
LIBRARY_USERS = {  # library -> the only files or folders that may import it
    "apache_beam": {"components/data/records.py"},
    "tensorflow_datasets": {"components/data/records.py"},
    "keras_tuner": {"tuner"},
    "flask": {"web", "serving"},
}
ENTRY_POINTS = {  # besides every __main__.py
    "web/__init__.py",  # flask calls its create_app
    "pipeline/cluster_worker.py",  # Dask loads it at the start of a worker
    "pipeline/temporary_files.py",  # sets TMPDIR, once the run folder is known
    "components/publish/devices/examples/classify_onnx.py",  # a program of its own
    "pipeline/next_commands.py",  # ends a run with commands of the program that started it
}
NOT_IN_WEB = {"tensorflow", "keras", "apache_beam", "tensorflow_datasets", "keras_tuner"}


def imports_of(file):
    """Return the top-level names of all modules that `file` imports, also inside functions."""
    return {name.split(".")[0] for name in modules_of(file)}


@functools.cache
def modules_of(file):
    """Return the dotted names of all modules that `file` imports, also inside functions."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} has a relative import; use an absolute one"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {MODULES.get(name, MODULES.get(name.rpartition(".")[0], name)) for name in names}


def files_of(folder):
    return sorted((ROOT / folder).rglob("*.py"))


def module_name(file):
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name: name for folder in OURS for name in map(module_name, files_of(folder))}


def is_in(module, folders):
    return any(module == folder or module.startswith(f"{folder}.") for folder in folders)


@pytest.mark.parametrize("folder", sorted(ALLOWED_IMPORTS))
def test_folder_imports_only_allowed_modules(folder):
    for file in (file for ours in OURS for file in files_of(ours)):
        if is_in(module_name(file), [folder]):
            ours = {module for module in modules_of(file) if module in MODULES}
            assert {module for module in ours if not is_in(module, ALLOWED_IMPORTS[folder] | {folder})} == set(), file


def test_imports_have_no_cycle():
    graph = {module_name(file): modules_of(file) & MODULES.keys() for ours in OURS for file in files_of(ours)}
    graphlib.TopologicalSorter(graph).prepare()


def test_no_stage_imports_another():
    stages = {module_name(file) for file in files_of("pipeline/stages")}
    for file in files_of("pipeline/stages"):
        assert not modules_of(file) & stages, file


def test_every_component_is_in_a_package():
    assert [file.name for file in (ROOT / "components").glob("*.py")] == ["__init__.py"]
    packages = {f"components.{folder.parent.name}" for folder in (ROOT / "components").glob("*/__init__.py")}
    assert packages == COMPONENTS


@pytest.mark.parametrize("library", sorted(LIBRARY_USERS))
def test_library_is_imported_only_where_allowed(library):
    users = {str(file.relative_to(ROOT)) for folder in OURS for file in files_of(folder) if library in imports_of(file)}
    allowed = LIBRARY_USERS[library]
    assert not {user for user in users if user not in allowed and user.split("/")[0] not in allowed}


def test_web_imports_no_training_library():
    for file in files_of("web"):
        assert not imports_of(file) & NOT_IN_WEB, file


def test_environment_is_read_only_at_entry_points():
    for folder in OURS:
        for file in files_of(folder):
            if file.name != "__main__.py" and str(file.relative_to(ROOT)) not in ENTRY_POINTS:
                assert "os.environ" not in file.read_text() and "getenv" not in file.read_text(), file


LIGHT_MODULES = [
    *(f"components.base.{file.stem}" for file in files_of("components/base") if file.stem != "__init__"),
    "components.data.images",
    "tuner.scenarios",
    "tuner.search_space",
    "tuner.trial_folder",
    "tuner.trial_settings",
    "tuner.worker_start",  # ends with its parent, also while it imports TensorFlow
    *(f"pipeline.{name}" for name in ("cli", "config", "run_folder", "trials", "resume", "commands.status")),
]


def test_light_modules_load_without_training_libraries():
    code = f"import sys, {', '.join(LIGHT_MODULES)}; print(sorted({NOT_IN_WEB} & set(sys.modules)))"
    completed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert completed.stdout.strip() == "[]"
