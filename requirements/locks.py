"""The packages of a lock file, and those of them that an image installs."""

import dataclasses
import pathlib
import re

from packaging.markers import Marker

FOLDER = pathlib.Path(__file__).parent
IMAGES = ("pipeline", "web")
IMAGE_PYTHON = "3.13"  # of the Dockerfiles
IMAGE = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": f"{IMAGE_PYTHON}.0",
    "python_version": IMAGE_PYTHON,
    "sys_platform": "linux",
}


@dataclasses.dataclass(frozen=True)
class Package:
    """A locked package.

    Attributes:
        name: Name as in the lock, in small letters with hyphens.
        version: Locked version.
        marker: Condition on the machine, such as "sys_platform == 'win32'"; empty for all machines.
        sha256: Digests of the files that may be installed, in hex.
    """

    name: str
    version: str
    marker: str
    sha256: tuple[str, ...]


def locked(group: str) -> list[Package]:
    """Return the packages of requirements/GROUP.txt for all machines: some have several versions."""
    text = (FOLDER / f"{group}.txt").read_text()
    entries = re.findall(r"(?m)^([\w.-]+)==([^\s;]+)(?: ; ([^\\\n]+?))? \\\n((?:    --hash=\S+(?: \\)?\n)+)", text)
    return [
        Package(name, version, marker, tuple(re.findall("sha256:([0-9a-f]{64})", hashes)))
        for name, version, marker, hashes in entries
    ]


def installed(image: str) -> list[Package]:
    """Return the packages that the image "pipeline" or "web" installs."""
    return [package for package in locked(image) if not package.marker or Marker(package.marker).evaluate(IMAGE)]
