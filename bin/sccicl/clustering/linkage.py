"""Ward linkage along a graph, and with its preference for even sizes tempered: clusters as unequal as cells allow.

K-means and Ward linkage cut a big cell type in two before they tell a small one apart: what a cut gains grows with the
number of cells on both sides. Often a partition into clusters of unequal size leaves hardly more variance within the
clusters; it is then the likelier one, as a split of one type explains little that is not chance.
"""

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from ..model.kmeans import kmeans
from ..numerics.neighbours import NEIGHBOURS, neighbour_indices, neighbour_matrix

# Exponents of the sizes, from centroid linkage to Ward linkage; the first that explains enough is taken.
EXPONENTS = (0.0, 0.25, 0.5, 0.75, 1.0)
# Of the variance that K-means explains, at most this share may be given up.
TOLERANCE = 0.1
MICRO_PER_CLUSTER = 6
MIN_MICRO = 40
MIN_CELLS_PER_MICRO = 3
# Fewer cells, or a smaller share of them, are no cluster of their own: they join the nearest micro-cluster.
MIN_CELLS = 2
MIN_SHARE = 0.0025


def kmeans_labels(x: np.ndarray, k: int, seed: int, *, n_init: int = 3) -> np.ndarray:
    """K-means: even, round clusters. (cells, features) -> labels (cells,)."""
    return kmeans(torch.from_numpy(np.ascontiguousarray(x, np.float32)), k, seed=seed, n_init=n_init).labels.numpy()


