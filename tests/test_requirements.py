"""The locked versions: the images install the versions that the tests use."""

import collections
import pathlib
import re

import pytest

from requirements import locks

REQUIREMENTS = pathlib.Path(__file__).parents[1] / "requirements"


def versions(group):
    """Return package -> its versions, of which there may be several for platforms and Pythons."""
    versions_of = collections.defaultdict(set)
    for name, version in re.findall(r"(?m)^([\w.-]+)==([^\s;]+)", (REQUIREMENTS / f"{group}.txt").read_text()):
        versions_of[name].add(version)
    return versions_of


@pytest.mark.parametrize("group", ["web", "pipeline"])
def test_image_installs_the_versions_of_the_tests(group):
    tested, installed = versions("dev"), versions(group)
    assert len(installed) > 20
    assert {name: numbers for name, numbers in installed.items() if not numbers <= tested[name]} == {}


@pytest.mark.parametrize("image", locks.IMAGES)
def test_python_of_an_image_is_the_one_that_its_packages_are_listed_for(image):
    dockerfile = (REQUIREMENTS.parent / "docker" / f"{image}.Dockerfile").read_text()
    assert set(re.findall(r"(?m)^FROM (\S+)", dockerfile)) == {f"python:{locks.IMAGE_PYTHON}-slim"}


@pytest.mark.parametrize("group", ["dev", "pipeline", "web", "uv"])
def test_every_package_of_a_lock_has_a_version_and_hashes(group):
    lines = re.findall(r"(?m)^[a-z].*", (REQUIREMENTS / f"{group}.txt").read_text())
    packages = locks.locked(group)
    assert len(packages) == len(lines)
    assert [package.name for package in packages if not package.sha256 or not package.version] == []


@pytest.mark.parametrize(
    "entry", ["uvicorn[standard]==0.30 \\\n    --hash=sha256:00\n", "flask==3.1\n", "flask @ file:///flask.whl\n"]
)
def test_entry_of_a_lock_that_cannot_be_read_is_named(entry):
    read = "jinja2==3.1.6 \\\n    --hash=sha256:00\n    # via flask\n"
    assert [package.name for package in locks.parse(read, "web.txt")] == ["jinja2"]
    with pytest.raises(ValueError, match=r"web\.txt: each entry must be NAME==VERSION") as error:
        locks.parse(read + entry, "web.txt")
    assert repr(entry.partition("\n")[0]) in str(error.value)


def test_lock_names_no_index():
    text = "".join(path.read_text() for path in REQUIREMENTS.glob("*.txt"))
    assert not re.search(r"(?i)https?://|--(extra-)?index-url|--find-links|--trusted-host", text)
