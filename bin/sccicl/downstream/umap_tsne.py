"""Two-dimensional layouts of the cells, for looking at: UMAP and t-SNE."""

import warnings

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits

from ..numerics.fuzzy_graph import fuzzy_simplicial_set, neighbour_distances
from ..numerics.neighbours import nearest_of, neighbour_indices
from ..numerics.pca import principal_components
from ..numerics.sampling import random_sample
from .umap_layout import lay_out

MAX_FEATURES = 50
UMAP_NEIGHBOURS = 15
# All neighbours of 100,000 cells take half a minute on one core.
MOST_LAID_OUT = 100_000
# Of these the others are placed by so many nearest ones.
PLACED_BY = 5
TSNE_PERPLEXITY = 30.0
TSNE_MAX_CELLS = 30_000


def umap(
    embedding: np.ndarray, seed: int = 0, start: np.ndarray | None = None, graph: sparse.csr_matrix | None = None
) -> np.ndarray:
    """UMAP coordinates (McInnes et al. 2018) of embedded cells, the same again for the same seed.

    15 neighbours, the cell itself counted, or all others where there are fewer; minimal distance 0.5 as in scanpy;
    started from the first two principal components. An embedding wider than 50 columns is first reduced to 50
    principal components. Any number of cells is laid out: of more than 100,000 a random 100,000, and the others are
    placed between the nearest of these. The objective is that of umap-learn, see `umap_layout`.

    Parameters
    ----------
    embedding
        Embedded cells, shape (cells, features), finite.
    seed
        Seed of the optimisation.
    start
        Coordinates to start from instead, shape (cells, 2): those of a like embedding keep the cells about there.
    graph
        What `fuzzy_simplicial_set` found in this embedding, so that it is not looked for again.

    Returns
    -------
    Coordinates, float32, shape (cells, 2).

    Raises
    ------
    ValueError
        If the embedding is not a finite matrix.
    """
    reduced = _reduced(embedding, seed)
    start = _start(reduced, seed) if start is None else np.asarray(start, dtype=np.float32)
    if len(reduced) < 4:
        return start
    chosen = random_sample(len(reduced), MOST_LAID_OUT, seed=seed)
    if len(chosen) < len(reduced):
        laid_out = umap(reduced[chosen], seed, start[chosen])
        return _placed(reduced, chosen, laid_out)
    if graph is None:
        graph = fuzzy_simplicial_set(*neighbours_of(reduced))
    return lay_out(graph, start, seed=seed)


def neighbours_of(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nearest other cells of each cell, 14 or all where there are fewer, and how far they are: (cells, neighbours)."""
    indices = neighbour_indices(x, UMAP_NEIGHBOURS - 1)
    return indices, neighbour_distances(x, indices)


def _placed(x: np.ndarray, chosen: np.ndarray, laid_out: np.ndarray) -> np.ndarray:
    """Coordinates of all cells: one that is not chosen lies at the mean of its nearest chosen ones, by closeness."""
    found = np.empty((len(x), 2), dtype=np.float32)
    found[chosen] = laid_out
    others = np.setdiff1d(np.arange(len(x)), chosen)
    near = nearest_of(x[others], x[chosen], PLACED_BY)
    weights = np.stack([np.square(x[others] - x[chosen[column]]).sum(1) for column in near.T], 1).astype(np.float64)
    weights = 1 / np.maximum(np.sqrt(weights), 1e-12)
    weights /= weights.sum(1, keepdims=True)
    found[others] = np.einsum("ij,ijk->ik", weights, laid_out[near])
    return found


def tsne(embedding: np.ndarray, seed: int = 0) -> np.ndarray | None:
    """t-SNE coordinates (van der Maaten and Hinton 2008) of embedded cells, the same again for the same seed.

    Perplexity 30, or a third of the other cells where they are fewer; started from the first two principal components
    (Kobak and Berens 2019). An embedding wider than 50 columns is first reduced to 50 principal components. One
    core is used, because sums over several would differ in their last digits from run to run.

    Above 30,000 cells it would take a quarter of an hour or more: nothing is computed, a UserWarning says so, and the
    result is None.

    Parameters
    ----------
    embedding
        Embedded cells, shape (cells, features), finite.
    seed
        Seed of the principal components; the optimisation itself has no randomness.

    Returns
    -------
    Coordinates, float32, shape (cells, 2), or None above 30,000 cells.

    Raises
    ------
    ValueError
        If the embedding is not a finite matrix.
    """
    if len(embedding) > TSNE_MAX_CELLS:
        warnings.warn(
            f"t-SNE was skipped: it is computed for at most {TSNE_MAX_CELLS:,} cells and there are {len(embedding):,}",
            stacklevel=2,
        )
        return None
    from sklearn.manifold import TSNE

    reduced = _reduced(embedding, seed)
    start = _start(reduced, seed)
    if len(reduced) < 4:
        return start
    perplexity = min(TSNE_PERPLEXITY, (len(reduced) - 1) / 3)
    model = TSNE(perplexity=perplexity, init=start * 1e-4, random_state=seed, n_jobs=1)
    with threadpool_limits(1):
        return np.ascontiguousarray(model.fit_transform(reduced), dtype=np.float32)


def _reduced(embedding: np.ndarray, seed: int) -> np.ndarray:
    embedding = np.asarray(embedding, dtype=np.float32)
    if embedding.ndim != 2 or not np.isfinite(embedding).all():
        raise ValueError("the embedding must be a matrix of finite numbers, one row per cell")
    if embedding.shape[1] <= MAX_FEATURES:
        return embedding
    return principal_components(embedding, MAX_FEATURES, seed=seed)


def _start(reduced: np.ndarray, seed: int) -> np.ndarray:
    """First two principal components, the first with standard deviation 1; float32, (cells, 2)."""
    centred = (reduced - reduced.mean(0)).astype(np.float64)
    # The covariance is at most 50 x 50, whatever the number of cells.
    axes = np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :2]
    axes = axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])])
    scores = centred @ axes
    start = np.zeros((len(reduced), 2))
    start[:, : scores.shape[1]] = scores / (scores[:, 0].std() or 1.0)
    # Cells that all lie on a line, or on a point, would never leave it (and UMAP divides by the width).
    flat = np.ptp(start, axis=0) < 1e-6
    start[:, flat] = np.random.default_rng(seed).normal(scale=0.01, size=(len(start), int(flat.sum())))
    return start.astype(np.float32)
