"""The packages of a lock file, and those of them that an image installs."""

import dataclasses
import pathlib
import re

from packaging.markers import Marker

FOLDER = pathlib.Path(__file__).parent
ENTRY = re.compile(r"([\w.-]+)==([^\s;]+)(?: ; ([^\\\n]+?))? \\\n((?:    --hash=\S+(?: \\)?\n)+)")
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
    """Return the packages of requirements/GROUP.txt for all machines: some have several versions.

    Raises:
        ValueError: an entry has another form than NAME==VERSION, perhaps a marker, and hashes.
    """
    return parse((FOLDER / f"{group}.txt").read_text(), f"{group}.txt")


def parse(text: str, file_name: str) -> list[Package]:
    """Return the packages of a lock file; see `locked`."""
    packages = []
    for entry in re.findall(r"(?m)^[^\s#].*\n(?:[ \t].*\n?)*", text):
        match = ENTRY.match(entry)
        if not match:
            raise ValueError(
                f"{file_name}: each entry must be NAME==VERSION, perhaps a marker, and hashes "
                f"(got {entry.partition(chr(10))[0]!r}). Extend ENTRY in requirements/locks.py."
            )
        name, version, marker, hashes = match.groups("")
        packages.append(Package(name, version, marker, tuple(re.findall("sha256:([0-9a-f]{64})", hashes))))
    return packages


def installed(image: str) -> list[Package]:
    """Return the packages that the image "pipeline" or "web" installs."""
    return [package for package in locked(image) if not package.marker or Marker(package.marker).evaluate(IMAGE)]
