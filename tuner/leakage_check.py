"""The leakage check: every scenario with one model carried through the folds, which shows what leakage does.

Its figures are no results. Each row says so, no prediction is kept, and nothing is written where the choice, the export
or the push read.
"""

import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any

from components.base import artifacts
from tuner import choose, resplit, scenarios, trial_folder
from tuner.study import Study


def check(
    study: Study,
    scenario_list: Sequence[scenarios.Scenario],
    folder: pathlib.Path,
    progress: Callable[[int, int], None],
) -> list[dict[str, Any]]:
    """Return a leaderboard row for each scenario, each also in a file of `folder`; existing files are kept."""
    settings = {str(scenario.number): study.settings(scenario) for scenario in scenario_list}
    artifacts.reset_if_settings_changed(folder, {"leaking": True, "scenarios": settings})
    rows = []
    for done, scenario in enumerate(scenario_list, start=1):
        path = folder / f"{trial_folder.name(scenario.number)}.json"
        if not path.exists():
            started = time.monotonic()
            matrix = resplit.matrix(study, scenario, carried=True)
            row = choose.make_row(scenario, matrix, study.classes, time.monotonic() - started)
            artifacts.write_json(path, {"leaking": True, **row})
        rows.append(artifacts.read_json(path))
        progress(done, len(scenario_list))
    return rows
