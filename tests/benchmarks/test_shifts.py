"""Options of the benchmark that are refused before photos are answered."""

import sys

import finished_run
import pytest

from benchmarks import shifts
from pipeline import run_folder


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--folds 1,3", "--folds must be between 1 and 2, the folds of the run (got 3)."),
        ("--severities 6", "--severities must be between 1 and 5 (got 6)."),
        ("--photos-per-fold 0", "--photos-per-fold must be at least 1 (got 0)."),
        ("--compare missing.json", "--compare must be a file that --out wrote, and missing.json does not exist."),
        ("", "--run-dir must hold a finished run, and {run_dir} has no calibration. Finish it with run."),
    ],
    ids=["fold", "severity", "photos", "other file", "unfinished run"],
)
def test_wrong_option_ends_with_one_line(options, message, tmp_path, monkeypatch):
    run_dir = finished_run.write(tmp_path)
    if not options:
        (run_dir / run_folder.CALIBRATION).unlink()
    monkeypatch.setattr(sys, "argv", ["shifts", "--run-dir", str(run_dir), *options.split()])
    with pytest.raises(SystemExit) as stopped:
        shifts.main()
    assert stopped.value.code == f"shifts: {message.format(run_dir=run_dir.resolve())}"
