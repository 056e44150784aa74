"""The files of a trial's folder, trials/NN. Needs no TensorFlow."""

import pathlib

PREDICTIONS = "predictions.csv"  # of all photos, each by the model of the fold that tested it
PROCESSES = "processes.json"  # beside the trials' folders: {"processes": how many train side by side}


def name(number: int) -> str:
    """Return the name of the folder of scenario `number`."""
    return f"{number:02d}"


def path(trials_dir: pathlib.Path, number: int) -> pathlib.Path:
    return trials_dir / name(number)


def fold_predictions(folder: pathlib.Path, fold: int) -> pathlib.Path:
    """Return the path of the predictions of a fold; the fold is finished where the file exists."""
    return folder / f"fold-{fold}.csv"


def fold_history(folder: pathlib.Path, fold: int) -> pathlib.Path:
    """Return the path of {"seconds": time of training, "history": metric -> value after each epoch}."""
    return folder / f"fold-{fold}.json"


def finished_folds(folder: pathlib.Path) -> list[int]:
    """Return the folds of a trial whose predictions are complete."""
    return sorted(int(path.stem.removeprefix("fold-")) for path in folder.glob("fold-*.csv"))


def fold_checkpoint(folder: pathlib.Path, fold: int) -> pathlib.Path:
    """Return the path that the names of a fold's checkpoints begin with, see finetune.fit."""
    return folder / f"fold-{fold}"
