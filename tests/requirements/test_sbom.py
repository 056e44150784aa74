import json
import re

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from requirements import licences, locks, sbom


@pytest.fixture(params=locks.IMAGES, scope="module")
def image(request):
    return request.param


@pytest.fixture(scope="module")
def text(image):
    return sbom.document(image)


@pytest.fixture(scope="module")
def components(text):
    return {entry["name"]: entry for entry in json.loads(text)["components"]}


def test_every_package_of_the_lock_is_listed_unless_it_is_for_other_machines(image, components):
    lock = (locks.FOLDER / f"{image}.txt").read_text()
    names = set(re.findall(r"(?m)^([\w.-]+)==", lock))
    others = {"colorama", "tzdata", "importlib-metadata", "lazy-importer"}  # of Windows and of Python 3.11
    assert names - set(components) <= others
    assert set(components) - names <= {"swagger-ui-dist"}
    assert all(f"{name}=={components[name]['version']}" in lock for name in names & set(components))


def test_package_has_licence_purl_and_the_digests_of_the_lock(image, components):
    for package in locks.installed(image):
        entry = components[package.name]
        assert entry["purl"] == f"pkg:pypi/{package.name}@{package.version}"
        assert entry["licenses"][0]["expression"] == licences.licence(package.name)
        (reference,) = entry["externalReferences"]
        assert {digest["content"] for digest in reference["hashes"]} == set(package.sha256) != set()


def test_web_image_lists_the_vendored_swagger_ui_too():
    names = {entry["name"]: entry["version"] for entry in json.loads(sbom.document("web"))["components"]}
    assert f"`swagger-ui-dist` from npm | {names['swagger-ui-dist']} |" in sbom.VENDORED.read_text("utf-8")


def test_document_says_that_the_base_image_is_not_in_it(image, text):
    description = json.loads(text)["metadata"]["component"]["description"]
    assert "without the operating system" in description and f"requirements/{image}.txt" in description


def test_document_is_valid_and_a_wrong_one_would_not_be(text):
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(text) is None
    assert validator.validate_str(text.replace('"alg": "SHA-256"', '"alg": "SHA"', 1)) is not None


def test_command_writes_a_file_for_each_image(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sbom, "FOLDER", tmp_path / "build" / "sbom")
    sbom.main()
    files = sorted(path.name for path in (tmp_path / "build" / "sbom").iterdir())
    assert files == ["pipeline.cdx.json", "web.cdx.json"]
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_unknown_licence_ends_the_command_with_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(sbom, "FOLDER", tmp_path)
    monkeypatch.setattr(licences, "FROM_FILES", {})
    with pytest.raises(SystemExit, match=r"was not written\. The metadata of \S+ names no known licence\."):
        sbom.main()
    assert list(tmp_path.iterdir()) == []
