import importlib.metadata
import sys

import pytest

from docs import licences_table
from requirements import licences, locks

# files of copyleft libraries that wheels for Linux contain
COPYLEFT_LIBRARIES = ("libgfortran", "libgomp", "libquadmath", "libheif", "libde265", "libx265", "libkeyutils")
NAMES = sorted({package.name for image in locks.IMAGES for package in locks.installed(image)})


def test_licence_of_every_package_is_an_spdx_expression_without_agpl():
    expressions = {name: licences.licence(name) for name in NAMES}
    assert len(expressions) > 100
    errors = {name: licences.licensing().validate(expression).errors for name, expression in expressions.items()}
    assert {name: error for name, error in errors.items() if error} == {}
    assert [name for name, expression in expressions.items() if "AGPL" in expression] == []


def test_alternative_licences_stay_together_beside_those_of_bundled_libraries(monkeypatch):
    monkeypatch.setitem(licences.FROM_FILES, "scipy", "MIT OR BSD-3-Clause")
    expression = licences.licensing().parse(licences.licence("scipy"))
    own, *bundled = expression.args
    assert isinstance(expression, licences.licensing().AND)
    assert str(own) == "MIT OR BSD-3-Clause"
    assert "LGPL-2.1-or-later" in map(str, bundled)


def test_package_without_a_known_licence_is_named(monkeypatch):
    monkeypatch.delitem(licences.FROM_FILES, "namex")
    with pytest.raises(licences.UnknownLicenceError, match=r"namex names no known licence\. Read its licence file"):
        licences.licence("namex")


def test_package_that_is_not_installed_is_named():
    with pytest.raises(licences.UnknownLicenceError, match=r"pywin32 is not in \.venv"):
        licences.licence("pywin32")


@pytest.mark.skipif(sys.platform != "linux", reason="the libraries are those of wheels for Linux")
def test_copyleft_library_in_a_wheel_is_in_the_licence_of_its_package():
    packages = {}
    for name in NAMES:
        files = [file.name for file in importlib.metadata.files(name) or []]
        if any(file.startswith(COPYLEFT_LIBRARIES) for file in files):
            packages[name] = licences.licence(name)
    assert {"numpy", "pillow-heif", "psycopg-binary", "scipy"} <= set(packages)
    assert [name for name, expression in packages.items() if "GPL" not in expression] == []


def test_table_of_packages_is_up_to_date():
    page = licences_table.PAGE.read_text("utf-8")
    assert licences_table.updated(page) == page, "run: .venv/bin/python -m docs.licences_table"


def test_every_copyleft_package_of_an_image_is_explained():
    before_the_table = licences_table.PAGE.read_text("utf-8").partition("### Packages of the images")[0]
    rows = "".join(line for line in before_the_table.splitlines() if line.startswith("| "))
    copyleft = [name for name in NAMES if licences.is_copyleft(licences.licence(name))]
    assert len(copyleft) >= 10
    assert [name for name in copyleft if name not in rows] == []
