"""Cross-validation of the scenarios with KerasTuner: each trial trains all folds of one scenario."""

import collections
import concurrent.futures
import contextlib
import itertools
import logging
import pathlib
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence

import keras_tuner
import sklearn.exceptions
from keras_tuner.engine import trial as trial_module

from components.base import artifacts, metrics
from components.base.errors import NotFiniteError, PilahError
from tuner import folds, oracle, predictions, scenarios, search_space, tasks, trial_folder, workers
from tuner.search_space import SearchSpace
from tuner.study import Study

log = logging.getLogger("pilah")
# Number of trials of a search space in training while the oracle chooses the next one. It does not depend on the number
# of processes: the choice depends on the results that are known by then, and must be the same on each machine.
TRIALS_AHEAD = 4
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
        study.covariance_activations(executor)
    with _training(trials_dir, processes, executor) as running:
        CrossValidationTuner(study, scenario_list, trials_dir, progress, executor=running).search()


def search_in_space(
    study: Study,
    space: SearchSpace,
    trials_dir: pathlib.Path,
    *,
    processes: int,
    progress: Callable[[int, int], None],
    executor: concurrent.futures.Executor | None = None,
) -> None:
    """Cross-validate the scenarios that KerasTuner's oracle chooses in `space`. Other arguments are as in `search`.

    search_space.read returns them. An interrupted search starts with its first trial, and the oracle chooses the same
    scenarios again from the scores of finished folds.
    """
    known = {trial["scenario"]["number"] for trial in search_space.read(trials_dir, space)}
    for number in {*range(1, space.trials + 1)} - known:  # trials of another space
        shutil.rmtree(trial_folder.path(trials_dir, number), ignore_errors=True)
    with _training(trials_dir, processes, executor) as running:
        tuner = CrossValidationTuner(study, (), trials_dir, progress, space=space, executor=running)
        tuner.search()
    chosen = len(tuner.oracle.trials)
    if chosen < space.trials:
        search_space.note_end(trials_dir, space, chosen)
        log.warning("the search space has only %d combinations, fewer than the %d trials", chosen, space.trials)
    if max(trial["scenario"]["epochs"] for trial in search_space.read(trials_dir, space)) < space.epochs:
        log.warning(
            "no trial of --oracle hyperband was trained for all %d epochs: give more --trials or other --epochs, or "
            "choose another --oracle",
            space.epochs,
        )


@contextlib.contextmanager
def _training(
    trials_dir: pathlib.Path, processes: int, executor: concurrent.futures.Executor | None
) -> Iterator[concurrent.futures.Executor | None]:
    """Yield the executor that trains, None for this process, and raise the cause of an error that ends a search."""
    artifacts.write_json(trials_dir / trial_folder.PROCESSES, {"processes": processes})  # for time estimates
    try:
        with contextlib.ExitStack() as stack:
            if not executor and processes > 1:
                executor = stack.enter_context(workers.pool(processes))
            yield executor
    except keras_tuner.errors.FatalError as error:
        raise (error.__cause__ or error) from None


