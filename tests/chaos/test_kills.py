"""A few kills of the page of each kind; `python -m chaos.kills.trial` has more, and those of test_faults.py."""

import random

from chaos import outcomes
from chaos.kills import web_kills


def test_killed_page_loses_and_doubles_no_upload(tmp_path, capsys):
    rows = web_kills.run(tmp_path / "page", 3, None, random.Random(1))
    assert outcomes.report(rows) == 0, capsys.readouterr().out
