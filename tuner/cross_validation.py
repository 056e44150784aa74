"""The tuner: one trial is one scenario with all its folds, each on disk before the next one starts."""

import dataclasses
import functools
import logging
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras_tuner
import numpy as np
from keras_tuner.engine import trial as trial_module

from components import artifacts, features, head, metrics, photos
from tuner import hypermodel, oracle, predictions, scenarios

log = logging.getLogger("pilah")


@dataclasses.dataclass(frozen=True)
class Study:
    """What all scenarios share: the photos with their folds, the features, and how heads are trained.

    Attributes:
        photo_list: the photos, in the order of the features.
        classes: class names in class order.
        features_dir: the folder that holds a folder of features a backbone.
        views: number of augmented views to train on.
        seed: of first weights, dropout and the order of photos; a fold starts alike in every scenario.
    """

    photo_list: Sequence[photos.Photo]
    classes: Sequence[str]
    folds: int
    features_dir: pathlib.Path
    views: int
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    seed: int

    @functools.cached_property
    def labels(self) -> np.ndarray:
        """int64 [photos], in [0, classes)."""
        number = {name: index for index, name in enumerate(self.classes)}
        return np.array([number[photo.label] for photo in self.photo_list], np.int64)

    @functools.cached_property
    def fold_of(self) -> np.ndarray:
        """int64 [photos], in [0, folds)."""
        return np.array([photo.fold for photo in self.photo_list], np.int64)

    def settings(self, scenario: scenarios.Scenario) -> dict[str, Any]:
        """Everything that the predictions of `scenario` depend on."""
        return {
            "backbone": scenario.backbone,
            "optimizer": scenario.optimizer,
            "dropout": scenario.dropout,
            "weight_decay": self.weight_decay if scenario.optimizer == "AdamW" else 0.0,
            "learning_rate": self.learning_rate,
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "views": self.views,
            "seed": self.seed,
            "photos": artifacts.digest([[photo.id, photo.label, photo.fold] for photo in self.photo_list]),
            "features": artifacts.read_json(self.features_dir / scenario.backbone / "settings.json"),
        }


def search(
    study: Study,
    scenario_list: Sequence[scenarios.Scenario],
    trials_dir: pathlib.Path,
    progress: Callable[[int, int], None],
) -> None:
    """Cross-validate every scenario, each into its own folder of `trials_dir`; folds that are there are kept."""
    try:
        CrossValidationTuner(study, scenario_list, trials_dir, progress).search()
    except keras_tuner.errors.FatalError as error:
        raise (error.__cause__ or error) from None


class CrossValidationTuner(keras_tuner.Tuner):
    """Scores each scenario by the macro F1 of its confusion matrices summed over the folds.

    A fold whose file is on disk is not trained again. Folds are not reported as steps, of which KerasTuner would
    keep the luckiest.
    """

    def __init__(
        self,
        study: Study,
        scenario_list: Sequence[scenarios.Scenario],
        trials_dir: pathlib.Path,
        progress: Callable[[int, int], None],
    ):
        self.study = study
        self.scenario_list = scenario_list
        self.trials_dir = trials_dir
        self.progress = progress
        self.folds_done = 0
        self._activations: tuple[str, np.ndarray] | None = None  # of the last backbone: one at a time in memory
        super().__init__(
            oracle.ScenarioOracle(scenario_list, study.seed),
            functools.partial(
                hypermodel.build,
                channels={name: channels(study.features_dir, name) for name in {s.backbone for s in scenario_list}},
                classes=len(study.classes),
                learning_rate=study.learning_rate,
                weight_decay=study.weight_decay,
                seed=study.seed,
            ),
            directory=str(trials_dir),
            project_name="keras_tuner",
            overwrite=True,
        )

    def run_trial(self, trial: keras_tuner.engine.trial.Trial) -> dict[str, float]:
        """Macro F1, precision, recall and accuracy of the trial's scenario over all folds."""
        scenario = self.scenario_list[int(trial.trial_id)]
        folder = trial_folder(self.trials_dir, scenario.number)
        self.folds_done = (scenario.number - 1) * self.study.folds
        try:
            artifacts.claim(folder, self.study.settings(scenario))
            for fold in range(self.study.folds):
                if not fold_path(folder, fold).exists():
                    self.run_fold(trial.hyperparameters, scenario, fold, folder)
                self.folds_done += 1
                self.progress(self.folds_done, len(self.scenario_list) * self.study.folds)
            fold_files = [fold_path(folder, fold) for fold in range(self.study.folds)]
            predictions.join(fold_files, self.study.photo_list, folder / "predictions.csv")
        except OSError as error:  # a disk that is full for one scenario is full for all
            raise keras_tuner.errors.FatalError(str(error)) from error
        matrix = predictions.confusion(folder / "predictions.csv", self.study.classes)
        scores = metrics.score(matrix, self.study.classes)
        return {name: getattr(scores, name) for name in ("f1", "precision", "recall", "accuracy")}

    def run_fold(
        self,
        hyperparameters: keras_tuner.HyperParameters,
        scenario: scenarios.Scenario,
        fold: int,
        folder: pathlib.Path,
    ) -> None:
        """Train a new head on the other folds and write what it says of `fold`."""
        started = time.monotonic()
        activations = self.activations(scenario.backbone)
        train, test = np.flatnonzero(self.study.fold_of != fold), np.flatnonzero(self.study.fold_of == fold)
        model = self.hypermodel.build(hyperparameters)
        history = head.fit(
            model,
            activations,
            self.study.labels,
            train,
            self.study.epochs,
            self.study.batch_size,
            seed=self.study.seed + fold,
        )
        probabilities = head.predict(model, activations[0][test])
        artifacts.write_json(
            folder / f"fold-{fold}.json", {"seconds": round(time.monotonic() - started, 3), "history": history}
        )
        tested = [self.study.photo_list[row] for row in test.tolist()]
        predictions.write(fold_path(folder, fold), tested, probabilities, self.study.classes)

    def activations(self, backbone: str) -> np.ndarray:
        """All views of the backbone's features: float32 [views + 1, photos, channels]."""
        if self._activations is None or self._activations[0] != backbone:
            self._activations = (backbone, features.load(self.study.features_dir / backbone, self.study.views))
        return self._activations[1]

    def on_trial_end(self, trial: keras_tuner.engine.trial.Trial) -> None:
        super().on_trial_end(trial)
        if trial.status in (trial_module.TrialStatus.INVALID, trial_module.TrialStatus.FAILED):
            again = "trying once more" if trial.status == trial_module.TrialStatus.INVALID else "given up"
            reason = (trial.message or "its F1 is not a number").strip().splitlines()[-1]
            log.error("scenario %s failed, %s: %s", int(trial.trial_id) + 1, again, reason)


def channels(features_dir: pathlib.Path, backbone: str) -> int:
    """The width of a backbone's features."""
    return int(np.load(features.view_path(features_dir / backbone, 0), mmap_mode="r").shape[1])


def trial_folder(trials_dir: pathlib.Path, number: int) -> pathlib.Path:
    return trials_dir / f"{number:02d}"


def fold_path(folder: pathlib.Path, fold: int) -> pathlib.Path:
    return folder / f"fold-{fold}.csv"
