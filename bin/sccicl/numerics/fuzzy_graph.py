"""The weighted graph of nearest neighbours that UMAP lays out and that scanpy keeps as `connectivities`."""

import numpy as np
from scipy import sparse

from .neighbours import neighbour_matrix

BISECTIONS = 64
# Of the mean distance, the least width of a neighbourhood
LEAST_WIDTH = 1e-3


def neighbour_distances(x: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Euclidean distance of every cell to its neighbours: (cells, features), (cells, neighbours) -> like `indices`."""
    x = np.asarray(x, dtype=np.float64)
    found = np.empty(indices.shape)
    for column in range(indices.shape[1]):  # a copy of all neighbours at once would be many times as large as x
        found[:, column] = np.sqrt(np.square(x - x[indices[:, column]]).sum(1))
    return found


def fuzzy_simplicial_set(indices: np.ndarray, distances: np.ndarray) -> sparse.csr_matrix:
    """Symmetric weights of neighbours, 0 to 1, (cells, cells).

    McInnes et al. 2018 (arXiv:1802.03426), algorithms 2 and 3.

    A cell i gives its neighbours the weights exp(-(d_ij - rho_i) / sigma_i), with rho_i the distance of the nearest
    neighbour that lies elsewhere, and sigma_i such that they add up to log2(neighbours + 1). The weights a and b of
    the two directions of an edge join to a + b - ab.

    Parameters
    ----------
    indices, distances
        Nearest other cells of each cell, (cells, neighbours), and how far they are.
    """
    nearest = np.where(distances > 0, distances, np.inf).min(1)
    nearest[np.isinf(nearest)] = 0
    beyond = np.maximum(distances - nearest[:, None], 0)
    weights = np.exp(-beyond / _widths(beyond, distances, nearest)[:, None])
    graph = neighbour_matrix(indices, weights)
    joined = sparse.csr_matrix(graph + graph.T - graph.multiply(graph.T))
    joined.eliminate_zeros()
    return joined


def _widths(beyond: np.ndarray, distances: np.ndarray, nearest: np.ndarray) -> np.ndarray:
    """Sigma of every cell, (cells,), by bisection."""
    n_neighbours = beyond.shape[1]
    target = np.log2(n_neighbours + 1)
    low, high, width = np.zeros(len(beyond)), np.full(len(beyond), np.inf), np.ones(len(beyond))
    for _ in range(BISECTIONS):
        too_wide = np.exp(-beyond / width[:, None]).sum(1) > target
        high, low = np.where(too_wide, width, high), np.where(too_wide, low, width)
        width = np.where(np.isinf(high), 2 * width, (low + high) / 2)
    # The cell itself counts as one of its neighbours here, at distance 0.
    mean = np.where(nearest > 0, distances.mean(1), distances.mean()) * n_neighbours / (n_neighbours + 1)
    return np.maximum(width, np.maximum(LEAST_WIDTH * mean, np.finfo(np.float64).tiny))
