"""A pool of partitions of one sample, label-free: the evidence that the first pseudo-labels are drawn from.

No gene set, number of components or cut is right for every data set, and luck decides where two are nearly as good.
What most of them agree on is not luck.
"""

from collections.abc import Iterable

import numpy as np
import torch

from .consensus import consensus
from .cuts import kmeans_cut, mixture_cut, shrunk_to_sphere, ward_cut
from .evidence import Evidence, Representation
from .kmeans import assign, means
from .progress import log

POOL_CELLS = 10_000


def partitions(representations: Iterable[Representation], k: int, seed: int) -> list[np.ndarray]:
    """Every representation cut by K-means, a mixture and Ward linkage into `k` clusters: labels (cells,) each."""
    found = []
    for index, representation in enumerate(representations):
        x, own_seed = representation.scores, seed + index
        found += [kmeans_cut(x, k, own_seed), mixture_cut(x, k, own_seed), ward_cut(x, k)]
    return found


def first_partitions(representations: Iterable[Representation], k: int, seed: int) -> list[np.ndarray]:
    """`partitions`, and K-means nearer to cosine similarity, and into twice as many clusters: labels (cells,) each."""
    found = []
    for index, representation in enumerate(representations):
        x, own_seed = representation.scores, seed + index
        found += partitions([representation], k, own_seed)
        if x.shape[1] == 20:
            found += [kmeans_cut(shrunk_to_sphere(x, power), k, own_seed) for power in (0.5, 1.0)]
        if representation.scaling == "z":
            found.append(kmeans_cut(x, min(2 * k, len(x) - 1), own_seed))
    return found


def consensus_labels(
    evidence: Evidence, k: int, scores: np.ndarray, *, seed: int = 0, quiet: bool = False
) -> np.ndarray:
    """Pseudo-labels (cells,) on which the pool agrees most; k of them, or fewer where fewer can be told apart.

    The consensus of a first pool chooses genes: those that differ most between its clusters make a second pool, and
    both pools together, each with the same weight, make the consensus that counts.

    Of more than 10,000 cells a random 10,000 make the pool; each of the others gets the label whose centroid in
    `scores` is nearest.

    Parameters
    ----------
    evidence
        The cells with all that is known of them.
    scores
        The same cells on principal components, (cells, components).
    """
    n_cells = evidence.n_cells
    if k == 1:
        return np.zeros(n_cells, dtype=np.int64)
    chosen = np.arange(n_cells)
    if n_cells > POOL_CELLS:
        chosen = np.sort(np.random.default_rng(seed).choice(n_cells, POOL_CELLS, replace=False))
        evidence = evidence.subset(chosen)
    first = first_partitions(evidence.representations(seed), k, seed)
    if not quiet:
        log(f"first pool: {len(first)} partitions")
    reselected = evidence.reselected_representations(consensus(first, k, seed=seed), seed)
    second = partitions(reselected, k, seed)
    if not quiet:
        log(f"second pool: {len(second)} partitions of reselected genes")
    weights = [1.0] * len(first) + [len(first) / len(second)] * len(second)
    labels = consensus(first + second, k, weights=weights, seed=seed)
    if n_cells == len(chosen):
        return labels
    x = torch.from_numpy(scores)
    centroids, _ = means(x[chosen], torch.from_numpy(labels), int(labels.max()) + 1)
    everywhere = assign(x, centroids)[0].numpy()
    everywhere[chosen] = labels
    return everywhere
