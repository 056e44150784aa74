"""The F1 published in the thesis, for runs of its photos and its 27 scenarios."""

import pathlib

from components.base import artifacts, documents
from pipeline import run_folder

RESULTS = pathlib.Path(__file__).with_name("thesis_results.csv")
PHOTOS = "f510d6ebf216d606"  # digest of the sorted ids of its photos: 2,521, because 6 of its 2,527 files are left out


def f1_of_scenarios(run_dir: pathlib.Path, leaderboard: documents.Leaderboard) -> dict[int, float]:
    """Return scenario -> F1 in the thesis; empty if photos or searched scenarios are not those of the thesis."""
    ids = sorted(row["id"] for row in run_folder.read_rows(run_dir, run_folder.PHOTOS))
    if artifacts.digest(ids) != PHOTOS:
        return {}
    published = artifacts.read_csv(RESULTS)
    searched = leaderboard["scenarios"][: len(published)]  # the refined ones are last
    run_settings = [(row["scenario"], row["backbone"], row["optimizer"], row["dropout"]) for row in searched]
    settings = [(int(row["scenario"]), row["backbone"], row["optimizer"], float(row["dropout"])) for row in published]
    return {int(row["scenario"]): float(row["f1"]) for row in published} if run_settings == settings else {}
