"""A pool of partitions of one sample, label-free: the evidence that the first pseudo-labels are drawn from.

No gene set, number of components or cut is right for every data set, and luck decides where two are nearly as good.
What most of them agree on is not luck.
"""

from collections.abc import Iterable

import numpy as np
import torch

from .components import principal_components
from .consensus import consensus
from .cuts import kmeans_cut, mixture_cut, shrunk_to_sphere, ward_cut
from .evidence import Evidence, View
from .kmeans import assign, means
from .progress import log

POOL_CELLS = 10_000


def partitions(views: Iterable[View], k: int, seed: int) -> list[np.ndarray]:
    """Every view cut in several ways, mostly into `k` clusters: labels (cells,) each."""
    found = []
    for index, view in enumerate(views):
        x, own_seed = view.scores, seed + index
        found += [kmeans_cut(x, k, own_seed), mixture_cut(x, k, own_seed), ward_cut(x, k)]
        if view.name.startswith("reselected"):
            continue
        if x.shape[1] == 20:
            found += [kmeans_cut(shrunk_to_sphere(x, power), k, own_seed) for power in (0.5, 1.0)]
        if " z " in view.name:
            found.append(kmeans_cut(x, min(2 * k, len(x) - 1), own_seed))
    return found


def consensus_labels(x: np.ndarray, evidence: Evidence, k: int, *, seed: int = 0, quiet: bool = False) -> np.ndarray:
    """Pseudo-labels (cells,) on which the pool agrees most; k of them, or fewer where fewer can be told apart.

    The consensus of a first pool chooses genes: those that differ most between its clusters make a second pool, and
    both pools together, each with the same weight, make the consensus that counts.

    Of more than 10,000 cells a random 10,000 make the pool; each of the others gets the label whose centroid on the
    principal components of `x` is nearest.

    Parameters
    ----------
    x
        Prepared cells, (cells, genes).
    evidence
        The same cells with all that is known of them.
    """
    n_cells = evidence.n_cells
    if k == 1:
        return np.zeros(n_cells, dtype=np.int64)
    chosen = np.arange(n_cells)
    if n_cells > POOL_CELLS:
        chosen = np.sort(np.random.default_rng(seed).choice(n_cells, POOL_CELLS, replace=False))
        evidence = evidence.subset(chosen)
    first = partitions(evidence.views(seed), k, seed)
    if not quiet:
        log(f"first pool: {len(first)} partitions")
    second = partitions(evidence.reselected_views(consensus(first, k, seed=seed), seed), k, seed)
    if not quiet:
        log(f"second pool: {len(second)} partitions of reselected genes")
    weights = [1.0] * len(first) + [len(first) / len(second)] * len(second)
    labels = consensus(first + second, k, weights=weights, seed=seed)
    if n_cells == len(chosen):
        return labels
    scores = torch.from_numpy(principal_components(x, 20, seed=seed))
    centroids, _ = means(scores[chosen], torch.from_numpy(labels), int(labels.max()) + 1)
    everywhere = assign(scores, centroids)[0].numpy()
    everywhere[chosen] = labels
    return everywhere
