import itertools

import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import f1_score

from pipeline.report import max_t

RNG = np.random.default_rng(3)
ACTUAL = RNG.integers(0, 3, 150)
GOOD = np.where(RNG.random(150) < 0.85, ACTUAL, RNG.integers(0, 3, 150))
POOR = np.where(RNG.random(150) < 0.6, ACTUAL, RNG.integers(0, 3, 150))


def macro_f1(predicted):
    return f1_score(ACTUAL, predicted, average="macro")


def accuracy_contributions(first_alone, second_alone, photos=60):
    """Return contributions to the difference of two accuracies, each of which alone is right on some photos."""
    contributions = np.zeros((photos, 1))
    contributions[:first_alone] = 1 / photos
    contributions[first_alone : first_alone + second_alone] = -1 / photos
    return contributions


def test_contributions_add_up_to_the_difference_of_scikit_learns_macro_f1():
    contributions = max_t.pair_contributions(ACTUAL, GOOD, POOR, 3)
    assert contributions.sum() == pytest.approx(macro_f1(GOOD) - macro_f1(POOR))
    np.testing.assert_allclose(max_t.pair_contributions(ACTUAL, POOR, GOOD, 3), -contributions)
    assert not contributions[GOOD == POOR].any()


@pytest.mark.parametrize(("first_alone", "second_alone"), [(13, 2), (9, 1), (5, 0), (8, 7)])
def test_p_of_one_difference_of_accuracies_is_that_of_mcnemars_exact_test(first_alone, second_alone):
    expected = scipy.stats.binomtest(first_alone, first_alone + second_alone).pvalue
    result = max_t.compare(accuracy_contributions(first_alone, second_alone), 60, seed=1)
    assert result.p[0] == pytest.approx(expected, abs=0.005)


def test_p_is_below_5_percent_exactly_if_the_interval_excludes_0(monkeypatch):
    monkeypatch.setattr(max_t, "MORE_SIGN_DRAWS", max_t.SIGN_DRAWS)
    for first_alone, second_alone in itertools.product(range(16), range(3)):
        result = max_t.compare(accuracy_contributions(first_alone, second_alone), 60, seed=1)
        assert (result.p[0] < max_t.SIGNIFICANCE) == (result.low[0] > 0 or result.high[0] < 0)


def test_p_and_interval_of_a_difference_grow_with_the_family():
    alone = max_t.pair_contributions(ACTUAL, GOOD, POOR, 3)[:, None]
    others = RNG.permuted(np.repeat(alone, 40, axis=1), axis=0) * RNG.choice([-1, 1], (150, 40))
    single, family = (max_t.compare(columns, 150, seed=1) for columns in (alone, np.hstack([alone, others])))
    assert single.p[0] < family.p[0] < 41 * single.p[0] + 0.001
    assert family.low[0] < single.low[0] and family.high[0] > single.high[0]
    assert [family.gap[0], single.gap[0]] == pytest.approx([macro_f1(GOOD) - macro_f1(POOR)] * 2)


def test_repeated_difference_does_not_change_p():
    alone = max_t.pair_contributions(ACTUAL, GOOD, POOR, 3)[:, None]
    single, repeated = (max_t.compare(np.repeat(alone, times, axis=1), 150, seed=1) for times in (1, 30))
    assert repeated.p == pytest.approx(single.p[0], abs=2e-5)


def test_equal_answers_have_p_1_and_an_interval_around_0():
    result = max_t.compare(np.zeros((150, 1)), 150, seed=1)
    assert result.p.tolist() == [1.0]
    assert [result.low[0], result.high[0]] == pytest.approx([-1.96 / 150, 1.96 / 150], rel=1e-3)


def test_interval_of_a_difference_stays_within_1():
    result = max_t.compare(accuracy_contributions(35, 0, photos=40), 40, seed=1)
    assert result.low[0] > 0.5 and result.high[0] == 1.0


def test_equally_good_scenarios_rarely_differ_measurably():
    """Of 200 families of 45 pairs, 5 % is 10; 22 or more would have a probability below 0.001."""
    generator, alarms = np.random.default_rng(6), 0
    for _ in range(200):
        hard = generator.random(120) < 0.3
        answers = np.where(hard & (generator.random((10, 120)) < 0.5), 1, 0)
        pairs = itertools.combinations(answers, 2)
        columns = np.stack([(second - first) / 120 for first, second in pairs], axis=1)
        alarms += bool((compare_with_few_draws(columns).p < max_t.SIGNIFICANCE).any())
    assert alarms < 22


def compare_with_few_draws(contributions):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(max_t, "SIGN_DRAWS", 999)
        patch.setattr(max_t, "MORE_SIGN_DRAWS", 999)
        return max_t.compare(contributions, len(contributions), seed=1)


def test_p_close_to_5_percent_gets_more_draws_and_one_verdict_for_all_seeds(monkeypatch):
    """10 against 2 photos have an exact p of 0.039, which 999 draws would put above 0.05 with some seeds."""
    monkeypatch.setattr(max_t, "SIGN_DRAWS", 999)
    monkeypatch.setattr(max_t, "MORE_SIGN_DRAWS", 199_999)
    contributions = accuracy_contributions(10, 2)
    p = [max_t.compare(contributions, 60, seed).p[0] for seed in range(5)]
    assert p == pytest.approx([scipy.stats.binomtest(10, 12).pvalue] * 5, abs=0.003)


def test_large_family_gets_fewer_draws_and_no_second_round(monkeypatch):
    monkeypatch.setattr(max_t, "MAX_PRODUCTS", 12 * 3000)
    results, largest_by_chance = [], max_t.largest_by_chance
    monkeypatch.setattr(
        max_t, "largest_by_chance", lambda *args: results.append(largest_by_chance(*args)) or results[-1]
    )
    max_t.compare(accuracy_contributions(10, 2), 60, seed=1)  # p is close to 0.05
    assert [len(largest) for largest in results] == [3000]
