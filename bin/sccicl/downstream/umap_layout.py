"""Layout of a graph by UMAP's objective, with all cells moved at once.

The usual implementation moves two cells at a time, in loops that are compiled in every process: for a few thousand
cells the compiler takes several times as long as the layout. Here every epoch is a handful of operations on all edges
and cells, and Adam evens out the steps (as `batch = TRUE` does in the R package uwot). Nothing depends on the number of
threads.
"""

import numpy as np
from scipy import sparse

# Curve 1 / (1 + a d^2b) of the weights in the layout for a minimal distance of 0.5 and a spread of 1: least squares
A, B = 0.5830300205483709, 1.334166992455648
# Drawn for every edge that pulls, as in umap-learn
NEGATIVES = 5
# Others that each cell meets in an epoch; what they push counts for as many as are due
MET = 8
FEW_CELLS, EPOCHS_OF_FEW, EPOCHS = 10_000, 500, 200
SIDE = 10.0
LEARNING_RATE = 1.0
DECAY, DECAY_OF_SQUARES = 0.5, 0.9
MOST_PUSH = 4.0
LEAST_DISTANCE = 1e-3


def lay_out(graph: sparse.csr_matrix, start: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Coordinates of the cells that minimise the cross entropy between the graph and its layout, (cells, 2) float32.

    McInnes et al. 2018 (arXiv:1802.03426), section 3.2: an edge of weight w pulls its two cells with the gradient of
    -w log(1 / (1 + a d^2b)); for each pull, cells drawn at random push with that of -log(1 - 1 / (1 + a d^2b)).

    Parameters
    ----------
    graph
        Symmetric weights, 0 to 1, as of `fuzzy_simplicial_set`, (cells, cells).
    start
        Coordinates to start from, (cells, 2); they are stretched to a square.
    """
    n_cells = graph.shape[0]
    epochs = EPOCHS_OF_FEW if n_cells <= FEW_CELLS else EPOCHS
    first, second, weight = _edges(graph, epochs)
    strength = np.bincount(first, weight, n_cells) + np.bincount(second, weight, n_cells)
    n_met = min(MET, n_cells - 1)
    due = (NEGATIVES * strength / n_met).astype(np.float32)[:, None]
    low, width = start.min(0), np.ptp(start, axis=0)
    xy = np.asarray(SIDE * (start - low) / np.where(width > 0, width, 1), dtype=np.float32)
    rng = np.random.default_rng(seed)
    mean, squares = np.zeros_like(xy), np.zeros_like(xy)
    for epoch in range(epochs):
        force = _pull(xy, first, second, weight) + due * _push(xy, n_met, rng)
        mean = DECAY * mean + (1 - DECAY) * force
        squares = DECAY_OF_SQUARES * squares + (1 - DECAY_OF_SQUARES) * np.square(force)
        step = mean / (1 - DECAY ** (epoch + 1))
        step /= np.sqrt(squares / (1 - DECAY_OF_SQUARES ** (epoch + 1))) + np.float32(1e-7)
        xy += np.float32(LEARNING_RATE * (1 - epoch / epochs)) * step
    return xy


def _edges(graph: sparse.csr_matrix, epochs: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both ends and the weight of every edge, as a share of the highest; those too weak to pull once are left out."""
    upper = sparse.triu(sparse.csr_matrix(graph), 1).tocoo()
    if not upper.nnz:
        return upper.row, upper.col, upper.data.astype(np.float32)
    weight = upper.data / upper.data.max()
    kept = np.flatnonzero(weight >= 1 / max(epochs, EPOCHS_OF_FEW))
    kept = kept[np.lexsort((upper.col[kept], upper.row[kept]))]
    return upper.row[kept], upper.col[kept], weight[kept].astype(np.float32)


def _pull(xy: np.ndarray, first: np.ndarray, second: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Force of the edges on every cell, (cells, 2); an edge counts twice, once from each of its ends."""
    apart = xy[first] - xy[second]
    square = np.maximum(np.einsum("ij,ij->i", apart, apart), np.float32(1e-12))
    power = square ** np.float32(B)
    force = apart * (np.float32(-4 * A * B) * weight * power / (square * (1 + np.float32(A) * power)))[:, None]
    columns = [np.bincount(first, f, len(xy)) - np.bincount(second, f, len(xy)) for f in force.T]
    return np.stack(columns, 1).astype(np.float32)


def _push(xy: np.ndarray, n_met: int, rng: np.random.Generator) -> np.ndarray:
    """Sum of the forces of `n_met` random other cells on every cell, (cells, 2).

    The cells stand in a circle in random order, and each meets those that are so many places further on.
    """
    order = rng.permutation(len(xy))
    circle, force = xy[order], np.zeros_like(xy)
    for places in rng.choice(len(xy) - 1, n_met, replace=False) + 1:
        apart = circle - np.roll(circle, places, axis=0)
        square = np.einsum("ij,ij->i", apart, apart)
        push = np.float32(2 * B) / (
            (np.float32(LEAST_DISTANCE) + square) * (1 + np.float32(A) * square ** np.float32(B))
        )
        force += np.clip(apart * push[:, None], -MOST_PUSH, MOST_PUSH)
    found = np.empty_like(force)
    found[order] = force
    return found
