"""The thesis's published F1, for runs of its photos and its 27 scenarios."""

import pathlib

from components.base import artifacts, documents
from pipeline import run_folder

RESULTS = pathlib.Path(__file__).with_name("thesis_results.csv")
PHOTOS = "f510d6ebf216d606"  # digest of the ids, sorted, of the 2,521 photos that its 2,527 files leave


def f1_of_scenarios(run_dir: pathlib.Path, leaderboard: documents.Leaderboard) -> dict[int, float]:
    """Return scenario -> the thesis's F1; empty where photos or searched scenarios are not the thesis's."""
    ids = sorted(row["id"] for row in run_folder.read_rows(run_dir, run_folder.PHOTOS))
    if artifacts.digest(ids) != PHOTOS:
        return {}
    published = artifacts.read_csv(RESULTS)
    theirs = [(int(row["scenario"]), row["backbone"], row["optimizer"], float(row["dropout"])) for row in published]
    ours = [
        (row["scenario"], row["backbone"], row["optimizer"], row["dropout"])
        for row in leaderboard["scenarios"][: len(theirs)]  # refined ones come after these
    ]
    return {int(row["scenario"]): float(row["f1"]) for row in published} if ours == theirs else {}
