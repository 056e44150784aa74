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
    """Yield a server that is configured as the index of pip and the registry of npm."""
    with package_server.serving() as server:
        for name in ("PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX", "PIP_PROXY", "PIP_CERT"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
        monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")
        monkeypatch.setenv("npm_config_registry", f"{server.url}/")
        monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm-cache"))
        yield server


def serve_sdist(server, link="../../files/fake-1.0.tar.gz"):
    server.contents["/simple/fake/"] = PAGE.format(link).encode()
    server.contents["/files/fake-1.0.tar.gz"] = b"archive"


def test_sdist_is_downloaded_from_pips_index(server, tmp_path):
    serve_sdist(server)
    assert registries.fetch_sdist("fake", "1.0", tmp_path).read_bytes() == b"archive"


def test_sdist_on_the_host_of_the_index_is_requested_with_its_password(server, tmp_path, monkeypatch):
    serve_sdist(server, link=f"{server.url}/files/fake-1.0.tar.gz")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://user:secret@{server.host}/simple/")
    registries.fetch_sdist("fake", "1.0", tmp_path)
    assert [("Authorization" in headers) for _, headers in server.requests] == [True, True]


def test_sdist_missing_in_the_first_index_is_downloaded_from_the_extra_index(server, tmp_path, monkeypatch):
    serve_sdist(server)
    monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/empty")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", f"{server.url}/simple")
    assert registries.fetch_sdist("fake", "1.0", tmp_path).read_bytes() == b"archive"


@pytest.mark.parametrize("index", ["simple", "http://[::1/simple", "http://127.0.0.1:1/with blank"])
def test_malformed_index_does_not_hide_the_extra_index(server, tmp_path, monkeypatch, index):
    serve_sdist(server)
    monkeypatch.setattr(
        registries, "_pip_settings", lambda: {"index-url": index, "extra-index-url": f"{server.url}/simple"}
    )
    assert registries.fetch_sdist("fake", "1.0", tmp_path).read_bytes() == b"archive"


def test_another_version_is_not_downloaded(server, tmp_path):
    serve_sdist(server)
    with pytest.raises(OSError, match=r"no fake-1\.1\.tar\.gz"):
        registries.fetch_sdist("fake", "1.1", tmp_path)


def test_no_index_setting_of_pip_is_respected(server, tmp_path, monkeypatch):
    serve_sdist(server)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(OSError, match="no-index"):
        registries.fetch_sdist("fake", "1.0", tmp_path)
    assert not server.requests


def test_default_index_is_the_one_of_pip(server, tmp_path, monkeypatch):
    monkeypatch.delenv("PIP_INDEX_URL")

    def refuse(url, opener):
        raise OSError(f"no answer from {url}")

    monkeypatch.setattr(downloads, "connect", refuse)
    with pytest.raises(OSError, match=r"no answer from https://\S+/simple/fake/$"):
        registries.fetch_sdist("fake", "1.0", tmp_path)


def test_missing_pip_raises(tmp_path, monkeypatch):
    monkeypatch.setattr(registries, "PIP", [sys.executable, "-m", "no_pip"])
    with pytest.raises(OSError, match="pip is not installed"):
        registries.fetch_sdist("fake", "1.0", tmp_path)


def test_silent_index_times_out(server, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "_silent_hosts", set())  # another test may reuse the port
    monkeypatch.setattr(downloads, "RESPONSE_SECONDS", 0.5)
    with package_server.silent() as url:
        monkeypatch.setattr(registries, "_pip_settings", lambda: {"index-url": url})
        start = time.monotonic()
        with pytest.raises(TimeoutError):
            registries.fetch_sdist("fake", "1.0", tmp_path)
        assert time.monotonic() - start < 5


def serve_npm(server):
    """Serve a package whose scripts would create a file."""
    package = {"name": "fake", "version": "1.0.0", "scripts": {"prepare": "touch ran", "prepack": "touch ran"}}
    content = package_server.archive({"package/package.json": json.dumps(package).encode()})
    file = "/fake/-/fake-1.0.0.tgz"
    version = {**package, "dist": {"tarball": f"{server.url}{file}"}}
    metadata = {"name": "fake", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}
    server.contents |= {"/fake": json.dumps(metadata).encode(), file: content}
    return content


needs_npm = pytest.mark.skipif(not shutil.which("npm"), reason="npm is not installed")


def test_missing_npm_raises(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OSError, match="npm is not installed"):
        registries.fetch_npm("fake", "1.0.0", tmp_path)


@needs_npm
def test_npm_package_is_downloaded_without_running_scripts(server, tmp_path):
    content = serve_npm(server)
    (tmp_path / "packages").mkdir()
    assert registries.fetch_npm("fake", "1.0.0", tmp_path / "packages").read_bytes() == content
    assert [file.name for file in (tmp_path / "packages").iterdir()] == ["fake-1.0.0.tgz"]


@needs_npm
def test_missing_npm_package_raises(server, tmp_path):
    with pytest.raises(OSError, match=r"npm failed with E404"):
        registries.fetch_npm("fake", "1.0.0", tmp_path)


@needs_npm
def test_silent_npm_registry_times_out(tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "_silent_hosts", set())  # another test may reuse the port
    monkeypatch.setattr(downloads, "RESPONSE_SECONDS", 0.5)
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm-cache"))
    with package_server.silent() as url:
        monkeypatch.setenv("npm_config_registry", url)
        start = time.monotonic()
        with pytest.raises(OSError, match="npm failed"):
            registries.fetch_npm("fake", "1.0.0", tmp_path)
        assert time.monotonic() - start < 60, "npm itself takes seconds to start"
