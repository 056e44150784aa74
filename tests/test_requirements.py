"""The locked versions: the images install the versions that the tests use."""

import collections
import pathlib
import re

import pytest

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
