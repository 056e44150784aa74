"""Serve the Python packages of the images to their builds, which have no other network.

pip downloads them on this machine, with whatever settings it has here; none of these enters a build. The pip of the
stand-in for python:3.13-slim asks `INDEX`, which no name server knows. The build's argument HTTP_PROXY, which Docker
keeps in no image, leads it to the server here.
"""

import contextlib
import functools
import hashlib
import http.server
import pathlib
import re
import shutil
import sys
import threading
import urllib.parse
from collections.abc import Iterator

import compose_debian
from packaging import markers

ROOT = pathlib.Path(__file__).parents[2]
LOCKS = [ROOT / "requirements" / name for name in ("pipeline.txt", "web.txt")]
DEV_LOCK = ROOT / "requirements" / "dev.txt"
# what the embedded server needs besides the packages of the pipeline
SERVING_PACKAGES = ("cheroot", "jaraco-functools", "markupsafe", "more-itertools", "prometheus-client", "werkzeug")
BUILD_PACKAGES = ["setuptools", "wheel"]  # for packages that have no wheel
INDEX = "http://packages.invalid/simple"
PIP_CONF = f"[global]\nindex-url = {INDEX}\ntrusted-host = packages.invalid\n"
PYTHON = "3.13"  # of the images
ENVIRONMENT = {"python_version": PYTHON, "python_full_version": f"{PYTHON}.0"}
PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in (5, 12, 17, 24, 27, 28, 31, 34, 35, 39, 41)]


def download(folder: pathlib.Path) -> None:
    """Download the packages of the images into `folder`/simple/NAME/, unless it has them."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in (*LOCKS, DEV_LOCK, pathlib.Path(__file__))))
    stamp = folder / digest.hexdigest()
    if stamp.exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for lock in (*(path.read_text() for path in LOCKS), "\n".join(_serving_blocks())):
        selected = folder / "requirements.txt"
        selected.write_text(for_images(lock))
        _pip_download(folder, "--require-hashes", "-r", str(selected))
    _pip_download(folder, *BUILD_PACKAGES)
    for file in [*folder.glob("*.whl"), *folder.glob("*.tar.gz"), *folder.glob("*.zip")]:
        name = re.sub(r"[-_.]+", "-", re.split(r"-\d", file.name)[0]).lower()
        (folder / "simple" / name).mkdir(parents=True, exist_ok=True)
        file.rename(folder / "simple" / name / file.name)
    stamp.touch()


def for_serving() -> str:
    """Return the requirements of `SERVING_PACKAGES` with their versions, separated by blanks."""
    return " ".join(block.partition(" ")[0] for block in _serving_blocks())


def _serving_blocks() -> list[str]:
    return [block for block in _blocks(DEV_LOCK.read_text()) if block.partition("==")[0] in SERVING_PACKAGES]


def _blocks(lock: str) -> list[str]:
    """Return each requirement of `lock` with its hashes."""
    return re.findall(r"(?m)^\w.*(?:\n[ \t].*)*", lock)


def for_images(lock: str) -> str:
    """Return the requirements of `lock` that its markers select in the images, without the markers.

    pip evaluates markers for the Python that it runs on, whatever --python-version says.
    """
    lines = []
    for block in _blocks(lock):
        requirement, backslash, hashes = block.partition("\\")
        name, _, marker = requirement.partition(";")
        if not marker or markers.Marker(marker).evaluate(ENVIRONMENT):
            lines.append(name + backslash + hashes)
    return "\n".join(lines)


def _pip_download(folder: pathlib.Path, *arguments: str) -> None:
    target = ["--python-version", PYTHON, *(word for name in PLATFORMS for word in ("--platform", name))]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
    compose_debian.call([*pip, *target, *arguments])


class _Index(http.server.SimpleHTTPRequestHandler):
    """A proxy for one address, whose files are here."""

    def translate_path(self, path: str) -> str:
        return super().translate_path(urllib.parse.urlsplit(path).path)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def served(folder: pathlib.Path, host: str) -> Iterator[str]:
    """Serve `folder` on a free port of `host` and yield the value of HTTP_PROXY."""
    handler = functools.partial(_Index, directory=str(folder))
    with http.server.ThreadingHTTPServer((host, 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://{host}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
