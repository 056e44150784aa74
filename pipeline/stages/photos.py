"""Folder or zip of photos -> photos.csv, each photo once with its class and fold, and lists of the files left out."""

import functools
import logging
import os
import pathlib
from collections.abc import Collection, Sequence
from typing import Any

from components.base import artifacts
from components.data import (
    class_folders,
    class_levels,
    class_names,
    grouped_folds,
    labels_file,
    listing,
    missing_photos,
    photo_scan,
    photo_sources,
    photos,
)
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
        "files": _scan(config, _photo_folders(config)).fingerprint(),
    }


def run(config: Config, progress: Progress) -> None:
    if not config.images:
        log.info("the photos are synthetic: this run shows that the pipeline works, not how accurate it is")
    roots = _photo_folders(config)
    scan = _scan(config, roots)
    listed, duplicates = listing.list_photos(scan, config.folds, config.seed, progress)
    _check_missing(config, roots, scan, {photo.id for photo in listed} | {copy.id for copy in duplicates})
    listed = _regrouped(config, listed, progress)
    listing.write_unreadable(config.run_dir / run_folder.UNREADABLE, scan.rejects)
    listing.write_ignored(config.run_dir / run_folder.IGNORED, scan.ignored)
    listing.write_duplicates(config.run_dir / run_folder.DUPLICATES, duplicates)
    photos.write(config.run_dir / run_folder.PHOTOS, listed)
    _log_files(scan, listed, duplicates)


def check(config: Config) -> None:
    """Raise PilahError if folders or labels have no classes; zips are checked after they are unpacked."""
    names = []
    if config.labels:
        names = [name for _, name in labels_file.read(config.labels) if name.strip()]
    elif config.images and all(path.is_dir() for path in config.images):
        class_levels.check_roots(config.images)
        names = class_levels.names_of(class_levels.find(config.images))
    class_names.classes_of({*names}, merge=config.merge_classes)


def expected_list(config: Config) -> list[photos.Photo]:
    """Return the photos that a resumed run will list, if their files have not changed.

    The list is empty if it cannot be known: synthetic photos would be replaced, or another pixel limit would apply,
    which is checked only when the photos are read.
    """
    before, path = config_module.read(config.run_dir), config.run_dir / run_folder.PHOTOS
    names = (*config_module.PHOTO_SETTINGS, "photos_per_class", "folds", "seed", "group_folds", "max_pixels")
    changed = {name for name in names if getattr(before, name) != getattr(config, name)}
    if "max_pixels" in changed:
        rejects = run_folder.read_rows(config.run_dir, run_folder.REJECTS)
        if config.max_pixels < before.max_pixels or any(row.get("reason") == "too large" for row in rejects):
            return []
    if not config.images and changed & {"photos_per_class", "seed"}:
        return []
    if path.exists() and changed <= ({"max_pixels"} if not config.group_folds else set()):
        return photos.read(path)
    scan = _scan(config, _photo_folders(config))
    listed, _ = listing.list_photos(scan, config.folds, config.seed, _no_progress)
    return _regrouped(config, listed, _no_progress)


def _no_progress(done: int, total: int, what: str = "", note: str = "") -> None:
    pass


def _regrouped(config: Config, listed: list[photos.Photo], progress: Progress) -> list[photos.Photo]:
    """Return the photos with near-duplicates in one fold, if --group-folds is set."""
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
    config: Config, roots: Sequence[pathlib.Path], scan: photo_scan.Scan, present: Collection[str]
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


def _log_files(scan: photo_scan.Scan, listed: Sequence[photos.Photo], duplicates: Sequence[listing.Duplicate]) -> None:
    """Log the number of files of each kind, the warnings, and identical files with different labels."""
    conflicts = [duplicate.path for duplicate in duplicates if duplicate.kind == "conflict"]
    log.info("%d classes: %s", len(scan.classes), ", ".join(scan.classes))
    log.info(
        "%d files: %d photos, %d exact copies, %d in several classes, %d unreadable, %d ignored (%s)",
        len(scan.photos) + len(scan.rejects) + len(scan.ignored),
        len(listed),
        len(duplicates) - len(conflicts),
        len(conflicts),
        len(scan.rejects),
        len(scan.ignored),
        ", ".join(LISTS),
    )
    for warning in scan.warnings:
        log.warning(warning)
    if conflicts:
        log.error(
            "%d identical files with different labels, none of them is used, such as %s and %s: see %s",
            len(conflicts),
            *conflicts[:2],
            run_folder.DUPLICATES,
        )


def _photo_folders(config: Config) -> list[pathlib.Path]:
    """Return the folders that hold the class folders; zips are unpacked and synthetic photos written if necessary."""
    images = config.run_dir / run_folder.IMAGES
    if not config.images:
        return [_write_synthetic(images / "drawn", config.photos_per_class, config.seed)]
    digests = [_zip_digest(path, path.stat()) if path.is_file() else "" for path in config.images]
    return [
        photo_sources.folder_of(
            path, images / photo_sources.unpacked_name(digest, config.zip_encoding), config.zip_encoding
        )
        for path, digest in zip(config.images, digests, strict=True)
    ]


def _scan(config: Config, roots: Sequence[pathlib.Path]) -> photo_scan.Scan:
    return class_folders.scan(roots, labels=config.labels, merge=config.merge_classes)


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
