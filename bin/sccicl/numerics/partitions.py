"""Partitions of cells: as a matrix, and how much those of the same cells agree."""

from collections.abc import Sequence

import numpy as np
from scipy import sparse


def indicator(labels: np.ndarray, n_clusters: int) -> sparse.csr_matrix:
    """1 where a cell belongs to a cluster, (clusters, cells), float64.

    Parameters
    ----------
    labels
        Cluster 0..n_clusters-1 of each cell, (cells,); a cell of -1 belongs to none.
    """
    inside = np.flatnonzero(labels >= 0)
    return sparse.csr_matrix((np.ones(len(inside)), (labels[inside], inside)), shape=(n_clusters, len(labels)))


def adjusted_rand_indices(partitions: Sequence[np.ndarray]) -> np.ndarray:
    """Adjusted Rand index (Hubert and Arabie 1985) of every pair: (partitions, partitions); the diagonal is 1.

    `partitions` are labels, (cells,) each. All contingency tables are blocks of one product of one-hot matrices. Two
    partitions into one cluster each, or into single cells, agree completely, as in scikit-learn.
    """
    codes = [np.unique(labels, return_inverse=True)[1].ravel() for labels in partitions]
    n_cells, sizes = len(codes[0]), [int(labels.max()) + 1 for labels in codes]
    first = np.concatenate([[0], np.cumsum(sizes)])
    columns = np.stack([labels + start for labels, start in zip(codes, first, strict=False)], 1)
    rows = np.arange(0, columns.size + 1, len(codes))
    one_hot = sparse.csr_matrix((np.ones(columns.size), columns.ravel(), rows), shape=(n_cells, first[-1]))
    counts = (one_hot.T @ one_hot).tocoo()

    def pairs(n: np.ndarray) -> np.ndarray:
        return n * (n - 1) / 2

    owner = np.repeat(np.arange(len(codes)), sizes)
    together = np.zeros((len(codes), len(codes)))
    np.add.at(together, (owner[counts.row], owner[counts.col]), pairs(counts.data))
    # Of a partition with itself: pairs of cells within its clusters
    within = together.diagonal()
    expected = np.outer(within, within) / max(pairs(np.array(n_cells)), 1)
    highest = (within[:, None] + within) / 2
    spread = highest - expected
    return np.divide(
        together - expected, spread, out=np.ones_like(together), where=np.abs(spread) > 1e-9 * (highest + 1)
    )
