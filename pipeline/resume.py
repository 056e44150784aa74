"""A run that is started again: its settings, and the finished work that other settings would discard."""

import dataclasses
import logging
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from components.base import artifacts, settings
from components.base.errors import PilahError
from components.data import photos
from pipeline import config as config_module
from pipeline import progress, resolved_settings, run_folder, trials
from pipeline.config import Config, Profile
from pipeline.resolved_settings import Resolved
from tuner import trial_folder

log = logging.getLogger("pilah")


def configure(run_dir: pathlib.Path, profile: Profile | None, changes: Mapping[str, Any]) -> Config:
    """Return the configuration of a run that is started, or started again: then it has the settings of its run.json.

    Another profile replaces these settings, as do photos that are given to a run on synthetic ones; paths stay.

    Args:
        profile: one of PROFILES, or None where none is given.
        changes: field of Config -> value, of the options that are given.
    """
    before = config_module.read(run_dir) if (run_dir / run_folder.CONFIG).exists() else None
    if not profile:
        of_photos = "images" in changes and not (before and before.images)
        profile = "thesis" if of_photos else before.profile if before else "demo"
    if before is None:
        base = config_module.of_profile(profile, run_dir)
    elif profile == before.profile:
        once = [name for name, option in settings.options(Config).items() if not option.resumed]
        base = dataclasses.replace(before, **{name: getattr(Config(run_dir), name) for name in once})
    else:
        base = config_module.of_profile(profile, run_dir)
        base = dataclasses.replace(base, images=before.images, weights_dir=before.weights_dir)
    return dataclasses.replace(base, **changes)


def log_changes(config: Config) -> None:
    """Log that the run is resumed, and the settings that are not those of its run.json."""
    if not (config.run_dir / run_folder.CONFIG).exists():
        return
    changes = changed_settings(config_module.read(config.run_dir), config)
    log.info("resuming with the settings of %s%s", run_folder.CONFIG, f", but {changes}" if changes else "")


def changed_settings(before: Config, config: Config) -> str:
    """Return the settings that differ, as text; empty where none does."""
    pairs = [
        (_name(field.name), getattr(before, field.name), getattr(config, field.name))
        for field in dataclasses.fields(Config)
        if field.name not in ("run_dir", "beam_args")
    ]
    return ", ".join(f"{name} {_text(new)} instead of {_text(old)}" for name, old, new in pairs if old != new)


def check_nothing_lost(config: Config, resolved: Resolved, listed: Sequence[photos.Photo]) -> None:
    """Raise where finished folds or features were made with other settings than the run has now.

    Args:
        resolved: what the run resolves to on this machine now.
        listed: the photos that the run will have, with their folds.

    Raises:
        PilahError: it names the changed settings and the work that would be lost.
    """
    usable = photos.accepted(listed, config.run_dir / run_folder.DATASET)
    lost = [*_lost_folds(config, resolved, usable), *_lost_features(config, resolved, usable)]
    if not lost:
        return
    before = config_module.read(config.run_dir)
    causes = [changed_settings(before, config), _changed_machine(config.run_dir, resolved)]
    raise PilahError(
        f"{'; '.join(filter(None, causes)) or 'An earlier start with other settings'}: this would discard "
        f"{' and '.join(lost)} in {config.run_dir}. Confirm with --overwrite, or restore the settings."
    )


def _lost_folds(config: Config, resolved: Resolved, usable: Sequence[photos.Photo]) -> list[str]:
    of_run = trials.read_settings(config, usable, resolved)
    folds: dict[int, list[pathlib.Path]] = {}  # scenario -> histories of its finished folds
    for number in (*config.searched_numbers, *config.refined_numbers):
        folder = config.run_dir / run_folder.trial(number)
        histories = [trial_folder.fold_history(folder, fold) for fold in trial_folder.finished_folds(folder)]
        if histories and number not in of_run:
            folds[number] = histories
    if not folds:
        return []
    seconds = sum(artifacts.read_json(path)["seconds"] for paths in folds.values() for path in paths)
    counts = ", ".join(f"{number} ({len(paths)})" for number, paths in folds.items())
    return [f"finished folds of scenario {counts}, {progress.duration(seconds)} of training,"]


def _lost_features(config: Config, resolved: Resolved, usable: Sequence[photos.Photo]) -> list[str]:
    if not config.needs("features"):
        return []
    of_others = [name for name in config.backbones if not trials.features_are_of_run(config, usable, resolved, name)]
    lost = []
    for name in of_others:
        views = list((config.run_dir / run_folder.features(name)).glob("*-*.json"))
        seconds = sum(artifacts.read_json(path)["seconds"] for path in views)
        lost += [f"the features of {name} ({progress.duration(seconds)})"] if views else []
    return lost


def _changed_machine(run_dir: pathlib.Path, resolved: Resolved) -> str:
    """Return what the run resolved to before and does not now, as text."""
    before = resolved_settings.read(run_dir)
    if not before:
        return ""
    pairs = [
        ("inference engine", before.engine, resolved.engine),
        ("precision", before.precision, resolved.precision),
        *((f"weights of {name}", before.weights.get(name, new), new) for name, new in resolved.weights.items()),
    ]
    return ", ".join(f"{name} {new} instead of {old}" for name, old, new in pairs if old != new)


def _name(field: str) -> str:
    return config_module.flag(field) if field in settings.options(Config) else f"--{field.replace('_', '-')}"


def _text(value: Any) -> str:
    return ",".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)
