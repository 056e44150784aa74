"""The version in each place that states it, and the files that GitHub and citation tools read."""

import pathlib
import re
import subprocess
import sys
import tomllib

import pytest
import yaml

from components.base import version

ROOT = pathlib.Path(__file__).parents[1]
COMMANDS = ["pipeline", "serving", "serving.client", "web"]
TRAINING_LIBRARIES = {"apache_beam", "keras", "keras_tuner", "tensorflow", "tensorflow_datasets"}
SCHEMAS = {
    "CITATION.cff": "citation-file-format",
    ".github/workflows/ci.yml": "github-workflows",
    ".github/ISSUE_TEMPLATE/bug.yml": "github-issue-forms",
    ".github/ISSUE_TEMPLATE/feature.yml": "github-issue-forms",
}


def read_yaml(path):
    return yaml.safe_load((ROOT / path).read_text())


@pytest.mark.parametrize("command", COMMANDS)
def test_version_of_a_command_is_printed_without_importing_a_training_library(command):
    arguments = [sys.executable, "-X", "importtime", "-m", command, "--version"]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"pilah {version.VERSION}\n"), done.stderr[-2000:]
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "components" in imported and not imported & TRAINING_LIBRARIES


def test_pyproject_takes_the_version_from_the_code():
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert pyproject["project"]["dynamic"] == ["version"]
    assert pyproject["tool"]["setuptools"]["dynamic"]["version"] == {"attr": f"{version.__name__}.VERSION"}


def test_citation_and_changelog_have_the_version_and_date_of_the_release():
    citation = read_yaml("CITATION.cff")
    newest, date = re.search(r"(?m)^## \[(\d.*)\] - (.*)$", (ROOT / "CHANGELOG.md").read_text()).groups()
    assert citation["version"] == newest == version.VERSION
    assert str(citation["date-released"]) == date


@pytest.mark.parametrize("path", sorted(SCHEMAS))
def test_file_is_valid_by_the_schema_of_its_reader(path):
    validator = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{SCHEMAS[path]}"]
    done = subprocess.run([*validator, path], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_every_yaml_file_of_github_has_a_schema_here():
    files = {str(file.relative_to(ROOT)) for file in (ROOT / ".github").rglob("*.yml")}
    assert files == {path for path in SCHEMAS if path.startswith(".github/")}


def test_workflow_runs_ci_on_every_supported_python():
    (job,) = read_yaml(".github/workflows/ci.yml")["jobs"].values()
    assert ".ci/run" in [step.get("run") for step in job["steps"]]
    supported = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    lowest, above = (int(minor) for minor in re.fullmatch(r">=3\.(\d+),<3\.(\d+)", supported).groups())
    assert job["strategy"]["matrix"]["python"] == [f"3.{minor}" for minor in range(lowest, above)]


def test_commit_hooks_call_programs_of_the_environment_by_the_names_of_make():
    makefile = (ROOT / "Makefile").read_text()
    local, *_ = (repo["hooks"] for repo in read_yaml(".pre-commit-config.yaml")["repos"] if repo["repo"] == "local")
    programs = [" ".join(word for word in hook["entry"].split() if not word.startswith("--")) for hook in local]
    assert programs == [".venv/bin/ruff check", ".venv/bin/ruff format", ".venv/bin/mypy"]
    assert all(f"\t{program}" in makefile for program in programs)


def test_ci_runs_the_tests_and_the_security_checks():
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert [line for line in lines if line.startswith("make ")] == ["make test", "make security"]


def test_every_check_of_bandit_that_is_off_has_a_reason():
    skipped = re.search(r"(?s)\nskips = \[\n(.*?)\n\]", (ROOT / "pyproject.toml").read_text())[1].splitlines()
    assert skipped and all(re.fullmatch(r' +"B\d{3}",  # \S.{20,}', line) for line in skipped)
    code = [path for path in ROOT.rglob("*.py") if not {".venv", "build", "tests"} & set(path.relative_to(ROOT).parts)]
    marked = [line for path in code for line in path.read_text("utf-8").splitlines() if "# nosec" in line]
    assert marked and all(re.search(r"  # nosec B\d{3} # \w.+$", line) for line in marked)
