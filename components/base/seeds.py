"""Seeds derived from the seed of a run. Unlike sums such as seed + fold, runs with neighbouring seeds share none."""

import numpy as np

# first number of a path: what the derived seed is for
FOLD, MEMBER, LAYER, AUDIT_SPLIT, BACKBONE = range(5)


def derive(seed: int, *path: int) -> int:
    """Return the seed of `path`, in [0, 2**31), which numpy's Philox and Keras with any backend accept.

    It is computed from the first word of numpy's SeedSequence(seed, spawn_key=path).

    Args:
        path: FOLD, MEMBER, LAYER, AUDIT_SPLIT or BACKBONE, then its number, at least 0.
    """
    return int(np.random.SeedSequence(seed, spawn_key=path).generate_state(1)[0]) >> 1
