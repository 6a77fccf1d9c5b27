"""K-means in chunks of cells, on the device the data are on.

A chunk is assigned and added up while it is in the cache, so an iteration reads the cells once.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from ..runtime.device import is_accelerator

CHUNK_ROWS = 65536
# On a CPU a chunk of 1 MB stays in a core's cache.
CPU_CHUNK_BYTES = 2**20
# A GPU is asked whether it has converged every so many iterations, as it has to finish all work for an answer.
GPU_CHECK_INTERVAL = 8
# Twenty starts with 1,000,000 cells take 77 CPU seconds, with so many 5, and end at the same inertia to 4e-6.
CELLS_OF_STARTS = 50_000


class KMeansResult(NamedTuple):
    """`centroids` (k, features), `labels` (cells,), `inertia` the sum of squared distances to the own centroid."""

    centroids: Tensor
    labels: Tensor
    inertia: float


def squared_distances(x: Tensor, centroids: Tensor) -> Tensor:
    """|x_i - c_j|^2 as (cells, k), without a (cells, k, features) tensor."""
    products = x @ centroids.T
    return (x.square().sum(1, keepdim=True) - 2 * products + centroids.square().sum(1)).clamp_(min=0)


def chunk_rows(x: Tensor) -> int:
    """Rows of `x` that are looked at together."""
    if is_accelerator(x.device):
        return CHUNK_ROWS
    return min(CHUNK_ROWS, max(256, CPU_CHUNK_BYTES // (x.shape[1] * x.element_size())))


def assign(x: Tensor, centroids: Tensor) -> tuple[Tensor, Tensor]:
    """Nearest centroid of every cell and the squared distance to it, both (cells,)."""
    labels = torch.empty(len(x), dtype=torch.long, device=x.device)
    distance = x.new_empty(len(x))
    lengths = centroids.square().sum(1)
    for chunk, own_labels, own_distance in _in_chunks(x, labels, distance):
        _nearest(chunk, centroids, lengths, own_labels, own_distance)
    return labels, distance.add_(_squares(x)).clamp_(min=0)


def _nearest(x: Tensor, centroids: Tensor, lengths: Tensor, labels: Tensor, distance: Tensor) -> None:
    """Write the nearest centroid, and the squared distance to it less |x_i|^2, into the last two."""
    torch.min(torch.addmm(lengths, x, centroids.T, alpha=-2), 1, out=(distance, labels))


def _squares(x: Tensor) -> Tensor:
    """|x_i|^2 of every cell, (cells,), without a copy of `x`."""
    return torch.cat([rows.square().sum(1) for rows in x.split(chunk_rows(x))])


def _in_chunks(x: Tensor, *others: Tensor) -> zip:
    rows = chunk_rows(x)
    return zip(x.split(rows), *(other.split(rows) for other in others), strict=True)


def plus_plus(x: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """k-means++ seeding (Arthur and Vassilvitskii 2007): k rows of `x`, drawn in proportion to squared distance."""
    row = torch.randint(len(x), (1,), generator=generator).to(x.device)
    # Drawn on the host, and added up in float64, so that one seed means one choice on every device.
    draws = [torch.rand(1, generator=generator, dtype=torch.float64) for _ in range(k - 1)]
    chosen = [row]
    squares = _squares(x)
    distance = _to_one(x, squares, row)
    for draw in draws:
        cumulative = distance.double().cumsum(0)
        row = torch.searchsorted(cumulative, draw.to(x.device) * cumulative[-1]).clamp_(max=len(x) - 1)
        chosen.append(row)
        distance = torch.minimum(distance, _to_one(x, squares, row))
    return x[torch.cat(chosen)]


def _to_one(x: Tensor, squares: Tensor, row: Tensor) -> Tensor:
    """Squared distance of all rows to one of them, (cells,)."""
    return (squares - 2 * torch.mv(x, x[row].squeeze(0)) + squares[row]).clamp_(min=0)


def means(x: Tensor, labels: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Mean of the cells of every cluster, (k, features), and their number, (k,)."""
    total, size = x.new_zeros(k, x.shape[1]), torch.zeros(k, dtype=torch.long, device=x.device)
    for rows, chosen in _in_chunks(x, labels):
        _add_up(total, size, rows, chosen)
    return total / size.clamp(min=1)[:, None], size


def _add_up(total: Tensor, size: Tensor, rows: Tensor, labels: Tensor) -> None:
    if is_accelerator(rows.device):
        # A product with the one-hot matrix is reproducible there, where index_add_ is not, and bincount waits.
        one_hot = rows.new_zeros(len(rows), len(total)).scatter_(1, labels[:, None], 1)
        total.addmm_(one_hot.T, rows)
        size += one_hot.sum(0).long()
        return
    total.index_add_(0, labels, rows)
    size += torch.bincount(labels, minlength=len(total))


