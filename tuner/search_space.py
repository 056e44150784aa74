"""The space that a KerasTuner oracle searches, and the scenarios that it has chosen so far. Needs no TensorFlow."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from components.base import artifacts, documents, settings
from tuner import scenarios

FILE = "search.json"  # in trials/


@dataclasses.dataclass(frozen=True)
class SearchSpace:
    """What an oracle chooses from; each trial trains the head of a frozen backbone.

    Attributes:
        oracle: one of settings.Oracle except "grid".
        dropouts: values, or a range of them.
        learning_rate: a single value, or a range.
        epochs: number of epochs of a trial; the highest number with Hyperband.
        trials: largest number of trials. With more of them, a search begins with the same ones.
    """

    oracle: settings.Oracle
    backbones: tuple[settings.Backbone, ...]
    optimizers: tuple[settings.Optimizer, ...]
    dropouts: tuple[float, ...] | settings.Range
    learning_rate: float | settings.Range
    hidden_units: tuple[int, ...]
    epochs: int
    seed: int
    trials: int

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that the oracle's choice of a trial depends on, except the results of earlier ones, as JSON."""
        values = {name: value for name, value in vars(self).items() if name != "trials"}
        return {name: _as_json(value) for name, value in values.items()}


def _as_json(value: Any) -> Any:
    if isinstance(value, settings.Range):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def read(trials_dir: pathlib.Path, space: SearchSpace) -> list[documents.SearchedScenario]:
    """Return the trials that a search of `space` has chosen so far; none if the last search had another space."""
    return [trial for trial in _saved(trials_dir, space) if trial["scenario"]["number"] <= space.trials]


def _saved(trials_dir: pathlib.Path, space: SearchSpace) -> list[documents.SearchedScenario]:
    """Return the trials of the last search, also those after `space.trials`; none if it had another space."""
    path = trials_dir / FILE
    saved = artifacts.read_json(path, documents.Search) if path.exists() else None
    return saved["trials"] if saved and saved["space"] == space.settings else []


def scenarios_of(
    trials_dir: pathlib.Path, space: SearchSpace, *, with_diverged: bool = False
) -> list[scenarios.Scenario]:
    """Return the scenarios that a search of `space` has chosen so far, in order of number."""
    chosen = [trial for trial in read(trials_dir, space) if with_diverged or trial["failure"] is None]
    return [scenarios.Scenario(**trial["scenario"]) for trial in chosen]


def note(
    trials_dir: pathlib.Path, space: SearchSpace, scenario: scenarios.Scenario, failure: str | None = None
) -> None:
    """Write that the search has chosen `scenario`, or that its training has diverged; `failure` is the reason."""
    values: Any = {"number": scenario.number, **scenarios.hyperparameter_values(scenario)}
    by_number = {trial["scenario"]["number"]: trial for trial in _saved(trials_dir, space)}
    by_number[scenario.number] = {"scenario": values, "failure": failure}
    _write(trials_dir, space, [by_number[number] for number in sorted(by_number)])


def note_end(trials_dir: pathlib.Path, space: SearchSpace, last: int) -> None:
    """Write that the search has ended after trial number `last`, because its space has no more combinations.

    An earlier search of the space, with other scores, may have chosen more trials.
    """
    trials = [trial for trial in _saved(trials_dir, space) if trial["scenario"]["number"] <= last]
    _write(trials_dir, space, trials)


def _write(trials_dir: pathlib.Path, space: SearchSpace, trials: list[documents.SearchedScenario]) -> None:
    artifacts.write_json(trials_dir / FILE, {"space": space.settings, "trials": trials})


def scenario(space: SearchSpace, number: int, values: Mapping[str, Any]) -> scenarios.Scenario:
    """Return the scenario with the hyperparameters `values`; those that do not vary come from `space`.

    Numbers of a range are rounded to three significant digits, so that the leaderboard shows what was trained.
    """
    dropout = values.get("dropout", space.dropouts[0] if isinstance(space.dropouts, tuple) else None)
    return scenarios.Scenario(
        number,
        values.get("backbone", space.backbones[0]),
        values.get("optimizer", space.optimizers[0]),
        _rounded(dropout, space.dropouts),
        learning_rate=_rounded(values.get("learning_rate", space.learning_rate), space.learning_rate),
        hidden_units=values.get("hidden_units", space.hidden_units[0]),
        epochs=values.get("tuner/epochs", space.epochs),
    )


def _rounded(value: Any, searched: Any) -> float:
    """Return `value` with three significant digits if `searched`, the setting that it comes from, is a range."""
    return float(f"{value:.3g}") if isinstance(searched, settings.Range) else value
