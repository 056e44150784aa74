import json
import shutil
import sys
import time

import package_server
import pytest

from components.models import downloads, registries

PAGE = '<a href="{}#sha256=00">fake-1.0.tar.gz</a> <a href="/fake-1.0.tar.gz.asc">signature</a>'


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A server that pip and npm are set to take packages from."""
    with package_server.serving() as server:
        for name in ("PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX", "PIP_PROXY", "PIP_CERT"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
        monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")
        monkeypatch.setenv("npm_config_registry", f"{server.url}/")
        monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm-cache"))
        monkeypatch.setattr(registries, "NPM_REGISTRY", server.url)
        yield server


def serve_sdist(server, link="../../files/fake-1.0.tar.gz"):
    server.contents["/simple/fake/"] = PAGE.format(link).encode()
    server.contents["/files/fake-1.0.tar.gz"] = b"archive"


def test_sdist_comes_from_the_index_of_pips_settings(server, tmp_path):
    serve_sdist(server)
    assert registries.fetch_sdist("fake", "1.0", tmp_path).read_bytes() == b"archive"


def test_sdist_of_an_index_with_a_password_on_the_same_host(server, tmp_path, monkeypatch):
    serve_sdist(server, link=f"{server.url}/files/fake-1.0.tar.gz")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://user:secret@{server.host}/simple/")
    registries.fetch_sdist("fake", "1.0", tmp_path)
    assert [("Authorization" in headers) for _, headers in server.requests] == [True, True]


def test_sdist_that_the_first_index_lacks_comes_from_the_extra_one(server, tmp_path, monkeypatch):
    serve_sdist(server)
    monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/empty")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", f"{server.url}/simple")
    assert registries.fetch_sdist("fake", "1.0", tmp_path).read_bytes() == b"archive"


def test_other_version_is_not_taken(server, tmp_path):
    serve_sdist(server)
    with pytest.raises(OSError, match=r"no fake-1\.1\.tar\.gz"):
        registries.fetch_sdist("fake", "1.1", tmp_path)


def test_pip_without_an_index_is_respected(server, tmp_path, monkeypatch):
    serve_sdist(server)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(OSError, match="no index"):
        registries.fetch_sdist("fake", "1.0", tmp_path)
    assert not server.requests


def test_without_pip_its_default_index_is_read(server, tmp_path, monkeypatch):
    serve_sdist(server)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1")
    monkeypatch.setattr(registries, "PIP", [sys.executable, "-m", "no_pip"])
    monkeypatch.setattr(registries, "PYPI", f"{server.url}/simple")
    assert registries.fetch_sdist("fake", "1.0", tmp_path).read_bytes() == b"archive"


def test_silent_index_ends_in_time(server, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "_silent_hosts", set())  # another server may get its port
    monkeypatch.setattr(downloads, "ANSWER_SECONDS", 0.5)
    with package_server.silent() as url:
        monkeypatch.setattr(registries, "_pip_settings", lambda: {"index-url": url})
        start = time.monotonic()
        with pytest.raises(TimeoutError):
            registries.fetch_sdist("fake", "1.0", tmp_path)
        assert time.monotonic() - start < 5


def serve_npm(server):
    """Serve a package whose scripts would leave a file."""
    package = {"name": "fake", "version": "1.0.0", "scripts": {"prepare": "touch ran", "prepack": "touch ran"}}
    content = package_server.archive({"package/package.json": json.dumps(package).encode()})
    file = "/fake/-/fake-1.0.0.tgz"
    version = {**package, "dist": {"tarball": f"{server.url}{file}"}}
    listed = {"name": "fake", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}
    server.contents |= {"/fake": json.dumps(listed).encode(), file: content}
    return content


@pytest.fixture(params=["npm", "no npm"])
def npm(request, monkeypatch):
    if request.param == "no npm":
        monkeypatch.setattr(registries.shutil, "which", lambda program: None)
    elif not shutil.which("npm"):
        pytest.skip("npm is not installed")
    return request.param


def test_npm_package_comes_from_the_registry_and_runs_no_script(server, npm, tmp_path):
    content = serve_npm(server)
    (tmp_path / "packages").mkdir()
    assert registries.fetch_npm("fake", "1.0.0", tmp_path / "packages").read_bytes() == content
    assert [file.name for file in (tmp_path / "packages").iterdir()] == ["fake-1.0.0.tgz"]


def test_npm_package_that_the_registry_lacks_is_an_error(server, npm, tmp_path):
    with pytest.raises(OSError, match=r"npm failed with E404|HTTP 404"):
        registries.fetch_npm("fake", "1.0.0", tmp_path)


def test_silent_npm_registry_ends_in_time(npm, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "_silent_hosts", set())  # another server may get its port
    monkeypatch.setattr(downloads, "ANSWER_SECONDS", 0.5)
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm-cache"))
    with package_server.silent() as url:
        monkeypatch.setenv("npm_config_registry", url)
        monkeypatch.setattr(registries, "NPM_REGISTRY", url)
        start = time.monotonic()
        with pytest.raises(OSError, match=r"npm failed|did not answer"):
            registries.fetch_npm("fake", "1.0.0", tmp_path)
        assert time.monotonic() - start < 60, "npm itself takes seconds to start"
