"""Install the packages of requirements/dev.txt in .venv. make runs this file when the lock has changed.

uv is several times faster than pip and checks the same hashes. The uv on the path is used, or else the one in
requirements/uv.txt. If neither can be had, or uv fails, pip installs the packages.
"""

import ast
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import venv

LOCK = pathlib.Path("requirements/dev.txt")
READY = pathlib.Path(".venv/ready")
PYTHON = ".venv/bin/python"
PIP = [PYTHON, "-m", "pip", "--disable-pip-version-check"]
PIP_INSTALL = [*PIP, "install", "--quiet", "--no-compile", "--no-deps", "--require-hashes"]
NOT_LOCKED = {"pip", "setuptools", "uv", "wheel"}  # kept in every environment, as uv does
UV_VARIABLES = {  # setting of pip -> variable of uv
    "cert": "SSL_CERT_FILE",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "index-url": "UV_DEFAULT_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
}


def main() -> None:
    """Update .venv, or build it again if it is incomplete, broken or made with another Python."""
    if is_usable():
        print("Updating .venv.", flush=True)
    else:
        print("Setting up .venv: 3 GB, one or two minutes with uv, longer with pip.", flush=True)
        subprocess.run(["rm", "-rf", ".venv"], check=True)  # if it is a link, only the link
        venv.create(".venv", symlinks=True, with_pip=True)
    READY.unlink(missing_ok=True)  # until all is installed
    uv = find_uv()
    if not uv or not install_with_uv(uv):
        install_with_pip()
    READY.touch()


def is_usable() -> bool:
    """Return whether .venv is complete, belongs to this folder, and has the version of this Python."""
    if not READY.exists() or pathlib.Path(".venv").is_symlink() or not shutil.which(PYTHON):
        return False
    version = subprocess.run([*PIP, "--version"], capture_output=True, text=True).stdout
    return f"(python {sys.version_info.major}.{sys.version_info.minor})" in version


def find_uv() -> str | None:
    """Return the uv on the path, or the one that pip installs in .venv; None if pip cannot install it."""
    on_path = shutil.which("uv")
    if on_path:
        return on_path
    command = [*PIP_INSTALL, "--only-binary", ":all:", "-r", "requirements/uv.txt"]
    installation = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    if installation.returncode == 0:
        return ".venv/bin/uv"
    reason = installation.stderr.strip().rpartition("\n")[2]
    print(f"uv could not be installed, so pip sets up .venv, which takes longer. {reason}", file=sys.stderr)
    return None


def install_with_uv(uv: str) -> bool:
    """Make .venv match the lock with uv, and return whether that succeeded."""
    command = [uv, "pip", "sync", "--quiet", "--require-hashes", "--python", PYTHON, str(LOCK)]
    if subprocess.run(command, env=uv_settings() | os.environ).returncode == 0:
        return True
    print("uv failed (its message is above), so pip sets up .venv, which takes longer.", file=sys.stderr)
    return False


def uv_settings() -> dict[str, str]:
    """Return pip's index settings as variables of uv, which does not read those of pip."""
    listed = subprocess.run([*PIP, "config", "list"], check=True, stdout=subprocess.PIPE, text=True).stdout
    settings = {"UV_INDEX_STRATEGY": "unsafe-best-match"}  # as pip does; the hashes say which file is right
    for section in ("global", "install", ":env:"):  # the last one wins, as in pip
        for name, value in re.findall(rf"(?m)^{section}\.([\w-]+)=(.*)$", listed):
            if name in UV_VARIABLES:
                separator = "," if name == "find-links" else " "
                settings[UV_VARIABLES[name]] = separator.join(ast.literal_eval(value).split())
    return settings


def install_with_pip() -> None:
    """Make .venv match the lock with pip."""
    subprocess.run([*PIP_INSTALL, "-r", str(LOCK)], check=True)
    listed = subprocess.run([*PIP, "list", "--format", "json"], check=True, stdout=subprocess.PIPE, text=True).stdout
    installed = {re.sub(r"[-_.]+", "-", package["name"]).lower() for package in json.loads(listed)}
    unlocked = installed - set(re.findall(r"(?m)^([\w.-]+)==", LOCK.read_text())) - NOT_LOCKED
    if unlocked:
        subprocess.run([*PIP, "uninstall", "--quiet", "--yes", *sorted(unlocked)], check=True)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        command = shlex.join(map(str, error.cmd))
        sys.exit(f".venv is not set up: {command} failed. Correct the cause and type the same command again.")
