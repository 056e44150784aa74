"""Simulate the error rates of the report's statistics: `python -m benchmarks.simulated_errors [--run-dir RUN]`.

It draws studies whose truth is known, and applies the report's own functions to them. docs/method.md quotes the
results. With --run-dir, that run's leaderboard is a case too, and its conclusions are computed under other seeds.
"""

import argparse
import dataclasses
import itertools
import pathlib
from collections.abc import Sequence

import numpy as np
import scipy.stats
from sklearn.metrics import f1_score

from components.base import statistics
from pipeline import run_folder
from pipeline.report import comparisons, max_t
from tuner import bbc_cv, predictions

SEED = 1
DRAWS, BOOTSTRAPS = 1_999, 200  # of each simulated study; reports have more
BACKBONES = 3
THESIS_CLASSES = (403, 501, 410, 590, 482, 135)  # photos
# name -> photos of each class, scenarios, accuracy, its spread over the classes (every second scenario is better at
# every second class), and the standard deviations of three sources of error: the photo, the photo for one of three
# backbones, and the photo for one scenario
STUDIES = {
    "18 scenarios, 398 photos, much alike": ((200, 198), 18, 0.96, 0.0, (1.0, 0.35, 0.2)),
    "18 scenarios, 398 photos, less alike": ((200, 198), 18, 0.96, 0.0, (0.5, 0.5, 0.7)),
    "18 scenarios, 600 photos, other strengths": ((100,) * 6, 18, 0.85, 0.1, (1.0, 0.7, 0.35)),
    "27 scenarios, 2,521 photos, much alike": (THESIS_CLASSES, 27, 0.85, 0.0, (1.0, 0.7, 0.35)),
    "27 scenarios, 2,521 photos, less alike": (THESIS_CLASSES, 27, 0.85, 0.0, (0.5, 0.5, 0.7)),
}
SMALL_STUDIES = {
    "9 scenarios, 60 photos": ((10,) * 6, 9, 0.85, 0.0, (1.0, 0.7, 0.35)),
    "18 scenarios, 212 photos, one class of 6": ((60, 50, 40, 36, 20, 6), 18, 0.85, 0.0, (1.0, 0.7, 0.35)),
}
# name -> photos of each class, and the range from which the accuracy is drawn
MATRICES = {
    "200 photos of 2 classes, accuracy 0.995": ((100, 100), (0.995, 0.995)),
    "200 photos of 6 classes, accuracy 0.995": ((34, 34, 33, 33, 33, 33), (0.995, 0.995)),
    "200 photos of 2 classes, accuracy 0.98 to 1": ((100, 100), (0.98, 1.0)),
    "60 photos of 6 classes, accuracy 0.85": ((10,) * 6, (0.85, 0.85)),
    "60 photos of 6 classes, accuracy 0.95": ((10,) * 6, (0.95, 0.95)),
    "60 photos of 6 classes, accuracy 0.8 to 1": ((10,) * 6, (0.8, 1.0)),
    "100 photos of 2 classes, accuracy 0.99": ((50, 50), (0.99, 0.99)),
    "200 photos, one class of 3, accuracy 0.9": ((40, 40, 40, 40, 37, 3), (0.9, 0.9)),
    "398 photos of 2 classes, accuracy 0.96": ((200, 198), (0.96, 0.96)),
}
# name -> photos, and the probabilities that only the first and only the second of two scenarios is right
PAIRS = {
    "200 photos, 0.5 % right only in A": (200, 0.005, 0.0),
    "60 photos, 3 % right only in A": (60, 0.03, 0.0),
    "398 photos, 3 % right only in A, 1 % only in B": (398, 0.03, 0.01),
    "2,521 photos, 4 % right only in A, 2 % only in B": (2521, 0.04, 0.02),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--run-dir", type=pathlib.Path, help="Finished run, to repeat its conclusions under other seeds."
    )
    parser.add_argument("--studies", type=int, default=1000, help="Number of simulated studies per case.")
    parser.add_argument("--matrices", type=int, default=4000, help="Number of simulated confusion matrices per case.")
    parser.add_argument("--seeds", type=int, default=60, help="Number of seeds for the conclusions of the run.")
    args = parser.parse_args()
    report_draws, bbc_cv.BOOTSTRAPS = (max_t.SIGN_DRAWS, max_t.MORE_SIGN_DRAWS), BOOTSTRAPS
    max_t.SIGN_DRAWS = max_t.MORE_SIGN_DRAWS = DRAWS
    print("Studies of equal scenarios with a significant difference (nominal 5 %):")
    for name, case in STUDIES.items():
        print(f"  {name:44} {false_alarms(*case, studies=args.studies):6.1%}", flush=True)
    print("\nF1 of the best scenario minus its true F1, plain and corrected, and intervals that contain the true F1:")
    for name, case in (STUDIES | SMALL_STUDIES).items():
        for better in (0.0, 0.5):
            errors = selection(*case, better, studies=args.studies)
            title = f"{name}, one far better" if better else name
            print("  {:60} {:+.4f}  {:+.4f}  {:6.1%}".format(title, *errors), flush=True)
    print("\nIntervals that contain the true macro F1 (nominal 95 %), and their mean width:")
    for name, (photos, (lowest, highest)) in MATRICES.items():
        chances = [_chances(len(photos), accuracy) for accuracy in np.linspace(lowest, highest, args.matrices)]
        print("  {:44} {:6.1%}   {:.3f}".format(name, *interval_coverage(photos, chances)), flush=True)
    print("\nIntervals of a pair's difference that contain the true difference (nominal 95 %):")
    for name, pair in PAIRS.items():
        print(f"  {name:52} {gap_coverage(*pair, repeats=args.studies):6.1%}", flush=True)
    max_t.SIGN_DRAWS, max_t.MORE_SIGN_DRAWS = report_draws
    if args.run_dir:
        show_run(args.run_dir, args.matrices, args.seeds)


