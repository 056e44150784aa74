import keras
import numpy as np

from components.base import seeds


def test_derived_seeds_of_runs_with_neighbouring_seeds_all_differ():
    """Sums such as seed + fold gave fold 1 of seed 42 the same seed as fold 0 of seed 43."""
    paths = [(kind, number) for kind in (seeds.FOLD, seeds.MEMBER, seeds.LAYER) for number in range(10)]
    derived = {seeds.derive(seed, *path) for seed in range(40, 50) for path in paths}
    assert len(derived) == 10 * len(paths)


def test_derived_seed_depends_only_on_seed_and_path():
    """Finished trials depend on the value, and NumPy guarantees that SeedSequence does not change it."""
    assert seeds.derive(42, seeds.FOLD, 1) == seeds.derive(42, seeds.FOLD, 1) == 1954406354


def test_derived_seed_fits_keras_and_philox():
    derived = [seeds.derive(seed, seeds.FOLD, 0) for seed in (0, 2**31 - 1, 2**40)]
    assert all(0 <= seed < 2**31 for seed in derived)
    for seed in derived:
        keras.initializers.GlorotUniform(seed)((2, 2))
        np.random.Philox(seed)
