"""How stable each cluster is when other cells are drawn: the bootstrap of Hennig (2007)."""

import numpy as np

from .linkage import tempered_ward

BOOTSTRAPS = 20
MAX_CELLS = 2_000


def bootstrap_stability(x: np.ndarray, labels: np.ndarray, *, seed: int = 0, n: int = BOOTSTRAPS) -> np.ndarray:
    """Mean over bootstraps of the best Jaccard index of every cluster with one found anew: (clusters,), 0 to 1.

    Cells are drawn with replacement, the drawn ones are cut into as many clusters again, and each cluster meets the new
    one that it shares most cells with. Of Hennig's marks: below 0.6 a cluster should not be trusted, from 0.75 on it is
    a pattern in the data, from 0.85 on it is highly stable. NaN for a cluster of which no cell was ever drawn.

    The cut is made in `x`, not in the embedding that was trained on these clusters: there they would be found again
    whether they are in the data or not.

    Parameters
    ----------
    x
        Cells on principal components, (cells, components).
    labels
        Clusters 0..k-1 of the cells, (cells,).
    """
    k = int(labels.max()) + 1
    rng = np.random.default_rng(seed)
    found = np.full((n, k), np.nan)
    for i in range(n):
        drawn = np.unique(rng.choice(len(x), min(len(x), MAX_CELLS), replace=True))
        again = tempered_ward(x[drawn], min(k, len(drawn)), seed + i)
        found[i] = best_jaccard(labels[drawn], again, k)
    seen = ~np.isnan(found)
    total = np.where(seen, found, 0.0).sum(0)
    return np.divide(total, seen.sum(0), out=np.full(k, np.nan), where=seen.any(0))


def best_jaccard(labels: np.ndarray, others: np.ndarray, k: int) -> np.ndarray:
    """Highest Jaccard index of each cluster 0..k-1 of `labels` with a cluster of `others`; NaN for an empty one."""
    together = np.zeros((k, int(others.max()) + 1))
    np.add.at(together, (labels, others), 1)
    size = together.sum(1)
    either = size[:, None] + together.sum(0) - together
    best = (together / np.maximum(either, 1)).max(1)
    return np.where(size > 0, best, np.nan)
