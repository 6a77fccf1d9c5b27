"""Ways to cut an embedding into a given number of clusters. They fail on different data, so the pool uses them all."""

import warnings

import numpy as np
import torch
from scipy import sparse

from .kmeans import kmeans

NEIGHBOURS = 15
EXACT_NEIGHBOURS_CELLS = 20_000


def kmeans_cut(x: np.ndarray, k: int, seed: int, *, n_init: int = 3) -> np.ndarray:
    """K-means: even, round clusters. (cells, features) -> labels (cells,)."""
    return kmeans(torch.from_numpy(np.ascontiguousarray(x, np.float32)), k, seed=seed, n_init=n_init).labels.numpy()


def mixture_cut(x: np.ndarray, k: int, seed: int) -> np.ndarray:
    """Gaussian mixture with one covariance for all: clusters of unequal size, stretched the same way."""
    from sklearn.mixture import GaussianMixture

    x = x.astype(np.float64)
    # The ridge is relative to the data, so that a component of few cells stays definite at any scale.
    model = GaussianMixture(k, covariance_type="tied", random_state=seed, reg_covar=1e-4 * x.var() + 1e-12)
    return model.fit_predict(x)


def ward_cut(x: np.ndarray, k: int) -> np.ndarray:
    """Ward linkage along the graph of nearest neighbours: clusters of any size that hang together."""
    from sklearn.cluster import AgglomerativeClustering

    graph = neighbour_graph(x, min(NEIGHBOURS, max(2, len(x) // 10)))
    with warnings.catch_warnings():
        # A graph in several pieces is no fault here: scikit-learn joins the pieces where they are closest, and says so.
        warnings.filterwarnings("ignore", message="the number of connected components")
        return AgglomerativeClustering(k, linkage="ward", connectivity=graph).fit_predict(x)


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


def neighbour_graph(x: np.ndarray, n_neighbours: int) -> sparse.csr_matrix:
    """Symmetric graph of nearest neighbours, (cells, cells), entries 1."""
    graph = _towards_neighbours(x, n_neighbours)
    return graph.maximum(graph.T)


def shared_neighbour_graph(x: np.ndarray) -> sparse.csr_matrix:
    """Graph of nearest neighbours weighted by the Jaccard index of the two neighbourhoods, (cells, cells)."""
    near = _towards_neighbours(x, min(NEIGHBOURS, max(5, len(x) // 15))) + sparse.eye(len(x))
    size = near.nnz // len(x)  # of a neighbourhood, the cell itself included
    shared = (near @ near.T).multiply((near + near.T) > 0).tocsr()
    shared.setdiag(0)
    shared.eliminate_zeros()
    shared.data = shared.data / (2 * size - shared.data)
    return shared


def shrunk_to_sphere(x: np.ndarray, power: float) -> np.ndarray:
    """Cells with their length raised to 1 - `power`: 0 leaves them, 1 puts them on the sphere (cosine similarity)."""
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.maximum(length / np.median(length), 1e-3) ** power