def tempered_ward(x: np.ndarray, k: int, seed: int, *, tolerance: float = TOLERANCE) -> np.ndarray:
    """Cut into k clusters that are as unequal as they can be while they explain the variance: labels (cells,).

    Cells are gathered into micro-clusters, and these are merged by `tempered_linkage`. Of the exponents the smallest is
    taken whose clusters explain at least 1 - `tolerance` of the variance that K-means explains; if none does, the
    clusters are those of K-means.

    Parameters
    ----------
    x
        (cells, features).
    """
    even = kmeans_labels(x, k, seed)
    n_micro = min(max(MICRO_PER_CLUSTER * k, MIN_MICRO), len(x) // MIN_CELLS_PER_MICRO)
    if n_micro <= k:
        return even
    micro = _micro_clusters(x, n_micro, seed)
    size = np.bincount(micro)
    if len(size) < k:
        return even
    centroids = _means(x, micro, size)
    enough = (1 - tolerance) * explained_variance(x, even)
    for exponent in EXPONENTS:
        labels = tempered_linkage(centroids, size, k, exponent)[micro]
        if explained_variance(x, labels) >= enough:
            return labels
    return even


def _micro_clusters(x: np.ndarray, n: int, seed: int) -> np.ndarray:
    micro = np.unique(kmeans_labels(x, n, seed, n_init=2), return_inverse=True)[1].ravel()
    size = np.bincount(micro)
    is_big = size >= max(MIN_CELLS, MIN_SHARE * len(x))
    if is_big.all() or not is_big.any():
        return micro
    centroids = _means(x, micro, size)
    big = np.flatnonzero(is_big)
    target = np.arange(len(size))
    for group in np.flatnonzero(~is_big):
        target[group] = big[np.square(centroids[big] - centroids[group]).sum(1).argmin()]
    return np.unique(target[micro], return_inverse=True)[1].ravel()


def tempered_linkage(centroids: np.ndarray, size: np.ndarray, k: int, exponent: float) -> np.ndarray:
    """Merge the two groups of least cost until k are left: labels (groups,).

    The cost of a merge is (n_i n_j / (n_i + n_j))^exponent |c_i - c_j|^2, that of Ward linkage where the exponent is 1
    (the growth of the squared distances within), that of centroid linkage where it is 0.

    Parameters
    ----------
    centroids
        (groups, features).
    size
        Cells of every group, (groups,).
    """
    centroids, size = centroids.astype(np.float64), size.astype(np.float64)
    labels = np.arange(len(size))
    with np.errstate(divide="ignore"):
        cost = np.stack([_costs(centroids, size, i, exponent) for i in range(len(size))])
    for _ in range(len(size) - k):
        kept, gone = sorted(divmod(int(cost.argmin()), len(size)))
        joint = size[kept] + size[gone]
        centroids[kept] = (size[kept] * centroids[kept] + size[gone] * centroids[gone]) / joint
        size[kept], size[gone] = joint, 0
        labels[labels == gone] = kept
        cost[kept] = cost[:, kept] = _costs(centroids, size, kept, exponent)
        cost[gone] = cost[:, gone] = np.inf
    return np.unique(labels, return_inverse=True)[1].ravel()


def _costs(centroids: np.ndarray, size: np.ndarray, group: int, exponent: float) -> np.ndarray:
    """Cost of merging one group with each of the others, (groups,); infinite for itself and for empty ones."""
    harmonic = size[group] * size / (size[group] + size)
    cost = harmonic**exponent * np.square(centroids - centroids[group]).sum(1)
    cost[size == 0] = np.inf
    cost[group] = np.inf
    return cost


def graph_ward_merges(x: np.ndarray) -> np.ndarray:
    """Ward linkage that merges only neighbours in the graph of the 15 nearest cells: the merges, (cells - 1, 2).

    As in `sklearn.cluster.ward_tree`: a number below the number of cells is a cell, n_cells + i is what merge i made.
    Clusters may be long or bent, as cells are merged along the graph; its parts are merged as if all were neighbours.

    All pairs that are each other's cheapest merge are merged at a time. No merge makes another one cheaper, so the
    tree is that of one merge after the other (Murtagh 1983, doi:10.1093/comjnl/26.4.354), but where a merge makes two
    clusters neighbours that lie nearer than the merged ones.

    Parameters
    ----------
    x
        (cells, features).
    """
    near = neighbour_matrix(neighbour_indices(x, NEIGHBOURS))
    edges = np.stack(sparse.triu(near + near.T, 1).nonzero(), 1)
    centroids, size = x.astype(np.float64), np.ones(len(x))
    node, height = np.arange(len(x)), np.zeros(len(x))
    merges, heights = np.empty((0, 2), dtype=np.int64), np.empty(0)
    while len(size) > 1:
        if not len(edges):
            edges = np.stack(np.triu_indices(len(size), 1), 1)
        pairs, cost = _cheapest_of_both(edges, centroids, size)
        first, second = pairs.T
        # A merge that another one made cheaper comes after it all the same.
        height[first] = np.maximum(cost, height[pairs].max(1))
        merges, heights = np.concatenate([merges, node[pairs]]), np.concatenate([heights, height[first]])
        node[first] = len(x) + np.arange(len(merges) - len(pairs), len(merges))
        both = size[pairs]
        centroids[first] = (both[:, :1] * centroids[first] + both[:, 1:] * centroids[second]) / both.sum(1)[:, None]
        size[first] = both.sum(1)

        target = np.arange(len(size))
        target[second] = first
        is_left = target == np.arange(len(size))
        target = (np.cumsum(is_left) - 1)[target]
        centroids, size, node, height = centroids[is_left], size[is_left], node[is_left], height[is_left]
        edges = np.sort(target[edges], 1)
        edges = np.stack(divmod(np.unique(edges[:, 0] * len(size) + edges[:, 1]), len(size)), 1)
        edges = edges[edges[:, 0] != edges[:, 1]]
    order = np.argsort(heights, kind="stable")
    renumbered = np.concatenate([np.arange(len(x)), len(x) + np.argsort(order)])
    return renumbered[merges[order]]


def _cheapest_of_both(edges: np.ndarray, centroids: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges (edges, 2) that are the cheapest merge of either end, and the cost of each by Ward linkage."""
    first, second = edges.T
    harmonic = size[first] * size[second] / (size[first] + size[second])
    cost = harmonic * np.square(centroids[first] - centroids[second]).sum(1)
    rank = np.empty(len(cost), dtype=np.int64)
    rank[np.argsort(cost, kind="stable")] = np.arange(len(cost))
    best = np.full(len(size), len(cost))
    np.minimum.at(best, first, rank)
    np.minimum.at(best, second, rank)
    chosen = np.flatnonzero((best[first] == rank) & (best[second] == rank))
    return edges[chosen], cost[chosen]


def cut_merges(merges: np.ndarray, k: int) -> np.ndarray:
    """Labels (cells,) 0..k-1 after all but the last k - 1 of the merges of `graph_ward_merges`."""
    n_cells = len(merges) + 1
    done = merges[: n_cells - k]
    made = n_cells + np.repeat(np.arange(len(done)), 2)
    links = sparse.coo_matrix((np.ones(made.size), (done.ravel(), made)), shape=(2 * n_cells, 2 * n_cells))
    parts = connected_components(links, directed=False)[1]
    return np.unique(parts[:n_cells], return_inverse=True)[1].ravel()


def explained_variance(x: np.ndarray, labels: np.ndarray) -> float:
    """Share of the variance that lies between the clusters, 0 to 1; 1 where nothing varies."""
    size = np.bincount(labels)
    between = (size[:, None] * np.square(_means(x, labels, size) - x.mean(0))).sum()
    total = np.square(x - x.mean(0)).sum()
    return float(between / total) if total > 0 else 1.0


def _means(x: np.ndarray, labels: np.ndarray, size: np.ndarray) -> np.ndarray:
    # By column: bincount adds up in the order of the cells as np.add.at does, in a fraction of its time.
    total = np.stack([np.bincount(labels, column, len(size)) for column in x.T], 1)
    return total / np.maximum(size, 1)[:, None]


def shrunk_to_sphere(x: np.ndarray, power: float) -> np.ndarray:
    """Cells with their length raised to 1 - `power`: 0 leaves them, 1 puts them on the sphere (cosine similarity)."""
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.maximum(length / (np.median(length) or 1.0), 1e-3) ** power
