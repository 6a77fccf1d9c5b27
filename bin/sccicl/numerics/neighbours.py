"""Nearest neighbours of cells, and their graph."""

import numpy as np
from scipy import sparse

NEIGHBOURS = 15
EXACT_NEIGHBOURS_CELLS = 20_000
SMOOTHING_STEPS = 3


def neighbour_indices(x: np.ndarray, n_neighbours: int) -> np.ndarray:
    """Nearest other cells of each cell, (cells, neighbours); above 20,000 cells found approximately."""
    n_neighbours = min(n_neighbours, len(x) - 1)
    if len(x) > EXACT_NEIGHBOURS_CELLS:
        from pynndescent import NNDescent

        return NNDescent(x, n_neighbors=n_neighbours + 1, random_state=0).neighbor_graph[0][:, 1:]
    from sklearn.neighbors import NearestNeighbors

    return NearestNeighbors(n_neighbors=n_neighbours).fit(x).kneighbors(return_distance=False)


def _towards_neighbours(x: np.ndarray, n_neighbours: int) -> sparse.csr_matrix:
    """1 from each cell to its nearest neighbours, (cells, cells)."""
    indices = neighbour_indices(x, n_neighbours)
    n_cells, width = indices.shape
    rows = np.repeat(np.arange(n_cells), width)
    return sparse.csr_matrix((np.ones(rows.size), (rows, indices.ravel())), shape=(n_cells, n_cells))


def shared_neighbour_graph(x: np.ndarray) -> sparse.csr_matrix:
    """Graph of nearest neighbours weighted by the Jaccard index of the two neighbourhoods, (cells, cells)."""
    near = _towards_neighbours(x, min(NEIGHBOURS, max(5, len(x) // 15))) + sparse.eye(len(x))
    size = near.nnz // len(x)  # of a neighbourhood, the cell itself included
    shared = (near @ near.T).multiply((near + near.T) > 0).tocsr()
    shared.setdiag(0)
    shared.eliminate_zeros()
    shared.data = shared.data / (2 * size - shared.data)
    return shared


def smoothed(x: np.ndarray, graph: sparse.csr_matrix) -> np.ndarray:
    """Cells drawn half of the way to the weighted mean of their neighbours, three times: (cells, features) float32.

    What differs between cells of one type by chance shrinks, what differs between types stays. A cell without a
    neighbour stays where it is.
    """
    degree = np.asarray(graph.sum(1)).ravel()
    step = sparse.diags(np.divide(1, degree, out=np.zeros_like(degree), where=degree > 0)) @ graph
    step += sparse.diags((degree == 0).astype(np.float64))
    for _ in range(SMOOTHING_STEPS):
        x = 0.5 * x + 0.5 * (step @ x)
    return np.ascontiguousarray(x, dtype=np.float32)
