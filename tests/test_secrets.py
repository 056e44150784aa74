"""No keys, tokens or passwords in the files and the history of the repository, or in what the page's commands print."""

import pathlib
import re
import shutil
import subprocess
import sys

import pytest
import web_app

ROOT = pathlib.Path(__file__).parents[1]
PATTERNS = {  # beginning with a literal letter, which makes the search fast
    "private key": r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----",
    "AWS key": r"A[KS]IA[0-9A-Z]{16}\b",
    "GitHub token": r"g(?:h[pousr]_[A-Za-z0-9]{36}|ithub_pat_\w{50})",
    "Google key": r"AIza[\w-]{35}\b",
    "Slack token": r"xox[abprs]-[\w-]{10,}",
    "PyPI token": r"pypi-AgEI[\w-]{50}",
    "npm token": r"npm_[A-Za-z0-9]{36}\b",
    "Kaggle key": r'"key"\s*:\s*"[0-9a-f]{32}"',
    "JSON web token": r"eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}",
    "password in a URL": r"://[^\s/:@\"'<>{}$]+:[^\s/@\"'<>{}$]+@[\w.-]+",
    "assigned secret": r"(?:SECRET_KEY|ADMIN_TOKEN|POSTGRES_PASSWORD|KAGGLE_KEY)=[\w+/-]{16,}",
}
# user names and passwords of examples and tests
EXAMPLES = re.compile(r"//(?:USER:PASSWORD|u:[a-z0-9%@]+|u:p@hidden|a%40b:[^@]*|user:[a-z%0-9]*|me:[a-z%0-9]*)@")


def secrets(text):
    """Return (kind, line) of each secret in `text`, without those of examples."""
    return [
        (kind, line)
        for kind, pattern in PATTERNS.items()
        for line in {text[match.start() : match.end()] for match in re.finditer(pattern, text)}
        if not EXAMPLES.search(line)
    ]


@pytest.mark.skipif(not (ROOT / ".git").exists() or not shutil.which("git"), reason="this is no checkout of git")
def test_files_and_history_of_the_repository_have_no_secrets():
    command = ["git", "log", "--patch", "--all", "--no-color", "--no-textconv"]
    history = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout.decode(errors="replace")
    assert len(history) > 1_000_000  # a shallow clone has all files in one commit
    assert secrets(history) == []


@pytest.mark.parametrize(
    "secret",
    [
        "-----BEGIN RSA PRIVATE " + "KEY-----",
        "AKIA" + "A" * 16,
        "ghp_" + "a" * 36,
        "npm_" + "a" * 36,
        '"key": ' + f'"{"0" * 32}"',
        "://someone:" + "hunter2@example.org",
        "ADMIN_TOKEN=" + "0123456789abcdef",
    ],
)
def test_secret_is_noticed(secret):
    assert [line for _, line in secrets(f"+text {secret} text\n")] == [secret]


@pytest.mark.parametrize("password", ["hidden", "hid@den", "hid/den"])
def test_failing_database_prints_no_part_of_its_password(tmp_path, password):
    command = [sys.executable, "-m", "flask", "--app", "web", "db", "upgrade"]
    url = f"postgresql://u:{password}@127.0.0.1:1/n"
    variables = web_app.environment(PILAH_ENV="development", PILAH_DATA=str(tmp_path), DATABASE_URL=url)
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True)
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert not re.search(r"\bhid|den\b", done.stdout + done.stderr)
