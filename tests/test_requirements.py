"""The locked versions: what the images install is what these tests run with."""

import collections
import pathlib
import re

import pytest

REQUIREMENTS = pathlib.Path(__file__).parents[1] / "requirements"


def versions(group):
    """Package -> its versions: several where platforms or Pythons have their own."""
    found = collections.defaultdict(set)
    for name, version in re.findall(r"(?m)^([\w.-]+)==([^\s;]+)", (REQUIREMENTS / f"{group}.txt").read_text()):
        found[name].add(version)
    return found


@pytest.mark.parametrize("group", ["web", "pipeline"])
def test_packages_of_an_image_are_those_of_the_tests(group):
    tested, installed = versions("dev"), versions(group)
    assert len(installed) > 20
    assert {name: found for name, found in installed.items() if not found <= tested[name]} == {}
