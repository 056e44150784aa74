"""Look up the known vulnerabilities of all locked packages, with pip-audit in the OSV database: make security.

The exit code is 1 if there is a vulnerability that accepted_vulnerabilities.toml does not list. Without a network, a
line says that nothing was checked, and the exit code is 0, since everything else can be checked without one.
"""

import argparse
import itertools
import json
import pathlib
import subprocess
import sys
import tempfile
import tomllib
import urllib.request
from collections.abc import Sequence
from typing import Any

from requirements import locks

OSV = "https://api.osv.dev/v1/query"
GROUPS = ("dev", "pipeline", "web", "uv")
ACCEPTED = pathlib.Path(__file__).with_name("accepted_vulnerabilities.toml")
PROBE = {"version": "2.4.1", "package": {"name": "jinja2", "ecosystem": "PyPI"}}  # which has known vulnerabilities
PROBE_SECONDS = 15
AUDIT = [sys.executable, "-m", "pip_audit", "--progress-spinner", "off", "--disable-pip", "--no-deps"]


class CheckError(Exception):
    """The check failed for another reason than the network."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--osv-url", default=OSV, help="Address of OSV's query API.")
    address = parser.parse_args().osv_url
    if reason := unreachable(address):
        print(f"Vulnerabilities were NOT checked, which needs the network: {address}: {reason}", file=sys.stderr)
        return
    packages = {(package.name, package.version) for group in GROUPS for package in locks.locked(group)}
    try:
        accepted = read_accepted(ACCEPTED)
        findings = look_up(sorted(packages), address)
    except CheckError as error:
        sys.exit(f"Vulnerabilities were not checked. {error}")
    lines = [line(finding) for finding in findings if not _keys(finding) & set(accepted)]
    known = {key for finding in findings for key in _keys(finding)}
    for name, package in sorted(set(accepted) - known):
        print(f"{name} of {package} in {ACCEPTED.name} was not found any more. Delete it.")
    print(*lines, sep="\n", end="\n" if lines else "")
    print(
        f"{len(packages)} locked packages, {len(findings)} known vulnerabilities, {len(findings) - len(lines)} accepted"
    )
    sys.exit(1 if lines else 0)


def unreachable(address: str) -> str:
    """Return why OSV does not tell the vulnerabilities of a package that has some; empty if it does."""
    request = urllib.request.Request(address, json.dumps(PROBE).encode())
    try:
        with urllib.request.urlopen(request, timeout=PROBE_SECONDS) as response:  # nosec B310 # OSV, or --osv-url
            return "" if json.load(response)["vulns"] else "it does not know the vulnerabilities of jinja2 2.4.1"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return " ".join(str(error).split()) or type(error).__name__


def _keys(finding: dict[str, Any]) -> set[tuple[str, str]]:
    """Return (id, package) for each id of a vulnerability."""
    return {(name, finding["name"]) for name in finding["ids"]}


def read_accepted(path: pathlib.Path) -> list[tuple[str, str]]:
    """Return (id, package) of each accepted vulnerability, as one may be in several packages.

    Raises:
        CheckError: the file is not TOML, or an entry lacks its package or reason.
    """
    try:
        accepted = tomllib.loads(path.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise CheckError(f"{path.name} is no TOML: {error}") from error
    for name, entry in accepted.items():
        if not (isinstance(entry, dict) and entry.get("package") and entry.get("reason")):
            raise CheckError(f"{path.name}: {name} must have a package and a reason. Add them.")
    return [(name, entry["package"]) for name, entry in accepted.items()]


def look_up(packages: Sequence[tuple[str, str]], address: str) -> list[dict[str, Any]]:
    """Return the vulnerabilities of packages, given as (name, version), with name, version, ids and fixes.

    Raises:
        CheckError: pip-audit failed, or left out a package.
    """
    results = [result for part in _parts(packages) for result in _audit(part, address)]
    audited = {(result["name"], result.get("version")) for result in results}
    if missing := [f"{name} {version}" for name, version in packages if (name, version) not in audited]:
        raise CheckError(f"pip-audit left out {len(missing)} of {len(packages)} packages: {', '.join(missing[:5])}.")
    return [
        {
            "name": result["name"],
            "version": result["version"],
            "ids": {finding["id"], *finding["aliases"]},
            "fixes": finding["fix_versions"],
        }
        for result in results
        for finding in result["vulns"]
    ]


def _parts(packages: Sequence[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    """Divide packages so that no part has two versions of one, which pip-audit refuses."""
    versions = [list(group) for _, group in itertools.groupby(packages, key=lambda package: package[0])]
    return [[package for package in part if package] for part in itertools.zip_longest(*versions)]


def _audit(packages: Sequence[tuple[str, str]], address: str) -> list[dict[str, Any]]:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("".join(f"{name}=={version}\n" for name, version in packages))
        file.flush()
        command = [*AUDIT, "--format", "json", "-s", "osv", "--osv-url", address, "-r", file.name]
        result = subprocess.run(command, capture_output=True, text=True)
    try:
        return json.loads(result.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError) as error:
        last_line = result.stderr.strip().rpartition("\n")[2] or f"exit code {result.returncode}"
        raise CheckError(f"pip-audit failed: {last_line}") from error


def line(finding: dict[str, Any]) -> str:
    groups = [group for group in GROUPS if _is_locked(finding, group)]
    fix = f"fixed in {', '.join(finding['fixes'])}" if finding["fixes"] else "without a fix"
    return (
        f"{finding['name']} {finding['version']} ({', '.join(groups)}): {', '.join(sorted(finding['ids']))}, {fix}. "
        f'make lock ARGS="--upgrade-package {finding["name"]}" updates it.'
    )


def _is_locked(finding: dict[str, Any], group: str) -> bool:
    return any(
        (package.name, package.version) == (finding["name"], finding["version"]) for package in locks.locked(group)
    )


if __name__ == "__main__":
    main()