class CrossValidationTuner(keras_tuner.Tuner):
    """Scores each scenario by the macro F1 of its confusion matrix summed over the folds.

    With an executor, several trials are in training at once, so that no process is idle while another one trains the
    last fold of a scenario: all of them if the scenarios are listed, TRIALS_AHEAD if the oracle chooses them by earlier
    scores. Scores are reported to it in the order of the trials. A task is a single fold in fine-tuning. For heads it
    is a whole scenario, whose folds share one compiled training step. Folds are not reported to KerasTuner as steps,
    because it would score a scenario by its best step.

    Attributes:
        scenario_list: the scenarios; empty with a search space.
        space: the space in which KerasTuner's oracle chooses scenarios; None for listed scenarios.
    """

    def __init__(
        self,
        study: Study,
        scenario_list: Sequence[scenarios.Scenario],
        trials_dir: pathlib.Path,
        progress: Callable[[int, int], None],
        *,
        space: SearchSpace | None = None,
        executor: concurrent.futures.Executor | None = None,
    ):
        self.study = study
        self.scenario_list = scenario_list
        self.space = space
        self.numbers = range(1, space.trials + 1) if space else [scenario.number for scenario in scenario_list]
        self.finetunes = not space and scenario_list[0].strategy == "finetune"
        self.trials_dir = trials_dir
        self.progress = progress
        self.executor = executor
        super().__init__(  # without a hypermodel, because KerasTuner would build a model that no trial uses
            oracle.of_space(space) if space else oracle.ScenarioOracle(scenario_list, study.seed),
            directory=str(trials_dir),
            project_name="keras_tuner",
            overwrite=True,
        )
        self.futures: dict[int, list[concurrent.futures.Future[None]]] = {}
        self.epochs_done: dict[int, int] = {}  # number of a scenario -> its finished folds or epochs

    def search(self) -> None:
        """Train the scenarios that the oracle chooses, several at once, until it chooses no more."""
        ahead = TRIALS_AHEAD if self.space else len(self.scenario_list)
        in_training: collections.deque[keras_tuner.engine.trial.Trial] = collections.deque()
        for place in itertools.count():
            trial = self.create_trial(place) if len(in_training) < ahead else None
            if trial and trial.status == trial_module.TrialStatus.RUNNING:
                self.start(self.scenario_of(trial))
                if trial.message:  # of its failure: the retry is next, so that scores stay in the order of the trials
                    in_training.appendleft(trial)
                else:
                    in_training.append(trial)
            elif in_training:  # as many as may be at once, or the oracle waits for scores
                oldest = in_training.popleft()
                self._try_run_and_update_trial(oldest)
                self.on_trial_end(oldest)
            else:
                return

    def create_trial(self, place: int) -> keras_tuner.engine.trial.Trial:
        """Return the oracle's next trial, for a tuner of its own: the oracle gives each tuner one trial at a time."""
        with warnings.catch_warnings():  # the Gaussian process still chooses a trial
            warnings.simplefilter("ignore", sklearn.exceptions.ConvergenceWarning)
            return self.oracle.create_trial(f"{self.tuner_id}-{place}")

    def scenario_of(self, trial: keras_tuner.engine.trial.Trial) -> scenarios.Scenario:
        """Return the scenario that `trial` trains."""
        if self.space:
            return search_space.scenario(self.space, int(trial.trial_id) + 1, trial.hyperparameters.values)
        return self.scenario_list[int(trial.trial_id)]

    def start(self, scenario: scenarios.Scenario) -> None:
        """Note a scenario that the oracle has chosen, and submit it to the executor if there is one."""
        if self.space:
            folds.reset_if_settings_changed(self.study, scenario, trial_folder.path(self.trials_dir, scenario.number))
            search_space.note(self.trials_dir, self.space, scenario)
        if self.executor:
            self.futures[scenario.number] = self.submit(scenario)

    def run_trial(self, trial: keras_tuner.engine.trial.Trial) -> dict[str, float]:
        """Return macro F1, precision, recall and accuracy of the trial's scenario over all folds."""
        scenario = self.scenario_of(trial)
        folder = trial_folder.path(self.trials_dir, scenario.number)
        try:
            self.train(scenario, folder)
            fold_files = [trial_folder.fold_predictions(folder, fold) for fold in range(self.study.folds)]
            predictions.join(fold_files, self.study.photo_list, folder / trial_folder.PREDICTIONS)
            matrix = predictions.confusion(folder / trial_folder.PREDICTIONS, self.study.photo_list, self.study.classes)
        except NotFiniteError as error:  # a retry would fail again
            if self.space:
                search_space.note(self.trials_dir, self.space, scenario, failure=str(error))
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
        futures = self.futures.pop(scenario.number)
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
        chosen = len(self.oracle.trials)  # of a search space; looking for the folds of all others would take hours
        for number in self.numbers[:chosen] if self.space else self.numbers:
            if self.epochs_done.get(number) != self.study.folds * epochs:
                folder, all_folds = trial_folder.path(self.trials_dir, number), range(self.study.folds)
                self.epochs_done[number] = sum(folds.epochs_done(folder, fold, epochs) for fold in all_folds)
        self.progress(sum(self.epochs_done.values()), len(self.numbers) * self.study.folds * epochs)

    def on_trial_end(self, trial: keras_tuner.engine.trial.Trial) -> None:
        """Log why a trial failed, and whether it is retried."""
        super().on_trial_end(trial)
        if trial.status in (trial_module.TrialStatus.INVALID, trial_module.TrialStatus.FAILED):
            consequence = "trying once more" if trial.status == trial_module.TrialStatus.INVALID else "given up"
            reason = (trial.message or "its F1 is not a number").strip().splitlines()[-1]
            number = self.scenario_of(trial).number
            log.error("scenario %d failed, %s: %s", number, consequence, reason.removeprefix(NO_RETRY))
