"""The tuner: one trial is one scenario with all its folds, trained here or by a process of a pool."""

import concurrent.futures
import functools
import logging
import pathlib
from collections.abc import Callable, Sequence

import keras_tuner
from keras_tuner.engine import trial as trial_module

from components.base import artifacts, metrics
from components.base.errors import NotFiniteError, PilahError
from tuner import folds, hypermodel, oracle, predictions, scenarios, trial_folder, workers
from tuner.study import Study

log = logging.getLogger("pilah")
NO_RETRY = f"{keras_tuner.errors.FailedTrialError.__module__}.{keras_tuner.errors.FailedTrialError.__qualname__}: "
PROGRESS_SECONDS = 0.5  # between looks at how far the processes are


def search(
    study: Study,
    scenario_list: Sequence[scenarios.Scenario],
    trials_dir: pathlib.Path,
    processes: int,
    progress: Callable[[int, int], None],
) -> None:
    """Cross-validate every scenario, each into its own folder of `trials_dir`; folds that are there are kept.

    Args:
        processes: that train side by side; 1 trains in this one.
        progress: called with the folds done and to do; where backbones train, with their epochs.
    """
    for scenario in scenario_list:
        folds.reset_if_settings_changed(study, scenario, trial_folder.path(trials_dir, scenario.number))
    unfinished = [one for one in scenario_list if not folds.all_done(study, one, trials_dir)]
    for backbone in {scenario.backbone for scenario in unfinished if scenario.strategy == "finetune"}:
        study.examples(backbone)  # what all folds read is made once, by all cores
    artifacts.write_json(
        trials_dir / trial_folder.PROCESSES, {"processes": processes}
    )  # for who asks how long it takes
    try:
        if processes == 1:
            CrossValidationTuner(study, scenario_list, trials_dir, progress).search()
            return
        with workers.pool(processes) as executor:
            CrossValidationTuner(study, scenario_list, trials_dir, progress, executor).search()
    except keras_tuner.errors.FatalError as error:
        raise (error.__cause__ or error) from None


class CrossValidationTuner(keras_tuner.Tuner):
    """Scores each scenario by the macro F1 of its confusion matrices summed over the folds.

    With an executor, all scenarios are handed to it at once, so that no process waits for the last fold of another's,
    and a trial waits for its own: whole where heads are trained, whose trace serves all folds, and fold by fold where
    backbones are. Folds are not reported as steps, of which KerasTuner would keep the luckiest.
    """

    def __init__(
        self,
        study: Study,
        scenario_list: Sequence[scenarios.Scenario],
        trials_dir: pathlib.Path,
        progress: Callable[[int, int], None],
        executor: concurrent.futures.Executor | None = None,
    ):
        self.study = study
        self.scenario_list = scenario_list
        self.finetunes = scenario_list[0].strategy == "finetune"
        self.trials_dir = trials_dir
        self.progress = progress
        self.executor = executor
        super().__init__(
            oracle.ScenarioOracle(scenario_list, study.seed),
            None if self.finetunes else functools.partial(_build, study),  # it would build a whole backbone
            directory=str(trials_dir),
            project_name="keras_tuner",
            overwrite=True,
        )
        self.under_way = {scenario.number: self.submit(scenario) for scenario in scenario_list} if executor else {}

    def run_trial(self, trial: keras_tuner.engine.trial.Trial) -> dict[str, float]:
        """Macro F1, precision, recall and accuracy of the trial's scenario over all folds."""
        scenario = self.scenario_list[int(trial.trial_id)]
        folder = trial_folder.path(self.trials_dir, scenario.number)
        try:
            self.train(scenario, folder)
            fold_files = [trial_folder.fold_predictions(folder, fold) for fold in range(self.study.folds)]
            predictions.join(fold_files, self.study.photo_list, folder / trial_folder.PREDICTIONS)
            matrix = predictions.confusion(folder / trial_folder.PREDICTIONS, self.study.photo_list, self.study.classes)
        except NotFiniteError as error:  # another try would end the same
            raise keras_tuner.errors.FailedTrialError(str(error)) from None
        except OSError as error:  # a disk that is full for one scenario is full for all
            raise keras_tuner.errors.FatalError(str(error)) from error
        except concurrent.futures.BrokenExecutor as error:
            raise keras_tuner.errors.FatalError(str(error)) from PilahError(
                "A training worker was killed, most likely for lack of memory. Free some and run the same command "
                "again: finished folds are kept."
            )
        scores = metrics.score(matrix, self.study.classes)
        return {name: getattr(scores, name) for name in ("f1", "precision", "recall", "accuracy")}

    def train(self, scenario: scenarios.Scenario, folder: pathlib.Path) -> None:
        """Have all folds of `scenario` on disk."""
        if not self.executor:
            for fold in range(self.study.folds):
                folds.train(self.study, scenario, [fold], folder, self.report)
                self.report()
            return
        futures = self.under_way.pop(scenario.number, None) or self.submit(scenario)  # none: it has failed before
        while concurrent.futures.wait(futures, PROGRESS_SECONDS).not_done:
            self.report()
        for future in futures:
            future.result()
        self.report()

    def submit(self, scenario: scenarios.Scenario) -> list[concurrent.futures.Future[None]]:
        assert self.executor
        folder = trial_folder.path(self.trials_dir, scenario.number)
        every = range(self.study.folds)
        parts = [[fold] for fold in every] if self.finetunes else [every]
        return [self.executor.submit(folds.train, self.study, scenario, part, folder) for part in parts]

    def report(self) -> None:
        """Tell how far all scenarios are, from what is on disk: a process that trains says nothing."""
        parts = self.study.epochs_of_finetuning if self.finetunes else 1
        folders = [trial_folder.path(self.trials_dir, scenario.number) for scenario in self.scenario_list]
        every = [(folder, fold) for folder in folders for fold in range(self.study.folds)]
        self.progress(sum(folds.epochs_done(folder, fold, parts) for folder, fold in every), len(every) * parts)

    def on_trial_end(self, trial: keras_tuner.engine.trial.Trial) -> None:
        super().on_trial_end(trial)
        if trial.status in (trial_module.TrialStatus.INVALID, trial_module.TrialStatus.FAILED):
            again = "trying once more" if trial.status == trial_module.TrialStatus.INVALID else "given up"
            reason = (trial.message or "its F1 is not a number").strip().splitlines()[-1]
            scenario = self.scenario_list[int(trial.trial_id)]
            log.error("scenario %d failed, %s: %s", scenario.number, again, reason.removeprefix(NO_RETRY))


def _build(study: Study, hyperparameters: keras_tuner.HyperParameters) -> object:
    return hypermodel.build(study, hyperparameters.values)
