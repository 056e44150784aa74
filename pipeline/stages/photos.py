"""Folder or zip of photos -> photos.csv: each photo once, with its class and fold; and the files left out."""

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
    """Names, sizes and times of the photos, which is quicker than reading them all.

    Photos that the run folder holds are unpacked or drawn first, so that a change of these is seen too.
    """
    return {
        "folds": config.folds,
        "seed": config.seed,
        "images": config.images,
        "group_folds": config.group_folds,
        "max_pixels": config.max_pixels if config.group_folds else None,  # larger photos have no hash
        "files": class_folders.scan(_photo_folders(config)).fingerprint(),
    }


def outputs(config: Config) -> list[str]:
    return list(LISTS)


def run(config: Config, progress: Progress) -> None:
    if not config.images:
        log.warning("the photos are drawn, not real: this run shows that the pipeline works, not how well it sorts")
    roots = _photo_folders(config)
    scan = class_folders.scan(roots)
    listed, duplicates = _list(config, scan, progress)
    _check_missing(config, roots, scan, {photo.id for photo in listed} | {copy.id for copy in duplicates})
    listing.write_unreadable(config.run_dir / run_folder.UNREADABLE, scan.rejects)
    listing.write_ignored(config.run_dir / run_folder.IGNORED, scan.ignored)
    listing.write_duplicates(config.run_dir / run_folder.DUPLICATES, duplicates)
    photos.write(config.run_dir / run_folder.PHOTOS, listed)
    _log_files(scan, listed, duplicates)


def check(config: Config) -> None:
    """Raise where folders hold no classes; what zips hold is known once they are unpacked."""
    if config.images and all(given.is_dir() for given in config.images):
        class_levels.find(config.images)


def listed_with(config: Config) -> list[photos.Photo]:
    """Return the photos that a run which is started again will list, if no file of theirs has changed.

    None where that is not known: synthetic ones are drawn again, and which are too large is known once they are read.
    """
    before = config_module.read(config.run_dir)
    names = ("images", "photos_per_class", "folds", "seed", "group_folds", "max_pixels")
    changed = [name for name in names if getattr(before, name) != getattr(config, name)]
    path = config.run_dir / run_folder.PHOTOS
    if not changed and path.exists():
        return photos.read(path)
    if changed and (not config.images or "max_pixels" in changed):
        return []
    return _list(config, class_folders.scan(_photo_folders(config)), lambda done, total, what="": None)[0]


def _list(
    config: Config, scan: class_folders.Scan, progress: Progress
) -> tuple[list[photos.Photo], list[listing.Duplicate]]:
    listed, duplicates = listing.list_photos(scan, config.folds, config.seed, progress)
    if config.group_folds:
        hashed = functools.partial(progress, what="hashes")
        listed = grouped_folds.regroup(listed, config.folds, config.seed, config.max_pixels, hashed)
    return listed, duplicates


def _check_missing(
    config: Config, roots: Sequence[pathlib.Path], scan: class_folders.Scan, present: Collection[str]
) -> None:
    """Name the photos that the list of the run before has and this one has not.

    Raises:
        PilahError: a folder has lost all of its photos, and --accept-missing is not given.
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
    """Account for every file, and name what is wrong with some."""
    copies = sum(duplicate.kind == "duplicate" for duplicate in duplicates)
    log.info("%d classes: %s", len(scan.classes), ", ".join(scan.classes))
    log.info(
        "%d files: %d photos, %d exact copies, %d in several classes, %d unreadable, %d ignored (%s)",
        len(scan.photos) + len(scan.rejects) + len(scan.ignored),
        len(listed),
        copies,
        len(duplicates) - copies,
        len(scan.rejects),
        len(scan.ignored),
        ", ".join(LISTS),
    )
    for warning in scan.warnings:
        log.warning(warning)
    conflicts = collections.defaultdict(list)  # id -> paths
    for duplicate in duplicates:
        if duplicate.kind == "conflict":
            conflicts[duplicate.id].append(duplicate.path)
    for paths in conflicts.values():
        log.error("identical files in several classes, none of them is used: %s", ", ".join(paths))


def _photo_folders(config: Config) -> list[pathlib.Path]:
    """The folders that hold the class folders: those given, or in the run folder, drawn or unpacked where needed."""
    images = config.run_dir / run_folder.IMAGES
    if not config.images:
        return [_draw(images / "drawn", config.photos_per_class, config.seed)]
    names = [_zip_digest(given, given.stat()) if given.is_file() else "given" for given in config.images]
    return [photo_sources.folder_of(given, images / name) for given, name in zip(config.images, names, strict=True)]


@functools.cache
def _zip_digest(path: pathlib.Path, state: os.stat_result) -> str:
    """The digest of a zip, computed once for each `state` of it, as it may be large."""
    return artifacts.file_digest(path)


def _draw(folder: pathlib.Path, photos_per_class: int, seed: int) -> pathlib.Path:
    """Draw photos into `folder`, unless it holds them."""
    settings, drawn_with = {"photos_per_class": photos_per_class, "seed": seed}, folder.with_name("drawn.json")
    if not (folder.exists() and drawn_with.exists() and artifacts.read_json(drawn_with) == settings):
        drawn_with.unlink(missing_ok=True)
        synthetic_photos.write(folder, photos_per_class, seed, lambda done, total: None)
        artifacts.write_json(drawn_with, settings)
    return folder


STAGE = Stage("photos", inputs, outputs, run, covered=[f"{run_folder.IMAGES}/**/*"])