def show_run(run_dir: pathlib.Path, matrices: int, seeds: int) -> None:
    """Print the coverage for a run's winner, and for how many seeds its conclusions are the same."""
    leaderboard = run_folder.read_leaderboard(run_dir)
    winner = leaderboard["winner"]["scenario"]
    rows = {row["scenario"]: np.array(row["confusion_matrix"]) for row in leaderboard["scenarios"]}
    photos = rows[winner].sum(axis=1)
    coverage, width = interval_coverage(photos, [rows[winner] / photos[:, None]] * matrices)
    print(f"  {'winner of ' + run_dir.name:44} {coverage:6.1%}   {width:.3f}")
    answers = {number: predictions.read(run_dir / run_folder.predictions(number)) for number in rows}
    numbers = [winner, *(number for number in answers if number != winner)]
    worse_scenarios = [
        [number for number, row in comparisons.with_winner(numbers, answers, seed).items() if row["told_apart"]]
        for seed in range(seeds)
    ]
    same = sum(numbers == worse_scenarios[0] for numbers in worse_scenarios)
    print(f"\n{run_dir.name}: worse than {winner}: {worse_scenarios[0]}; the same under {same} of {seeds} seeds")


def gap_coverage(photos: int, only_first: float, only_second: float, repeats: int) -> float:
    """Return the share of intervals of a pair's difference in accuracy that contain the true difference."""
    generator, covered = np.random.default_rng(SEED), 0
    for seed in range(repeats):
        first, second, _ = generator.multinomial(photos, [only_first, only_second, 1 - only_first - only_second])
        contributions = np.repeat([1 / photos, -1 / photos], [first, second])[:, None]
        compared = max_t.compare(contributions, photos, seed)
        covered += bool(compared.low[0] <= only_first - only_second <= compared.high[0])
    return covered / repeats


def false_alarms(
    photos: Sequence[int],
    scenarios: int,
    accuracy: float,
    spread: float,
    deviations: tuple[float, float, float],
    studies: int,
) -> float:
    """Return the share of simulated studies of equally good scenarios in which any two differ significantly."""
    generator, alarms = np.random.default_rng(SEED), 0
    for seed in range(studies):
        answers = simulated_study(generator, photos, scenarios, accuracy, spread, deviations)
        pairs = [(first.predicted, second.predicted) for first, second in itertools.combinations(answers, 2)]
        compared = comparisons.compare_rows(answers[0], pairs, seed)
        alarms += bool((compared.p < max_t.SIGNIFICANCE).any())
    return alarms / studies


