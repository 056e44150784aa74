"""Folder or zip of photos -> photos.csv, each photo once with its class and fold, and lists of the files left out."""

import collections
import functools
import logging
import os
import pathlib
from collections.abc import Collection, Sequence
from typing import Any

from components.base import artifacts
from components.data import class_folders, class_levels, grouped_folds, listing, missing_photos, photo_sources, photos
from components.demo import synthetic_photos
from pipeline import config as config_module
from pipeline import run_folder
from pipeline.config import Config
from pipeline.progress import Progress
from pipeline.runner import Stage

log = logging.getLogger("pilah")
LISTS = (run_folder.PHOTOS, run_folder.DUPLICATES, run_folder.UNREADABLE, run_folder.IGNORED)


def inputs(config: Config) -> dict[str, Any]:
    """Return settings, and a fingerprint of names, sizes and times of the photos, which is faster than reading them.

    Zips are unpacked and synthetic photos written before, so that changed ones are noticed, too.
    """
    return {
        "folds": config.folds,
        "seed": config.seed,
        "images": config.images,
        "group_folds": config.group_folds,
        "max_pixels": config.max_pixels if config.group_folds else None,  # larger photos have no hash
        "files": class_folders.scan(_photo_folders(config)).fingerprint(),
    }


def run(config: Config, progress: Progress) -> None:
    if not config.images:
        log.warning("the photos are synthetic: this run shows that the pipeline works, not how accurate it is")
    roots = _photo_folders(config)
    scan = class_folders.scan(roots)
    listed, duplicates = listing.list_photos(scan, config.folds, config.seed, progress)
    _check_missing(config, roots, scan, {photo.id for photo in listed} | {copy.id for copy in duplicates})
    listed = _regrouped(config, listed, progress)
    listing.write_unreadable(config.run_dir / run_folder.UNREADABLE, scan.rejects)
    listing.write_ignored(config.run_dir / run_folder.IGNORED, scan.ignored)
    listing.write_duplicates(config.run_dir / run_folder.DUPLICATES, duplicates)
    photos.write(config.run_dir / run_folder.PHOTOS, listed)
    _log_files(scan, listed, duplicates)


def check(config: Config) -> None:
    """Raise PilahError if folders hold no classes; zips are checked after they are unpacked."""
    if config.images and all(path.is_dir() for path in config.images):
        class_levels.find(config.images)


def expected_list(config: Config) -> list[photos.Photo]:
    """Return the photos that a resumed run will list, if their files have not changed.

    The list is empty if it cannot be known: synthetic photos would be replaced, or another pixel limit would apply,
    which is checked only when the photos are read.
    """
    before, path = config_module.read(config.run_dir), config.run_dir / run_folder.PHOTOS
    names = ("images", "photos_per_class", "folds", "seed", "group_folds", "max_pixels")
    changed = {name for name in names if getattr(before, name) != getattr(config, name)}
    if "max_pixels" in changed:
        rejects = run_folder.read_rows(config.run_dir, run_folder.REJECTS)
        if config.max_pixels < before.max_pixels or any(row.get("reason") == "too large" for row in rejects):
            return []
    if not config.images and changed & {"photos_per_class", "seed"}:
        return []
    if path.exists() and changed <= ({"max_pixels"} if not config.group_folds else set()):
        return photos.read(path)
    scan = class_folders.scan(_photo_folders(config))
    listed, _ = listing.list_photos(scan, config.folds, config.seed, _no_progress)
    return _regrouped(config, listed, _no_progress)


def _no_progress(done: int, total: int, what: str = "") -> None:
    pass


def _regrouped(config: Config, listed: list[photos.Photo], progress: Progress) -> list[photos.Photo]:
    """Return the photos with near-duplicates in one fold, if --group-folds asks for it."""
    if not config.group_folds:
        return listed
    return grouped_folds.regroup(
        listed,
        folds=config.folds,
        seed=config.seed,
        max_pixels=config.max_pixels,
        progress=functools.partial(progress, what="hashes"),
    )


def _check_missing(
    config: Config, roots: Sequence[pathlib.Path], scan: class_folders.Scan, present: Collection[str]
) -> None:
    """Warn of photos of the last run that are missing now.

    Raises:
        PilahError: a folder has lost all of its photos, without --accept-missing.
    """
    before = config.run_dir / run_folder.PHOTOS
    missing = missing_photos.find(photos.read(before), present, roots) if before.exists() else []
    if missing and not config.accept_missing:
        missing_photos.check_folders(missing, [path for path, _ in scan.photos])
    if missing:
        log.warning("%d photos of the last run are missing, such as %s", len(missing), missing[0].path)


def _log_files(
    scan: class_folders.Scan, listed: Sequence[photos.Photo], duplicates: Sequence[listing.Duplicate]
) -> None:
    """Log the number of files of each kind, the warnings, and identical files with different labels."""
    conflicts = collections.defaultdict(list)  # id -> paths
    for duplicate in duplicates:
        if duplicate.kind == "conflict":
            conflicts[duplicate.id].append(duplicate.path)
    conflict_count = sum(map(len, conflicts.values()))
    log.info("%d classes: %s", len(scan.classes), ", ".join(scan.classes))
    log.info(
        "%d files: %d photos, %d exact copies, %d in several classes, %d unreadable, %d ignored (%s)",
        len(scan.photos) + len(scan.rejects) + len(scan.ignored),
        len(listed),
        len(duplicates) - conflict_count,
        conflict_count,
        len(scan.rejects),
        len(scan.ignored),
        ", ".join(LISTS),
    )
    for warning in scan.warnings:
        log.warning(warning)
    for paths in conflicts.values():
        log.error("identical files with different labels, none of them is used: %s", ", ".join(paths))


def _photo_folders(config: Config) -> list[pathlib.Path]:
    """Return the folders that hold the class folders; zips are unpacked and synthetic photos written if necessary."""
    images = config.run_dir / run_folder.IMAGES
    if not config.images:
        return [_write_synthetic(images / "drawn", config.photos_per_class, config.seed)]
    digests = [_zip_digest(path, path.stat()) if path.is_file() else "" for path in config.images]
    return [photo_sources.folder_of(path, images / digest) for path, digest in zip(config.images, digests, strict=True)]


@functools.cache
def _zip_digest(path: pathlib.Path, state: os.stat_result) -> str:
    """Return the digest of a zip, computed once for each `state` of it, as the zip may be large."""
    return artifacts.file_digest(path)


def _write_synthetic(folder: pathlib.Path, photos_per_class: int, seed: int) -> pathlib.Path:
    """Write synthetic photos to `folder`, unless it holds them, and return it."""
    settings, settings_path = {"photos_per_class": photos_per_class, "seed": seed}, folder.with_name("drawn.json")
    if not (folder.exists() and settings_path.exists() and artifacts.read_json(settings_path) == settings):
        settings_path.unlink(missing_ok=True)
        synthetic_photos.write(folder, photos_per_class, seed, lambda done, total: None)
        artifacts.write_json(settings_path, settings)
    return folder


STAGE = Stage(
    name="photos",
    inputs=inputs,
    outputs=lambda config: LISTS,
    run=run,
    covered=run_folder.all_files(run_folder.IMAGES),
)
