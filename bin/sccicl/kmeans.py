"""K-means in chunks of cells, on the device the data are on."""

from typing import NamedTuple

import torch
from torch import Tensor

CHUNK_ROWS = 65536


class KMeansResult(NamedTuple):
    """`centroids` (k, features), `labels` (cells,), `inertia` the sum of squared distances to the own centroid."""

    centroids: Tensor
    labels: Tensor
    inertia: float


def squared_distances(x: Tensor, centroids: Tensor) -> Tensor:
    """|x_i - c_j|^2 as (cells, k), without a (cells, k, features) tensor."""
    products = x @ centroids.T
    return (x.square().sum(1, keepdim=True) - 2 * products + centroids.square().sum(1)).clamp_(min=0)


def assign(x: Tensor, centroids: Tensor) -> tuple[Tensor, Tensor]:
    """Nearest centroid of every cell and the squared distance to it, both (cells,)."""
    nearest = [squared_distances(chunk, centroids).min(1) for chunk in x.split(CHUNK_ROWS)]
    return torch.cat([part.indices for part in nearest]), torch.cat([part.values for part in nearest])


def plus_plus(x: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """k-means++ seeding (Arthur and Vassilvitskii 2007): k rows of `x`, drawn in proportion to squared distance."""
    first = torch.randint(len(x), (1,), generator=generator).item()
    chosen = [first]
    distance = squared_distances(x, x[first : first + 1]).squeeze(1)
    for _ in range(k - 1):
        # The draw is made on the host in float64, so that one seed means one choice on every device.
        cumulative = distance.double().cpu().cumsum(0)
        draw = torch.rand((), generator=generator, dtype=torch.float64) * cumulative[-1]
        row = min(int(torch.searchsorted(cumulative, draw)), len(x) - 1)
        chosen.append(row)
        distance = torch.minimum(distance, squared_distances(x, x[row : row + 1]).squeeze(1))
    return x[chosen].clone()


def means(x: Tensor, labels: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Mean of the cells of every cluster, (k, features), and their number, (k,)."""
    total = x.new_zeros(k, x.shape[1])
    for rows, chosen in zip(x.split(CHUNK_ROWS), labels.split(CHUNK_ROWS), strict=True):
        # A product with the one-hot matrix is reproducible on CUDA, where index_add_ is not.
        total += torch.nn.functional.one_hot(chosen, k).to(x.dtype).T @ rows
    size = torch.bincount(labels, minlength=k)
    return total / size.clamp(min=1)[:, None], size


def lloyd(x: Tensor, centroids: Tensor, *, max_iter: int = 300, tol: float = 1e-4) -> KMeansResult:
    """Lloyd's algorithm from given centroids.

    It stops when the assignment repeats or the centroids move by less than `tol` times the mean variance of the
    features, as in scikit-learn. A cluster that loses all its cells gets the cell farthest from its centroid.
    """
    k = len(centroids)
    threshold = tol * x.var(0, correction=0).mean()
    labels = None
    for _ in range(max_iter):
        new_labels, distance = assign(x, centroids)
        centres, size = means(x, new_labels, k)
        empty = (size == 0).nonzero().flatten()
        # Where every cell lies on its centroid there are fewer distinct cells than clusters, and no cell to give.
        if len(empty) and distance.max() > 0:
            centres[empty] = x[distance.topk(len(empty)).indices]
        elif labels is not None and torch.equal(labels, new_labels):
            break
        else:
            centres[empty] = centroids[empty]
        shift = (centres - centroids).square().sum()
        centroids, labels = centres, new_labels
        if not len(empty) and shift <= threshold:
            break
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
    starts = (plus_plus(x, k, generator) for _ in range(n_init))
    return min((lloyd(x, start, max_iter=max_iter, tol=tol) for start in starts), key=lambda result: result.inertia)
