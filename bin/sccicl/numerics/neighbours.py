"""Nearest neighbours of cells, and their graph."""

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

NEIGHBOURS = 15
# Above, a CPU finds neighbours approximately: all pairs of 100,000 cells take it half a minute, of 1,000,000 an hour.
EXACT_NEIGHBOURS_CELLS = 100_000
# Distances that are held at a time
CPU_ENTRIES, ACCELERATOR_ENTRIES = 1 << 22, 1 << 28
# Candidates beyond those asked for: distances in float32 may confuse neighbours that are nearly as far.
SPARE = 8
SMOOTHING_STEPS = 3


def neighbour_indices(x: np.ndarray, n_neighbours: int, *, device: torch.device | str = "cpu") -> np.ndarray:
    """Nearest other cells of each cell, the nearest first: (cells, features) -> (cells, neighbours) int64.

    Exact, by all distances in chunks; on a CPU above 100,000 cells found approximately.
    """
    n_neighbours, device = min(n_neighbours, len(x) - 1), torch.device(device)
    if len(x) > EXACT_NEIGHBOURS_CELLS and device.type == "cpu":
        from pynndescent import NNDescent

        found = NNDescent(x, n_neighbors=n_neighbours + 1, random_state=0).neighbor_graph[0]
        return _without_itself(found).astype(np.int64)
    return _exact(x, x, n_neighbours, device, is_itself=True)


def nearest_of(
    x: np.ndarray, reference: np.ndarray, n_neighbours: int, *, device: torch.device | str = "cpu"
) -> np.ndarray:
    """Cells of `reference` that are nearest to each cell of `x`, the nearest first: (cells, neighbours) int64."""
    n_neighbours = min(n_neighbours, len(reference))
    return _exact(x, reference, n_neighbours, torch.device(device), is_itself=False)


def _exact(
    x: np.ndarray, reference: np.ndarray, n_neighbours: int, device: torch.device, *, is_itself: bool
) -> np.ndarray:
    """Nearest cells by all distances, in chunks; with `is_itself` x is the reference, and no cell its own neighbour."""
    others = torch.from_numpy(np.ascontiguousarray(reference, dtype=np.float32)).to(device)
    # Around the mean: products of long vectors that differ little lose the difference.
    mean = others.double().mean(0).float()
    others = others - mean
    cells = others if is_itself else torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32)).to(device) - mean
    n_candidates = min(n_neighbours + SPARE, len(others) - is_itself)
    rows = max(1, (CPU_ENTRIES if device.type == "cpu" else ACCELERATOR_ENTRIES) // len(others))
    squares = others.square().sum(1)
    found = np.empty((len(cells), n_neighbours), dtype=np.int64)
    # Made once: blocks that are freed and made anew between small results leave gaps in a CPU's memory, gigabytes of
    # 100,000 cells.
    distances = torch.empty(min(rows, len(cells)), len(others), device=device)
    for start in range(0, len(cells), rows):
        chunk = cells[start : start + rows]
        # |x_i - x_j|^2 less |x_i|^2, which moves no neighbour
        distance = torch.addmm(squares, chunk, others.T, alpha=-2, out=distances[: len(chunk)])
        if is_itself:
            own = torch.arange(len(chunk), device=device)
            distance[own, own + start] = torch.inf
        candidates = distance.topk(n_candidates, largest=False, sorted=False).indices
        found[start : start + rows] = _in_order(chunk, others, candidates)[:, :n_neighbours].cpu().numpy()
    return found


def _in_order(chunk: Tensor, cells: Tensor, candidates: Tensor) -> Tensor:
    """Candidates (rows, candidates) by their exact distance, those as far by their number."""
    candidates = candidates.sort(1).values
    difference = cells[candidates].double() - chunk[:, None].double()
    order = difference.square().sum(2).argsort(dim=1, stable=True)
    return candidates.gather(1, order)


def _without_itself(found: np.ndarray) -> np.ndarray:
    """Neighbours (cells, n) without the cell itself, which is among them or not: (cells, n - 1)."""
    is_other = found != np.arange(len(found))[:, None]
    # Where it is not among them the farthest goes.
    is_other[is_other.all(1), -1] = False
    return found[is_other].reshape(len(found), -1)


def neighbour_matrix(indices: np.ndarray, values: np.ndarray | None = None) -> sparse.csr_matrix:
    """A value, or 1, from each cell to each of its neighbours: (cells, neighbours) each -> (cells, cells)."""
    n_cells, width = indices.shape
    rows = np.repeat(np.arange(n_cells), width)
    values = np.ones(rows.size) if values is None else values.ravel()
    return sparse.csr_matrix((values, (rows, indices.ravel())), shape=(n_cells, n_cells))


def shared_neighbour_graph(x: np.ndarray) -> sparse.csr_matrix:
    """Graph of nearest neighbours weighted by the Jaccard index of the two neighbourhoods, (cells, cells)."""
    near = neighbour_matrix(neighbour_indices(x, min(NEIGHBOURS, max(5, len(x) // 15)))) + sparse.eye(len(x))
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
