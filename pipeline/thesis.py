"""The F1 published in the thesis and its notebooks, for runs of its photos and its 27 scenarios."""

import collections
import pathlib

from components.base import artifacts, documents
from pipeline import run_folder

RESULTS = pathlib.Path(__file__).with_name("thesis_results.csv")
FOLDS = pathlib.Path(__file__).with_name("thesis_folds.csv")  # as printed, two digits; scenario 23 is not published
PHOTOS = "f510d6ebf216d606"  # digest of the sorted ids of its photos: 2,521, because 6 of its 2,527 files are left out


def f1_of_scenarios(run_dir: pathlib.Path, leaderboard: documents.Leaderboard) -> dict[int, float]:
    """Return scenario -> F1 in the thesis; empty if photos or searched scenarios are not those of the thesis."""
    ids = sorted(row["id"] for row in run_folder.read_rows(run_dir, run_folder.PHOTOS))
    has_other_heads = any("hidden_units" in row for row in leaderboard["scenarios"])
    if artifacts.digest(ids) != PHOTOS or has_other_heads:
        return {}
    published = artifacts.read_csv(RESULTS)
    searched = leaderboard["scenarios"][: len(published)]  # the refined ones are last
    run_settings = [(row["scenario"], row["backbone"], row["optimizer"], row["dropout"]) for row in searched]
    settings = [(int(row["scenario"]), row["backbone"], row["optimizer"], float(row["dropout"])) for row in published]
    return {int(row["scenario"]): float(row["f1"]) for row in published} if run_settings == settings else {}


def fold_f1_of_scenarios(run_dir: pathlib.Path, leaderboard: documents.Leaderboard) -> dict[int, list[float]]:
    """Return scenario -> F1 of its five folds in the order of training; empty where `f1_of_scenarios` is.

    The model of the thesis has not been trained on the photos of the first fold, and has on those of all later ones.
    """
    folds: dict[int, list[float]] = collections.defaultdict(list)
    if f1_of_scenarios(run_dir, leaderboard):
        for row in artifacts.read_csv(FOLDS):
            folds[int(row["scenario"])].append(float(row["f1"]))
    return folds
