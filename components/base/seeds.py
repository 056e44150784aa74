"""Seeds derived from the seed of a run. Two runs share none, as they would with sums: 42 + 1 is the next run's seed."""

import numpy as np

# first number of a path: what the derived seed is for
FOLD, MEMBER, LAYER = range(3)


def derive(seed: int, *path: int) -> int:
    """Return the seed of `path`, in [0, 2**31), which numpy's Philox and Keras with any backend accept.

    It is from the first word of numpy's SeedSequence(seed, spawn_key=path).

    Args:
        path: FOLD, MEMBER or LAYER, then the number of the fold, member or layer, at least 0.
    """
    return int(np.random.SeedSequence(seed, spawn_key=path).generate_state(1)[0]) >> 1
