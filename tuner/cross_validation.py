"""Cross-validation of the scenarios with KerasTuner: each trial trains all folds of one scenario."""

import concurrent.futures
import contextlib
import logging
import pathlib
from collections.abc import Callable, Sequence

import keras_tuner
from keras_tuner.engine import trial as trial_module

from components.base import artifacts, metrics
from components.base.errors import NotFiniteError, PilahError
from tuner import folds, oracle, predictions, scenarios, tasks, trial_folder, workers
from tuner.study import Study

log = logging.getLogger("pilah")
NO_RETRY = f"{keras_tuner.errors.FailedTrialError.__module__}.{keras_tuner.errors.FailedTrialError.__qualname__}: "


def search(
    study: Study,
    scenario_list: Sequence[scenarios.Scenario],
    trials_dir: pathlib.Path,
    *,
    processes: int,
    progress: Callable[[int, int], None],
    executor: concurrent.futures.Executor | None = None,
) -> None:
    """Cross-validate every scenario, each in its own folder of `trials_dir`; finished folds are kept.

    Args:
        processes: number of processes that train in parallel; 1 trains in this process.
        executor: trains in other processes that see the same folders; by default `processes` on this machine do.
        progress: called with the number of finished folds and their total; epochs instead of folds in fine-tuning.
    """
    folders = {scenario: trial_folder.path(trials_dir, scenario.number) for scenario in scenario_list}
    for scenario, folder in folders.items():
        folds.reset_if_settings_changed(study, scenario, folder)
    unfinished = {s.backbone for s, path in folders.items() if len(trial_folder.finished_folds(path)) < study.folds}
    for backbone in unfinished if scenario_list[0].strategy == "finetune" else ():
        study.examples(backbone, executor)  # compute frozen activations now, while all cores are free
    artifacts.write_json(trials_dir / trial_folder.PROCESSES, {"processes": processes})  # for time estimates
    try:
        with contextlib.ExitStack() as stack:
            if not executor and processes > 1:
                executor = stack.enter_context(workers.pool(processes))
            CrossValidationTuner(study, scenario_list, trials_dir, progress, executor=executor).search()
    except keras_tuner.errors.FatalError as error:
        raise (error.__cause__ or error) from None


class CrossValidationTuner(keras_tuner.Tuner):
    """Scores each scenario by the macro F1 of its confusion matrix summed over the folds.

    With an executor, all scenarios are submitted at once, so that no process is idle while another one trains the last
    fold of a scenario. A task is a single fold in fine-tuning. For heads it is a whole scenario, whose folds share one
    compiled training step. Folds are not reported to KerasTuner as steps, because it would score a scenario by its best
    step.
    """

    def __init__(
        self,
        study: Study,
        scenario_list: Sequence[scenarios.Scenario],
        trials_dir: pathlib.Path,
        progress: Callable[[int, int], None],
        *,
        executor: concurrent.futures.Executor | None = None,
    ):
        self.study = study
        self.scenario_list = scenario_list
        self.finetunes = scenario_list[0].strategy == "finetune"
        self.trials_dir = trials_dir
        self.progress = progress
        self.executor = executor
        super().__init__(  # without a hypermodel, because KerasTuner would build a model that no trial uses
            oracle.ScenarioOracle(scenario_list, study.seed),
            directory=str(trials_dir),
            project_name="keras_tuner",
            overwrite=True,
        )
        self.futures = {scenario.number: self.submit(scenario) for scenario in scenario_list} if executor else {}

    def run_trial(self, trial: keras_tuner.engine.trial.Trial) -> dict[str, float]:
        """Return macro F1, precision, recall and accuracy of the trial's scenario over all folds."""
        scenario = self.scenario_list[int(trial.trial_id)]
        folder = trial_folder.path(self.trials_dir, scenario.number)
        try:
            self.train(scenario, folder)
            fold_files = [trial_folder.fold_predictions(folder, fold) for fold in range(self.study.folds)]
            predictions.join(fold_files, self.study.photo_list, folder / trial_folder.PREDICTIONS)
            matrix = predictions.confusion(folder / trial_folder.PREDICTIONS, self.study.photo_list, self.study.classes)
        except NotFiniteError as error:  # a retry would fail again
            raise keras_tuner.errors.FailedTrialError(str(error)) from None
        except OSError as error:  # such as a full disk, which affects all scenarios
            raise keras_tuner.errors.FatalError(str(error)) from error
        except concurrent.futures.BrokenExecutor as error:
            killed = PilahError(
                "A training worker was killed, most likely for lack of memory. Free some and run the same command "
                "again: finished folds are kept."
            )
            raise keras_tuner.errors.FatalError(str(error)) from (error if isinstance(error, PilahError) else killed)
        scores = metrics.score(matrix, self.study.classes)
        return {name: getattr(scores, name) for name in ("f1", "precision", "recall", "accuracy")}

    def train(self, scenario: scenarios.Scenario, folder: pathlib.Path) -> None:
        """Train all folds of `scenario` that are not finished, here or in the executor, and wait for them."""
        if not self.executor:
            for fold in range(self.study.folds):
                folds.train(self.study, scenario, [fold], folder, on_epoch=self.update_progress)
                self.update_progress()
            return
        futures = self.futures.pop(scenario.number, None) or self.submit(scenario)  # on a retry, submit again
        while concurrent.futures.wait(futures, tasks.PROGRESS_SECONDS).not_done:
            self.update_progress()
        for future in futures:
            future.result()
        self.update_progress()

    def submit(self, scenario: scenarios.Scenario) -> list[concurrent.futures.Future[None]]:
        """Submit the folds of `scenario` to the executor: one task per fold in fine-tuning, otherwise a single task."""
        assert self.executor
        folder, all_folds = trial_folder.path(self.trials_dir, scenario.number), range(self.study.folds)
        parts = [[fold] for fold in all_folds] if self.finetunes else [all_folds]
        return [self.executor.submit(folds.train, self.study, scenario, part, folder) for part in parts]

    def update_progress(self) -> None:
        """Report the progress of all scenarios from the files on disk, because other processes do not report theirs."""
        epochs = self.study.epochs_of_finetuning if self.finetunes else 1
        folders = [trial_folder.path(self.trials_dir, scenario.number) for scenario in self.scenario_list]
        done = [folds.epochs_done(folder, fold, epochs) for folder in folders for fold in range(self.study.folds)]
        self.progress(sum(done), len(done) * epochs)

    def on_trial_end(self, trial: keras_tuner.engine.trial.Trial) -> None:
        """Log why a trial failed, and whether it is retried."""
        super().on_trial_end(trial)
        if trial.status in (trial_module.TrialStatus.INVALID, trial_module.TrialStatus.FAILED):
            consequence = "trying once more" if trial.status == trial_module.TrialStatus.INVALID else "given up"
            reason = (trial.message or "its F1 is not a number").strip().splitlines()[-1]
            number = self.scenario_list[int(trial.trial_id)].number
            log.error("scenario %d failed, %s: %s", number, consequence, reason.removeprefix(NO_RETRY))
