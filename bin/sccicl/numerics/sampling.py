"""Which cells to look at where looking at all would take too long."""

import numpy as np


def random_sample(n_cells: int, most: int, *, seed: int = 0) -> np.ndarray:
    """Sorted indices of at most `most` of the cells, each as likely as the others."""
    if n_cells <= most:
        return np.arange(n_cells)
    return np.sort(np.random.default_rng(seed).choice(n_cells, most, replace=False))


def balanced_sample(groups: np.ndarray, most: int, *, least: int = 2, seed: int = 0) -> np.ndarray:
    """Sorted indices of at most `most` cells, equally many of each group, all of those that have fewer.

    Parameters
    ----------
    groups
        Group of every cell, (cells,).
    least
        A group keeps this many cells (or all it has), even if that makes the sample bigger.
    """
    import pandas as pd  # a machine that only trains may have none

    if len(groups) <= most:
        return np.arange(len(groups))
    left, share = most, {}
    sizes = pd.Series(groups).value_counts(ascending=True)
    for i, (name, size) in enumerate(sizes.items()):
        share[name] = min(int(size), max(left // (len(sizes) - i), least))
        left -= share[name]
    order = np.random.default_rng(seed).permutation(len(groups))
    shuffled = pd.Series(np.asarray(groups)[order])
    place = shuffled.groupby(shuffled, sort=False).cumcount().to_numpy()
    return np.sort(order[place < shuffled.map(share).to_numpy(dtype=int)])
