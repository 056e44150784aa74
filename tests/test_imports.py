"""Which folder may import which, and which library may appear where (DESIGN: layout)."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
OURS = {"pipeline", "components", "tuner", "serving", "web"}
ARROWS = {  # folder -> folders of ours that it may import
    "pipeline": {"pipeline", "components", "tuner", "serving"},
    "tuner": {"tuner", "components"},
    "web": {"web", "serving", "components"},
    "components": {"components"},
    "serving": {"serving", "components"},
}
PACKAGES = {  # package of components -> others that it may import
    "base": set(),
    "data": {"base"},
    "models": {"data", "base"},
    "publish": {"data", "base"},
    "audit": {"data", "base"},
    "demo": set(),
}
HOMES = {  # library -> where alone it may appear
    "apache_beam": {"components/data/records.py"},
    "tensorflow_datasets": {"components/data/records.py"},
    "keras_tuner": {"tuner"},
    "flask": {"web", "serving"},
}
STARTS = {"web/__init__.py"}  # beside every __main__.py: its create_app is what gunicorn and flask call
NOT_IN_WEB = {"tensorflow", "keras", "apache_beam", "tensorflow_datasets", "keras_tuner"}


def imports_of(file):
    """Top-level names of every module that `file` imports, wherever in the file."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


def packages_of(file):
    """The packages of components that `file` imports from."""
    modules = [node.module for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ImportFrom)]
    return {module.split(".")[1] for module in modules if module and module.startswith("components.")}


def files_of(folder):
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("folder", sorted(ARROWS))
def test_folder_imports_only_along_the_arrows(folder):
    for file in files_of(folder):
        assert imports_of(file) & OURS <= ARROWS[folder], file


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_package_of_components_imports_only_along_the_arrows(package):
    for file in files_of(f"components/{package}"):
        assert packages_of(file) <= PACKAGES[package] | {package}, file


def test_no_stage_imports_another():
    for file in files_of("pipeline/stages"):
        assert "pipeline.stages" not in file.read_text(), file


def test_every_component_is_in_a_package():
    assert [file.name for file in (ROOT / "components").glob("*.py")] == ["__init__.py"]
    assert {folder.name for folder in (ROOT / "components").iterdir() if (folder / "__init__.py").exists()} == set(
        PACKAGES
    )


@pytest.mark.parametrize("library", sorted(HOMES))
def test_library_appears_only_at_home(library):
    users = {str(file.relative_to(ROOT)) for folder in OURS for file in files_of(folder) if library in imports_of(file)}
    strangers = {user for user in users if user not in HOMES[library] and user.split("/")[0] not in HOMES[library]}
    assert not strangers


@pytest.mark.parametrize("folder", ["web", "serving"])
def test_web_and_serving_import_the_normalizer_alone_of_components(folder):
    for file in files_of(folder):
        imports = [
            node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        ours = [ast.unparse(node) for node in imports if "components" in ast.unparse(node)]
        assert set(ours) <= {"from components.data import images"}, file


def test_web_imports_no_training_library():
    for file in files_of("web"):
        assert not imports_of(file) & NOT_IN_WEB, file


def test_environment_is_read_only_where_a_program_starts():
    for folder in OURS:
        for file in files_of(folder):
            if file.name != "__main__.py" and str(file.relative_to(ROOT)) not in STARTS:
                assert "os.environ" not in file.read_text() and "getenv" not in file.read_text(), file


@pytest.mark.parametrize("modules", ["pipeline.cli, pipeline.commands.status", "pipeline.trials, tuner.trial_settings"])
def test_command_line_and_settings_of_trials_load_without_tensorflow(modules):
    code = f"import sys, {modules}; print(sorted({{'tensorflow', 'keras'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
