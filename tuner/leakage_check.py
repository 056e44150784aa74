"""The protocol check: every scenario with one model carried through the folds, which shows what leakage does.

Its figures are worth nothing as results. Each row says so, no photo's prediction is kept, and nothing stands where the
choice, the export or the push look.
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
    """A row a scenario, in order of number, each also in a file of `folder`: those that are there are kept."""
    settings = {str(scenario.number): study.settings(scenario) for scenario in scenario_list}
    artifacts.reset_if_settings_changed(folder, {"leaking": True, "scenarios": settings})
    rows = []
    for done, scenario in enumerate(scenario_list, start=1):
        path = folder / f"{trial_folder.name(scenario.number)}.json"
        if not path.exists():
            artifacts.write_json(path, carried_row(study, scenario))
        rows.append(artifacts.read_json(path))
        progress(done, len(scenario_list))
    return rows


def carried_row(study: Study, scenario: scenarios.Scenario) -> dict[str, Any]:
    """What the leaderboard would say of `scenario`, were its model carried from fold to fold."""
    started = time.monotonic()
    matrix = resplit.matrix(study, scenario, carried=True)
    return {"leaking": True, **choose.row_of(scenario, matrix, study.classes, time.monotonic() - started)}
