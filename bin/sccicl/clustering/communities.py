"""Leiden communities of a graph of cells, at a resolution or of a given number."""

import random

import numpy as np
from scipy import sparse

from ..numerics.partitions import indicator

# Resolutions that a number of communities is looked for at.
RESOLUTIONS = np.geomspace(0.005, 50, 100)
ITERATIONS = 3
# Fewer cells, or a smaller share of them, are no community of their own.
MIN_CELLS = 2
MIN_SHARE = 0.003


class Communities:
    """Communities of one graph by the Leiden algorithm (Traag et al. 2019, doi:10.1038/s41598-019-41695-z).

    It looks for the highest modularity: the sum over pairs of cells of one community of w_ij - resolution d_i d_j / 2m,
    with w_ij the weights, d_i their sum for cell i, and m the sum of all edges (Reichardt & Bornholdt 2006). What was
    found at a resolution is kept.

    Parameters
    ----------
    graph
        Symmetric weights, (cells, cells), without a diagonal.
    starts
        Where the search for a number of communities starts, by number: what another graph of the same cells ended with.
        Numbers that are searched for are added.
    """

    def __init__(self, graph: sparse.csr_matrix, *, seed: int = 0, starts: dict[int, int] | None = None):
        import igraph

        self._weights, self._seed = sparse.csr_matrix(graph), seed
        upper = sparse.triu(graph, 1).tocoo()
        self._network = igraph.Graph(n=graph.shape[0], edges=np.stack([upper.row, upper.col], 1).astype(np.int64))
        self._network.es["weight"] = upper.data.tolist()
        self._found: dict[float, np.ndarray] = {}
        self._starts = {} if starts is None else starts

    def at(self, resolution: float) -> np.ndarray:
        """Communities 0.. at a resolution, (cells,)."""
        import igraph

        if resolution not in self._found:
            igraph.set_random_number_generator(random.Random(self._seed))
            found = self._network.community_leiden(
                "modularity", weights="weight", resolution=resolution, n_iterations=ITERATIONS
            )
            self._found[resolution] = np.array(found.membership, dtype=np.int64)
        return self._found[resolution]

    def into(self, k: int) -> np.ndarray | None:
        """Exactly k communities, (cells,); None where the graph has no such partition.

        Of the resolutions with at least k communities the lowest is taken. Small communities, and then the pair with
        most weight between them for their degrees, are merged until k are left.
        """
        high = self._lowest_with(k)
        self._starts[k] = high
        if high == len(RESOLUTIONS):
            return None
        return merged(self._weights, self.at(float(RESOLUTIONS[high])), k)

    def _lowest_with(self, k: int) -> int:
        """Index of the lowest resolution with at least k communities; that after the last where none has so many."""
        low, high = -1, len(RESOLUTIONS)
        # From a start in steps of double length, without one by halves
        middle, step = (min(self._starts[k], high - 1), 1) if k in self._starts else (high // 2, high)
        while high - low > 1:
            if self._n_big(self.at(float(RESOLUTIONS[middle]))) >= k:
                high = middle
            else:
                low = middle
            middle = (low + high) // 2
            if low < 0:
                middle = max(middle, high - step)
            if high == len(RESOLUTIONS):
                middle = min(middle, low + step)
            step *= 2
        return high

    def _n_big(self, labels: np.ndarray) -> int:
        return int((np.bincount(labels) >= max(MIN_CELLS, MIN_SHARE * len(labels))).sum())


def merged(graph: sparse.csr_matrix, labels: np.ndarray, k: int) -> np.ndarray | None:
    """Merge communities until k are left, labels (cells,); None where too few are connected.

    First every community too small to be one joins another, then the pair of highest e_ij / (d_i d_j) is merged: the
    weight between the two, over what their degrees alone would give.
    """
    n = int(labels.max()) + 1
    member = indicator(labels, n)
    between = (member @ graph @ member.T).toarray()
    degree = between.sum(1)
    size = np.bincount(labels, minlength=n).astype(np.float64)
    np.fill_diagonal(between, 0)
    target = np.arange(n)
    for _ in range(n - k):
        density = between / np.maximum(np.outer(degree, degree), 1e-300)
        small = (size > 0) & (size < max(MIN_CELLS, MIN_SHARE * len(labels)))
        if small.any():
            density[~small] = 0
        kept, gone = sorted(divmod(int(density.argmax()), n))
        if density.max() <= 0:
            return None
        for values in (between, between.T):
            values[kept] += values[gone]
            values[gone] = 0
        between[kept, kept] = 0
        for values in (degree, size):
            values[kept] += values[gone]
            values[gone] = 0
        target[target == gone] = kept
    return np.unique(target[labels], return_inverse=True)[1].ravel()
