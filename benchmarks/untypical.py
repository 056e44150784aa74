"""How a served model answers pictures that are not photos of its classes.

    python -m benchmarks.untypical --run-dir RUN

For each kind of picture in untypical_pictures.py it prints the AUROC of the typicality against the run's held-out
photos, the share flagged as untypical, and what the scores alone would have said.
"""

import argparse
import io
import pathlib
from collections.abc import Sequence

import numpy as np
from PIL import Image
from sklearn.metrics import roc_auc_score

from benchmarks import untypical_pictures
from components.base import artifacts, settings
from components.publish import push, validate
from pipeline import run_folder

BATCH_SIZE = 16


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run-dir", type=pathlib.Path, required=True, help="Finished run with a pushed model.")
    parser.add_argument("--pictures", type=int, default=40, help="Number of synthetic pictures of each kind.")
    args = parser.parse_args(arguments)
    base = args.run_dir / run_folder.SERVED
    classify = validate.load_signature(base / str(push.versions(base)[-1]))
    rows = artifacts.read_csv(args.run_dir / run_folder.CALIBRATED_PHOTOS)
    held_out = np.array([float(row["typicality"]) for row in rows])
    print(
        "| pictures | number | AUROC | flagged | mean top score | classes in the set |\n|---|---:|---:|---:|---:|---:|"
    )
    print(f"| held-out photos of the run | {len(held_out)} | | {_flagged(held_out):.1%} | | |")
    for kind, pictures in untypical_pictures.pictures(args.pictures).items():
        files = [_jpeg(picture) for picture in pictures]
        answers = [classify(files[start : start + BATCH_SIZE]) for start in range(0, len(files), BATCH_SIZE)]
        typicality, scores, sets = (
            np.concatenate([getattr(answer, name) for answer in answers]) for name in ("typicality", "scores", "in_set")
        )
        is_picture = np.repeat([0, 1], [len(held_out), len(typicality)])
        auroc = roc_auc_score(is_picture, -np.concatenate([held_out, typicality]))
        print(
            f"| {kind} | {len(files)} | {auroc:.4f} | {_flagged(typicality):.1%} | {scores.max(axis=1).mean():.2f} | "
            f"{sets.sum(axis=1).mean():.2f} |",
            flush=True,
        )


def _flagged(typicality: np.ndarray) -> float:
    return float((typicality < settings.UNTYPICAL_BELOW).mean())


def _jpeg(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90)
    return file.getvalue()


if __name__ == "__main__":
    main()
