"""Kills of a run, and some faults of its disk and clock, which share an undisturbed run.

`python -m chaos.kills.trial` and `python -m chaos.faults.trial` have all.
"""

import random

import pytest

from chaos import outcomes
from chaos.faults import run_faults
from chaos.kills import run_kills

pytest_plugins = ["forked_commands"]


@pytest.fixture(scope="module")
def trial(commands, tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults") / "run"
    return run_kills.Trial(commands, folder, run_kills.SMALL, random.Random(1))


def assert_clear(capsys, rows):
    assert outcomes.report(rows) == 0, capsys.readouterr().out


def test_killed_run_loses_and_doubles_nothing(trial, capsys):
    rows = run_kills.run(trial, 3)
    assert_clear(capsys, rows)
    assert rows[0].runs == 3


def test_full_disk_ends_a_run_with_one_line_and_it_completes_afterwards(trial, capsys):
    row = run_faults.full_disk(trial, ["dataset", "choice"], random.Random(1))
    if "skipped" in row.trial:
        pytest.skip(row.trial)
    assert_clear(capsys, [row])


def test_commands_on_a_read_only_run_say_so_in_one_line(trial, capsys):
    row = run_faults.read_only_disk(trial)
    if "skipped" in row.trial:
        pytest.skip(row.trial)
    assert_clear(capsys, [row])


def test_moved_run_with_files_from_the_future_goes_on(trial, capsys):
    row = run_faults.moved_from_the_future(trial)
    assert_clear(capsys, [row, *trial.tally.outcomes("undisturbed run, and kills")])