def _assign_and_average(x: Tensor, squares: Tensor, centroids: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Labels, squared distances (`squares` are |x_i|^2), means and sizes of the new clusters, in one pass."""
    labels = torch.empty(len(x), dtype=torch.long, device=x.device)
    distance = x.new_empty(len(x))
    total, size = torch.zeros_like(centroids), torch.zeros(len(centroids), dtype=torch.long, device=x.device)
    lengths = centroids.square().sum(1)
    for chunk, own_labels, own_distance in _in_chunks(x, labels, distance):
        _nearest(chunk, centroids, lengths, own_labels, own_distance)
        _add_up(total, size, chunk, own_labels)
    return labels, distance.add_(squares).clamp_(min=0), total / size.clamp(min=1)[:, None], size


def refine(x: Tensor, centroids: Tensor, *, max_iter: int = 300, tol: float = 1e-4) -> Tensor:
    """Centroids after Lloyd's algorithm, see `lloyd`; with few iterations a GPU is not waited for."""
    threshold = tol * x.var(0, correction=0).mean()
    on_host = not is_accelerator(x.device)
    interval = 1 if on_host else GPU_CHECK_INTERVAL
    squares, labels = _squares(x), None
    for iteration in range(1, max_iter + 1):
        new_labels, distance, centres, size = _assign_and_average(x, squares, centroids)
        is_full = (size > 0).all()
        # Where every cell lies on its centroid there are fewer distinct cells than clusters, and no cell to give.
        is_settled = is_full
        if not on_host or not is_full:
            centres = _reseed(x, centres, centroids, distance, size == 0)
            is_settled = is_full | (distance.max() == 0)
        is_checked = iteration % interval == 0 and iteration < max_iter
        if is_checked and labels is not None and bool(is_settled & (labels == new_labels).all()):
            return centres
        is_still = is_full & ((centres - centroids).square().sum() <= threshold)
        centroids, labels = centres, new_labels
        if is_checked and bool(is_still):
            break
    return centroids


def _reseed(x: Tensor, centres: Tensor, before: Tensor, distance: Tensor, empty: Tensor) -> Tensor:
    """Give empty clusters the cells farthest from their centroids; no decision is made on the host."""
    farthest, rows = distance.topk(min(len(centres), len(x)))
    rank = (empty.cumsum(0) - 1).clamp(0, len(rows) - 1)
    given = torch.where(farthest[0] > 0, x[rows[rank]], before)
    return torch.where(empty[:, None], given, centres)


def lloyd(x: Tensor, centroids: Tensor, *, max_iter: int = 300, tol: float = 1e-4) -> KMeansResult:
    """Lloyd's algorithm from given centroids.

    It stops when the assignment repeats or the centroids move by less than `tol` times the mean variance of the
    features, as in scikit-learn. A cluster that loses all its cells gets the cell farthest from its centroid.
    """
    centroids = refine(x, centroids, max_iter=max_iter, tol=tol)
    labels, distance = assign(x, centroids)
    return KMeansResult(centroids, labels, distance.double().sum().item())


def kmeans(
    x: Tensor,
    k: int,
    *,
    seed: int = 0,
    n_init: int = 10,
    init: Tensor | None = None,
    max_iter: int = 300,
    tol: float = 1e-4,
) -> KMeansResult:
    """K-means with k-means++ seeding, the best of `n_init` starts by inertia.

    Of more than 50,000 cells the starts are compared in a random sample, and the best one goes on with all cells.

    Parameters
    ----------
    x
        (cells, features), on any device.
    k
        Number of clusters, 1 <= k <= cells.
    init
        Centroids (k, features) to start from instead: one start only, as for a warm start from the previous epoch.

    Raises
    ------
    ValueError
        When k is not within 1 and the number of cells.
    """
    if not 1 <= k <= len(x):
        raise ValueError(f"k must lie between 1 and the {len(x)} cells, not {k}")
    if init is not None:
        return lloyd(x, init.to(x), max_iter=max_iter, tol=tol)
    generator = torch.Generator().manual_seed(seed)
    if n_init > 1 and len(x) > CELLS_OF_STARTS >= k:
        rows = torch.randperm(len(x), generator=generator)[:CELLS_OF_STARTS].sort().values
        best = kmeans(x[rows.to(x.device)], k, seed=seed, n_init=n_init, max_iter=max_iter, tol=tol)
        return lloyd(x, best.centroids, max_iter=max_iter, tol=tol)
    starts = (plus_plus(x, k, generator) for _ in range(n_init))
    return min((lloyd(x, start, max_iter=max_iter, tol=tol) for start in starts), key=lambda result: result.inertia)