def selection(
    photos: Sequence[int],
    scenarios: int,
    accuracy: float,
    spread: float,
    deviations: tuple[float, float, float],
    better: float,
    studies: int,
) -> tuple[float, float, float]:
    """Simulate studies of equally good scenarios, of which the first is then made better.

    Args:
        better: share of the first scenario's mistakes that are made right.

    Returns:
        Mean error of the highest F1 and of the corrected F1, where the truth is the mean F1 of the chosen scenario over
        all studies; and the share of the intervals of bbc_cv.correct that contain the truth.
    """
    generator = np.random.default_rng(SEED)
    f1_of_all, corrected = [], []
    for seed in range(studies):
        answers = simulated_study(generator, photos, scenarios, accuracy, spread, deviations)
        actual, predicted = answers[0].actual, np.stack([scenario.predicted for scenario in answers])
        improved = generator.random(len(actual)) < better
        predicted[0, improved] = actual[improved]
        f1_of_all.append([f1_score(actual, row, average="macro") for row in predicted])
        result = bbc_cv.correct(actual, predicted, len(photos), seed)
        assert result  # no two scenarios of these studies give the same answers
        corrected.append(dataclasses.astuple(result))
    of_first, of_others = np.mean(f1_of_all, axis=0)[0], np.mean(f1_of_all, axis=0)[1:].mean()
    truth = np.where(np.argmax(f1_of_all, axis=1) == 0, of_first if better else of_others, of_others)
    f1, low, high = np.transpose(corrected)
    covered = np.mean((low <= truth) & (truth <= high))
    return float((np.max(f1_of_all, axis=1) - truth).mean()), float((f1 - truth).mean()), float(covered)


def simulated_study(
    generator: np.random.Generator,
    photos: Sequence[int],
    scenarios: int,
    accuracy: float,
    spread: float,
    deviations: tuple[float, float, float],
) -> list[predictions.Predictions]:
    """Return the predictions of equally good scenarios, on photos of which some are hard for several of them.

    An answer is wrong if the sum of three normal variables is low: one per photo, one per photo and backbone, and one
    per photo and scenario. Four in five wrong answers are the class that the photo resembles.
    """
    actual, total, classes = np.repeat(np.arange(len(photos)), photos), sum(photos), len(photos)
    of_backbone = np.repeat(generator.standard_normal((BACKBONES, total)), scenarios // BACKBONES, axis=0)
    ease = (
        deviations[0] * generator.standard_normal(total)
        + deviations[1] * of_backbone
        + deviations[2] * generator.standard_normal((scenarios, total))
    )
    sign = (-1) ** (np.arange(scenarios)[:, None] + actual)
    wrong = ease < scipy.stats.norm.ppf(1 - accuracy - sign * spread) * np.linalg.norm(deviations)
    steps = np.where(
        generator.random((scenarios, total)) < 0.8,
        generator.integers(1, classes, total),
        generator.integers(1, classes, (scenarios, total)),
    )
    return [
        predictions.Predictions(
            ids=[],
            classes=[str(number) for number in range(classes)],
            actual=actual,
            predicted=predicted,
            fold=np.zeros(total, np.int64),
            probabilities=np.empty((total, classes)),
        )
        for predicted in np.where(wrong, (actual + steps) % classes, actual)
    ]


def interval_coverage(photos: Sequence[int] | np.ndarray, chances: Sequence[np.ndarray]) -> tuple[float, float]:
    """Return the share of intervals that contain the true macro F1, and their mean width.

    Args:
        chances: for each matrix, the probability of each predicted class by actual class, float64 [classes, classes].
    """
    generator, counts = np.random.default_rng(SEED), np.asarray(photos)
    covered, width = 0, 0.0
    for chance in chances:
        low, high = statistics.interval(np.stack(list(map(generator.multinomial, counts, chance))))
        covered += low <= statistics.macro_f1(chance * counts[:, None]) <= high
        width += high - low
    return covered / len(chances), width / len(chances)


def _chances(classes: int, accuracy: float) -> np.ndarray:
    chances = np.full((classes, classes), (1 - accuracy) / (classes - 1))
    np.fill_diagonal(chances, accuracy)
    return chances


if __name__ == "__main__":
    main()
