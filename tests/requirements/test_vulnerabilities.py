"""The look-up of vulnerabilities with the real pip-audit and a database on this machine."""

import http.server
import json
import os
import pathlib
import subprocess
import sys
import threading

import pytest

from requirements import locks, vulnerabilities

ROOT = pathlib.Path(__file__).parents[2]
ADVISORY = {
    "id": "GHSA-test",
    "aliases": ["CVE-2026-1"],
    "summary": "A test.",
    "affected": [
        {
            "package": {"name": "flask", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.1"}]}],
        }
    ],
}


class Database(http.server.ThreadingHTTPServer):
    """A vulnerability database in which only jinja2 2.4.1 has vulnerabilities."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server_port}/v1/query"
        self.asked, self.vulnerable = [], {"jinja2 2.4.1": [ADVISORY]}
        self.answer = lambda name, version: {"vulns": self.vulnerable.get(f"{name} {version}", [])}


class Handler(http.server.BaseHTTPRequestHandler):
    server: Database

    def do_POST(self):
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        package = (query["package"]["name"], query["version"])
        self.server.asked.append(package)
        body = json.dumps(self.server.answer(*package)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def database():
    server = Database()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def version_of(name):
    return next(package.version for package in locks.locked("web") if package.name == name)


def check(address, tmp_path):
    command = [sys.executable, "-m", "requirements.vulnerabilities", "--osv-url", address]
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path), "NO_PROXY": "127.0.0.1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def test_every_version_of_every_lock_is_looked_up(database, tmp_path):
    done = check(database.address, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    locked = {(entry.name, entry.version) for group in vulnerabilities.GROUPS for entry in locks.locked(group)}
    assert {"scipy", "uv"} <= {name for name, _ in locked} and len(locked) > 200
    assert set(database.asked) == locked | {("jinja2", "2.4.1")}
    assert done.stdout == f"{len(locked)} locked packages, 0 known vulnerabilities, 0 accepted\n"


def test_vulnerability_fails_the_check_with_package_locks_and_fix(database, tmp_path):
    database.vulnerable[f"flask {version_of('flask')}"] = [ADVISORY]
    done = check(database.address, tmp_path)
    assert done.returncode == 1
    assert done.stdout.splitlines()[0] == (
        f"flask {version_of('flask')} (dev, web): CVE-2026-1, GHSA-test, fixed in 99.1. "
        'make lock ARGS="--upgrade-package flask" updates it.'
    )


def test_unreachable_database_is_said_in_one_line(tmp_path):
    done = check("http://127.0.0.1:1/v1/query", tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("Vulnerabilities were NOT checked, which needs the network: http://127.0.0.1:1")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("answer", [{}, {"vulns": []}, []])
def test_database_that_knows_no_vulnerability_counts_as_unreachable(database, tmp_path, answer):
    database.answer = lambda name, version: answer
    done = check(database.address, tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("Vulnerabilities were NOT checked") and done.stderr.count("\n") == 1


def test_database_that_fails_during_the_check_ends_it_with_an_error(database, tmp_path):
    database.answer = lambda name, version: {"vulns": [ADVISORY]} if version == "2.4.1" else {"vulns": "damaged"}
    done = check(database.address, tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Vulnerabilities were not checked. pip-audit failed: ")
    assert done.stderr.count("\n") == 1


@pytest.fixture
def main(database, tmp_path, monkeypatch):
    """Return a function that runs the check of flask alone, with a file of accepted vulnerabilities."""
    package = locks.Package("flask", version_of("flask"), "", ())
    database.vulnerable[f"flask {package.version}"] = [ADVISORY]
    monkeypatch.setattr(locks, "locked", lambda group: [package])
    monkeypatch.setattr(vulnerabilities, "ACCEPTED", tmp_path / "accepted.toml")
    monkeypatch.setattr(sys, "argv", ["vulnerabilities", "--osv-url", database.address])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def run(accepted):
        vulnerabilities.ACCEPTED.write_text(accepted)
        with pytest.raises(SystemExit) as end:
            vulnerabilities.main()
        return end.value.code

    return run


@pytest.mark.parametrize("name", ["GHSA-test", "CVE-2026-1"])
def test_accepted_vulnerability_passes_by_its_id_or_alias(main, capsys, name):
    assert main(f'[{name}]\npackage = "flask"\nreason = "Not used."\n') == 0
    assert capsys.readouterr().out == "1 locked packages, 1 known vulnerabilities, 1 accepted\n"


def test_vulnerability_that_is_accepted_in_another_package_fails_the_check(main, capsys):
    assert main('[CVE-2026-1]\npackage = "jinja2"\nreason = "Not used."\n') == 1
    output = capsys.readouterr().out
    assert "flask" in output and "CVE-2026-1 of jinja2 in accepted.toml was not found any more." in output


def test_accepted_vulnerability_that_is_not_found_any_more_is_named(main, capsys):
    assert main('[CVE-2026-2]\npackage = "flask"\nreason = "Not used."\n') == 1
    assert "CVE-2026-2 of flask in accepted.toml was not found any more. Delete it." in capsys.readouterr().out


@pytest.mark.parametrize(
    "accepted",
    [
        '[CVE-2026-1]\npackage = "flask"',
        '[CVE-2026-1]\nreason = "No."',
        "CVE = 1",
    ],
)
def test_accepted_vulnerability_without_package_or_reason_is_refused(main, accepted):
    assert "must have a package and a reason. Add them." in main(accepted)


def test_package_that_pip_audit_leaves_out_fails_the_check(monkeypatch):
    skipped = [{"name": "flask", "skip_reason": "Dependency not found"}]
    monkeypatch.setattr(vulnerabilities, "_audit", lambda packages, address: skipped)
    with pytest.raises(vulnerabilities.CheckError, match=r"left out 1 of 1 packages: flask 3\.1\."):
        vulnerabilities.look_up([("flask", "3.1")], "")
