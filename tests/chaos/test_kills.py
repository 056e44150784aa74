"""A few kills of each kind; `python -m chaos.kills.trial` has a hundred."""

import random

from chaos import outcomes
from chaos.kills import run_kills, web_kills

pytest_plugins = ["forked_commands"]


def test_killed_run_loses_and_doubles_nothing(commands, tmp_path, capsys):
    rows, _ = run_kills.run(commands, tmp_path / "run", 3, random.Random(1), run_kills.SMALL)
    assert outcomes.report(rows) == 0, capsys.readouterr().out
    assert rows[0].runs == 3


def test_killed_page_loses_and_doubles_no_upload(tmp_path, capsys):
    rows = web_kills.run(tmp_path / "page", 3, None, random.Random(1))
    assert outcomes.report(rows) == 0, capsys.readouterr().out
