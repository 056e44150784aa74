"""Paths in a run folder, relative to it, and readers of files that several modules read. Needs no TensorFlow."""

import collections
import os
import pathlib
from collections.abc import Iterable

from components.base import artifacts, documents
from components.base.errors import PilahError
from components.data import photos
from components.publish import push
from tuner import search_space, trial_folder

CONFIG = "run.json"
RESOLVED = "resolved.json"  # settings that depend on the machine, see resolved_settings
LOCK = "run.lock"
WEIGHTS = "weights"  # copies of ImageNet weights for the workers of a cluster
TEMPORARY = "tmp"  # temporary files of libraries, see temporary_files
LOG = "log.txt"  # output of libraries and worker processes, see log_file
STAGES = "stages"  # a mark for each finished stage, see runner
IMAGES = "images"  # unpacked or synthetic photos
PHOTOS = "photos.csv"
DUPLICATES = "duplicates.csv"
UNREADABLE, IGNORED = "unreadable.csv", "ignored.csv"  # files in the folders of --images that are not photos
DATASET = "dataset"
REJECTS = f"{DATASET}/{photos.REJECTS}"
USABLE_PHOTOS = (PHOTOS, REJECTS)  # what `usable_photos` reads
FEATURES = "features"  # a folder for each backbone
TRIALS = "trials"  # a folder for each scenario, see tuner.trial_folder
SEARCH = f"{TRIALS}/{search_space.FILE}"  # the scenarios that an oracle has chosen
FROZEN_ACTIVATIONS = "trunk"  # temporary: gigabytes, a folder for each part of a backbone
LEADERBOARD = "leaderboard.json"
MODEL = "model"
KERAS_MODEL, HEAD = f"{MODEL}/model.keras", f"{MODEL}/head.keras"
MADE_WITH = f"{MODEL}/made_with.json"  # code and packages that made the model
UNFINISHED_MODEL = f"{MODEL}/unfinished"  # checkpoints of a refit by fine-tuning
CALIBRATION_FOLDER = "calibration"  # how sure the winner is of its answers
CALIBRATION = f"{CALIBRATION_FOLDER}/calibration.json"
CALIBRATED_PHOTOS = f"{CALIBRATION_FOLDER}/photos.csv"  # prediction set and typicality of each photo
EMBEDDING = f"{CALIBRATION_FOLDER}/embedding.npy"  # float32 [photos, channels], see anatomy.with_embedding
HEATMAPS = f"{CALIBRATION_FOLDER}/heatmaps.npy"  # float32 [m, height, width], of the wrong answers in photos.csv
DISTANCES = f"{CALIBRATION_FOLDER}/distances.npy"  # float64 [photos], see typicality.held_out
EXPORT = "export"  # the SavedModel
EXPORTS = "exports"  # a folder for each format for devices
VALIDATION = "validation.json"
ANSWERS = push.ANSWERS  # {"photos": [id, ...], "classes": [...], "scores": [[...], ...]}, as validated
SERVED = f"served/{push.MODEL_NAME}"  # a folder for each pushed version
PUSHED = "pushed.json"  # {"version": number}
REPORT = "report"
PAGE, FIGURES = f"{REPORT}/index.html", f"{REPORT}/figures.json"
AUDIT = "audit"
AUDIT_SUMMARY = f"{AUDIT}/audit.json"
NEAR_DUPLICATES, LABEL_ISSUES = f"{AUDIT}/near_duplicates.csv", f"{AUDIT}/label_doubts.csv"
IMAGE_QUALITY = f"{AUDIT}/odd_photos.csv"
LEAKAGE_CHECK = f"{AUDIT}/leakage_check.json"
LEAKAGE_TRIALS = f"{AUDIT}/leakage_check"  # a file for each scenario
EVALUATIONS = "evaluations"


def all_files(*folders: str) -> list[str]:
    """Return patterns of all files in the folders and their subfolders."""
    return [f"{folder}/**/*" for folder in folders]


READ_BY_REPORT = (  # and TRIALS
    *USABLE_PHOTOS,
    DUPLICATES,
    LEADERBOARD,
    CALIBRATION,
    CALIBRATED_PHOTOS,
    HEATMAPS,
    VALIDATION,
)
READ_IN_TRAINING = (*USABLE_PHOTOS, *all_files(DATASET, FEATURES, FROZEN_ACTIVATIONS, TRIALS))


def check_kinds(run_dir: pathlib.Path) -> None:
    """Raise PilahError if a pipe, socket or device, which could be read forever, has the name of a file of the run."""
    for folder, _, names in os.walk(run_dir):
        if folder == str(run_dir / IMAGES):  # files there are read by components.data.folders
            continue
        for name in names:
            path = pathlib.Path(folder, name)
            if path.exists() and not (path.is_file() or path.is_dir()):
                raise PilahError(f"{path} is neither a file nor a folder. Remove it, then run again.")


def features(backbone: str) -> str:
    return f"{FEATURES}/{backbone}"


def trial(number: int) -> str:
    return f"{TRIALS}/{trial_folder.name(number)}"


def predictions(number: int) -> str:
    return f"{trial(number)}/{trial_folder.PREDICTIONS}"


def trial_settings(number: int) -> str:
    return f"{trial(number)}/{artifacts.SETTINGS}"


def trial_outputs(numbers: Iterable[int]) -> list[str]:
    """Return the files of finished scenarios that later stages and the report read."""
    return [path for number in numbers for path in (predictions(number), trial_settings(number))]


def usable_photos(run_dir: pathlib.Path) -> list[photos.Photo]:
    """Return the photos that have a record, in the order of the records; none before the stage photos."""
    path = run_dir / PHOTOS
    return photos.accepted(photos.read(path), run_dir / DATASET) if path.exists() else []


def read_rows(run_dir: pathlib.Path, name: str) -> list[dict[str, str]]:
    """Return the rows of the CSV file `name`; none if it is missing."""
    path = run_dir / name
    return artifacts.read_csv(path) if path.exists() else []


def count_duplicates(run_dir: pathlib.Path) -> collections.Counter[str]:
    """Return "duplicate" or "conflict" -> number of files left out, see listing.Duplicate."""
    return collections.Counter(row["kind"] for row in read_rows(run_dir, DUPLICATES))


def read_leaderboard(run_dir: pathlib.Path) -> documents.Leaderboard:
    """Return leaderboard.json.

    Raises:
        PilahError: it is damaged.
    """
    leaderboard: documents.Leaderboard = artifacts.read_json(run_dir / LEADERBOARD, documents.Leaderboard)
    return leaderboard


def export_digest(run_dir: pathlib.Path) -> str:
    """Return 16 hexadecimal digits that change with any file of the SavedModel."""
    files = sorted(file for file in (run_dir / EXPORT).rglob("*") if file.is_file())
    return artifacts.digest([[file.name, artifacts.file_digest(file)] for file in files])
