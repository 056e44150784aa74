"""The files in the folder of a trial, trials/NN. Needs no TensorFlow.

File names count folds from 1; the functions here take and return folds in [0, folds).
"""

import pathlib

PREDICTIONS = "predictions.csv"  # out-of-fold predictions of all photos
PROCESSES = "processes.json"  # {"processes": number of parallel processes}, in trials/


def name(number: int) -> str:
    """Return the name of the folder of scenario `number`."""
    return f"{number:02d}"


def path(trials_dir: pathlib.Path, number: int) -> pathlib.Path:
    return trials_dir / name(number)


def fold_predictions(folder: pathlib.Path, fold: int) -> pathlib.Path:
    """Return the path of a fold's predictions; the fold is finished if this file exists."""
    return folder / f"fold-{fold + 1}.csv"


def fold_history(folder: pathlib.Path, fold: int) -> pathlib.Path:
    """Return the path of {"seconds": training time, "history": {metric: [value after each epoch]}}."""
    return folder / f"fold-{fold + 1}.json"


def finished_folds(folder: pathlib.Path) -> list[int]:
    """Return the finished folds of a trial."""
    return sorted(int(path.stem.removeprefix("fold-")) - 1 for path in folder.glob("fold-*.csv"))


def fold_checkpoint(folder: pathlib.Path, fold: int) -> pathlib.Path:
    """Return the path prefix of a fold's checkpoints, see finetuning.fit."""
    return folder / f"fold-{fold + 1}"


def fold_embedding(folder: pathlib.Path, fold: int) -> pathlib.Path:
    """Return the path of the embedding of all photos by a fold's model, if it trains the whole backbone."""
    return folder / f"fold-{fold + 1}-embedding.npy"
