"""Consensus of many partitions: evidence accumulation (Fred and Jain 2005) with average linkage.

Cells that many partitions put together belong together. Average linkage does not even out the sizes of clusters, as
K-means does. Cells are first gathered into micro-clusters, so that time and memory are linear in the cells.
"""

import numpy as np
import torch

from .kmeans import kmeans

MICRO_CLUSTERS = 800
MICRO_COMPONENTS = 40
# A cell alone, or a smaller share of the cells, is no cluster of its own: they join the one they are most often with.
MIN_CELLS = 2
MIN_SHARE = 0.0025


def consensus(partitions: list[np.ndarray], k: int, *, weights: list[float] | None = None, seed: int = 0) -> np.ndarray:
    """Labels (cells,) 0..k-1 on which the partitions agree most.

    Parameters
    ----------
    partitions
        Labels (cells,) of each partition, with any number of clusters.
    k
        Number of clusters; fewer come out only where the partitions tell fewer cells apart.
    weights
        Weight of each partition, (partitions,); 1 by default.
    """
    weights = np.ones(len(partitions)) if weights is None else np.asarray(weights, dtype=np.float64)
    # The root, as the products of these rows are the weighted shares of the partitions.
    together = np.concatenate(
        [_one_hot(p) * np.float32(w**0.5) for p, w in zip(partitions, weights, strict=True)], axis=1
    )
    micro = _micro_clusters(together, partitions, seed)
    size = np.bincount(micro).astype(np.float64)
    profile = np.zeros((len(size), together.shape[1]))
    np.add.at(profile, micro, together)
    profile /= size[:, None]
    similarity = profile @ profile.T / weights.sum()
    min_size = max(MIN_CELLS, MIN_SHARE * len(micro))
    return average_linkage(similarity, size, k, min_size)[micro]


def _one_hot(labels: np.ndarray) -> np.ndarray:
    return np.eye(labels.max() + 1, dtype=np.float32)[labels]


def _micro_clusters(together: np.ndarray, partitions: list[np.ndarray], seed: int) -> np.ndarray:
    """Cells that all partitions treat alike, or K-means of the one-hot rows where there are too many such groups."""
    micro = np.unique(np.stack(partitions, 1), axis=0, return_inverse=True)[1].ravel()
    if micro.max() < MICRO_CLUSTERS:
        return micro
    centred = torch.from_numpy(together - together.mean(0))
    _, vectors = torch.linalg.eigh(centred.T @ centred)
    x = centred @ vectors[:, -MICRO_COMPONENTS:]
    # Random cells to start from do: the groups are many and small, and k-means++ would take longer than the rest.
    start = np.random.default_rng(seed).choice(len(x), MICRO_CLUSTERS, replace=False)
    found = kmeans(x, MICRO_CLUSTERS, init=x[start], max_iter=15).labels
    return np.unique(found.numpy(), return_inverse=True)[1].ravel()


def average_linkage(similarity: np.ndarray, size: np.ndarray, k: int, min_size: float = 0) -> np.ndarray:
    """Merge the most similar two groups until `k` groups of at least `min_size` cells are left: labels (groups,).

    Smaller groups do not count towards `k`, or a few odd cells would be all the clusters; each joins the big group that
    it is most similar to. Where there never are `k` big groups, all groups count.

    Parameters
    ----------
    similarity
        Mean similarity of the members of every two groups, (groups, groups).
    size
        Cells of every group, (groups,).
    """
    merges, n_big = _merge_all(similarity, size, min_size)
    enough = np.flatnonzero(n_big >= k)
    n_merges = enough[-1] if len(enough) else max(len(size) - k, 0)
    labels = np.arange(len(size))
    for kept, gone in merges[:n_merges]:
        labels[labels == gone] = kept
    labels = np.unique(labels, return_inverse=True)[1].ravel()
    return _absorb_small(similarity, size, labels, min_size) if len(enough) else labels


def _merge_all(similarity: np.ndarray, size: np.ndarray, min_size: float) -> tuple[list[tuple[int, int]], np.ndarray]:
    """All merges (kept, gone) of average linkage in order, and the number of big groups before and after each."""
    s, weight = similarity.astype(np.float64), size.astype(np.float64)
    np.fill_diagonal(s, -np.inf)
    # The best partner of each group is kept, so that a merge looks again only at the groups whose partner has changed.
    best = s.argmax(1)
    value = s[np.arange(len(s)), best]
    merges, n_big = [], [int((weight >= min_size).sum())]
    for _ in range(len(s) - 1):
        kept = int(value.argmax())
        gone = int(best[kept])
        big_before = int(weight[kept] >= min_size) + int(weight[gone] >= min_size)
        joint = (weight[kept] * s[kept] + weight[gone] * s[gone]) / (weight[kept] + weight[gone])
        joint[[kept, gone]] = -np.inf
        s[kept], s[:, kept] = joint, joint
        s[gone], s[:, gone] = -np.inf, -np.inf
        weight[kept] += weight[gone]
        merges.append((kept, gone))
        n_big.append(n_big[-1] - big_before + int(weight[kept] >= min_size))
        value[gone] = -np.inf
        stale = np.isfinite(value) & ((best == kept) | (best == gone))
        stale[kept] = True
        best[stale] = s[stale].argmax(1)
        value[stale] = s[stale, best[stale]]
        closer = np.isfinite(value) & (joint > value)
        best[closer], value[closer] = kept, joint[closer]
    return merges, np.array(n_big)


def _absorb_small(similarity: np.ndarray, size: np.ndarray, labels: np.ndarray, min_size: float) -> np.ndarray:
    """Give every group below `min_size` to the big one with the highest mean similarity."""
    member = _one_hot(labels) * size[:, None]
    total = member.sum(0)
    between = (member.T @ similarity @ member) / np.outer(total, total)
    big = np.flatnonzero(total >= min_size)
    target = big[between[:, big].argmax(1)]
    target[big] = big
    return np.unique(target[labels], return_inverse=True)[1].ravel()
