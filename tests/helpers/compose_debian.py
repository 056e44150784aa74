"""Root file systems of Debian trixie by debootstrap, and its docker, Compose v2 and buildx."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "pilah-compose-test"
RELEASE = "trixie"  # whose Python is 3.13, PostgreSQL 17 and Compose v2
PACKAGES = "ca-certificates,netbase,passwd,python3,python3-venv"
NOT_PACKED = (  # what debootstrap copies from this machine, and what an image does not need
    *("etc/hostname", "etc/hosts", "etc/resolv.conf", "etc/apt/apt.conf.d/*proxy*"),
    *("dev/*", "proc/*", "sys/*", "tmp/*", "var/cache/apt/*", "var/lib/apt/lists/*", "var/log/*"),
)


@contextlib.contextmanager
def base() -> Iterator[pathlib.Path]:
    """Make a root file system with Python and a virtual environment at /usr/local; the block may change it."""
    original = CACHE / RELEASE
    if not original.exists():
        part = CACHE / f"{RELEASE}.part"
        shutil.rmtree(part, ignore_errors=True)
        call(["debootstrap", "--variant=minbase", f"--include={PACKAGES}", RELEASE, str(part)])
        call(["chroot", str(part), "python3", "-m", "venv", "/usr/local"])
        part.rename(original)
    with tempfile.TemporaryDirectory(prefix="pilah-debian-") as folder:
        call(["cp", "--archive", f"{original}/.", folder])  # with the mode of /, too
        yield pathlib.Path(folder)


def install(root: pathlib.Path, *packages: str) -> None:
    """Install Debian's `packages` in `root`."""
    call(["chroot", str(root), "apt-get", "install", "--yes", "--no-install-recommends", *packages])


def docker_programs() -> pathlib.Path:
    """Return a folder with docker, Compose and buildx of the release, which is kept."""
    folder = CACHE / "programs"
    if not folder.exists():
        with base() as root:
            packages = ["docker-cli", "docker-compose", "docker-buildx"]
            call(["chroot", str(root), "sh", "-c", f"cd /tmp && apt-get download {' '.join(packages)}"])
            unpacked = root / "programs"
            for package in (root / "tmp").glob("*.deb"):
                call(["dpkg-deb", "--extract", str(package), str(unpacked)])
            shutil.move(unpacked, folder)
    return folder


def call(command: list[str]) -> None:
    """Run `command`; raise RuntimeError with the end of its output if it fails."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8", "TMPDIR": "/tmp"}
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-3000:]}")
