"""Resuming a run: its settings, and the check that other settings discard no finished work."""

import dataclasses
import logging
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from components.base import artifacts, documents, settings
from components.base.errors import PilahError
from components.data import photos
from pipeline import config as config_module
from pipeline import progress, resolved_settings, run_folder, trials
from pipeline.config import Config, Profile
from pipeline.resolved_settings import Resolved
from tuner import trial_folder

log = logging.getLogger("pilah")


def configure(run_dir: pathlib.Path, profile: Profile | None, changes: Mapping[str, Any]) -> Config:
    """Return the configuration of a run; a run that is started again begins with the settings in its run.json.

    Another profile replaces these settings except for paths and those of the photos, as do photos for a run on
    synthetic ones.

    Args:
        profile: one of PROFILES; None keeps that of the run.
        changes: field of Config -> value, of the options on the command line.
    """
    before = config_module.read(run_dir) if (run_dir / run_folder.CONFIG).exists() else None
    if not profile:
        first_photos = "images" in changes and not (before and before.images)
        profile = "thesis" if first_photos else before.profile if before else "demo"
    base = config_module.of_profile(profile, run_dir)
    if before and profile == before.profile:
        not_resumed = [name for name, option in settings.options(Config).items() if not option.resumed]
        base = dataclasses.replace(before, **{name: getattr(Config(run_dir), name) for name in not_resumed})
    elif before:
        base = dataclasses.replace(
            base, **{name: getattr(before, name) for name in (*config_module.PHOTO_SETTINGS, "weights_dir")}
        )
    return dataclasses.replace(base, **changes)


def log_changes(config: Config) -> None:
    """Log which settings of a resumed run differ from its run.json."""
    if (config.run_dir / run_folder.CONFIG).exists():
        changes = changed_settings(config_module.read(config.run_dir), config)
        if changes:
            log.warning("resuming with the settings of %s, but %s", run_folder.CONFIG, changes)


def changed_settings(before: Config, config: Config) -> str:
    """Return the settings that differ, as text; empty if none does."""
    options = settings.options(Config)
    names = ["profile", "images", *(name for name, option in options.items() if option.resumed)]
    return _differences((config_module.flag(name), getattr(before, name), getattr(config, name)) for name in names)


def check_new(run_dir: pathlib.Path, overwrite: bool) -> None:
    """Raise PilahError if a folder without settings holds the work of a run, unless it may be discarded."""
    if (run_dir / run_folder.STAGES).exists() and not overwrite:
        raise PilahError(
            f"{run_dir} holds a run whose {run_folder.CONFIG} is missing. Restore it, choose another --run-dir, or "
            "discard the run with --overwrite."
        )


def has_finished_work(run_dir: pathlib.Path) -> bool:
    """Return whether the run folder holds any finished fold, or any view of the features."""
    patterns = (f"{run_folder.TRIALS}/*/fold-*.csv", f"{run_folder.FEATURES}/*/*.npy")
    return any(any(run_dir.glob(pattern)) for pattern in patterns)


def check_nothing_lost(config: Config, resolved: Resolved, listed: Sequence[photos.Photo]) -> None:
    """Check that no finished folds or features were made with other settings than the current ones.

    Args:
        resolved: settings that this machine gives the run now.
        listed: photos that the run will have, with their folds.

    Raises:
        PilahError: names the changed settings and the work that would be lost.
    """
    usable = photos.accepted(listed, config.run_dir / run_folder.DATASET)
    lost = [*_lost_folds(config, resolved, usable), *_lost_features(config, resolved, usable)]
    if not lost:
        return
    before = config_module.read(config.run_dir)
    other_version = "Trained by another version of Pilah" if trials.is_of_other_version(config.run_dir) else ""
    causes = [changed_settings(before, config), _changed_machine(config.run_dir, resolved), other_version]
    raise PilahError(
        f"{'; '.join(filter(None, causes)) or 'An earlier start with other settings'}: this would discard "
        f"{' and '.join(lost)} in {config.run_dir}. Confirm with --overwrite, or restore the settings."
    )


def _lost_folds(config: Config, resolved: Resolved, usable: Sequence[photos.Photo]) -> list[str]:
    matching = trials.read_settings(config, usable, resolved)
    counts, seconds = [], 0.0
    for number in (*config.searched_numbers, *config.refined_numbers):
        folder = config.run_dir / run_folder.trial(number)
        folds = trial_folder.finished_folds(folder)
        if folds and number not in matching:
            counts.append(f"{number} ({len(folds)})")
            seconds += _total_seconds(trial_folder.fold_history(folder, fold) for fold in folds)
    if not counts:
        return []
    return [f"finished folds of scenario {', '.join(counts)}, {progress.duration(seconds)} of training,"]


def _lost_features(config: Config, resolved: Resolved, usable: Sequence[photos.Photo]) -> list[str]:
    lost = []
    for name in config.backbones if config.needs("features") else ():
        views = list((config.run_dir / run_folder.features(name)).glob("*-*.json"))
        if views and not trials.features_match(config, usable, resolved, name):
            lost.append(f"the features of {name} ({progress.duration(_total_seconds(views))})")
    return lost


def _total_seconds(paths: Iterable[pathlib.Path]) -> float:
    return sum(artifacts.read_json(path, documents.Timed)["seconds"] for path in paths)


def _changed_machine(run_dir: pathlib.Path, resolved: Resolved) -> str:
    """Return the resolved settings that differ from the last start, as text."""
    before = resolved_settings.read(run_dir) or resolved  # a version without resolved.json: assume no change
    pairs: list[tuple[str, Any, Any]] = [
        ("precision", before.precision, resolved.precision),
        ("frozen activations on disk", before.frozen_activations_on_disk, resolved.frozen_activations_on_disk),
    ]
    for name, engine in resolved.engines.items():
        pairs.append((f"inference engine of {name}", before.engines.get(name, engine), engine))
    for name, weights in resolved.weights.items():
        pairs.append((f"weights of {name}", before.weights.get(name, weights), weights))
    return _differences(pairs)


def _differences(settings_before_and_now: Iterable[tuple[str, Any, Any]]) -> str:
    """Return the settings that differ as text, from (name, value before, value now) of each."""
    changed = [(name, _text(old), _text(new)) for name, old, new in settings_before_and_now if old != new]
    return ", ".join(f"{name} {new} instead of {old}" for name, old, new in changed)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if value is None:
        return "none"
    return ",".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)
