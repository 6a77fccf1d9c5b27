"""Value and gradient of both contrastive losses over the upper triangle of the similarity matrix.

The similarity of two rows serves both of them, so each pair is looked at once: first for the sums of exponentials of
its two rows, then, when all sums are known, for the gradient of both. That takes two thirds of the operations of
autograd. Cosines are bounded, so exponentials need no running maximum. Rows are sorted by pseudo-label: then the
members of a cluster are neighbours, and away from the diagonal the pairs within one cluster are a rectangle.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from .choices import ClusterLossForm

# Rows and columns of a tile: 1 MB in float32 stays in a core's cache between the operations on it.
TILE_ROWS = 256
TILE_COLUMNS = 1024
# exp(-2 / temperature) and sums of such must be far from the smallest float32.
MIN_TEMPERATURE = 0.05

Reduce = Callable[[Tensor], Tensor]


class Parts(NamedTuple):
    """The two losses, and the gradient of their weighted sum with respect to the rows."""

    instance: Tensor
    cluster: Tensor
    gradient: Tensor


class _Tile(NamedTuple):
    rows: slice
    columns: slice
    # Rows and columns, counted in the tile, that share a cluster; None where the tile meets the diagonal.
    same: tuple[slice, slice] | None
    is_diagonal: bool


def symmetric_loss(
    z: Tensor,
    labels: Tensor,
    *,
    temperature: float,
    weight: float,
    instance_weight: float,
    form: ClusterLossForm,
    products: torch.dtype | None = None,
    tile: tuple[int, int] | None = None,
    share: tuple[int, int] = (0, 1),
    reduce: Reduce = lambda sums: sums,
) -> Parts:
    """Both losses of unit rows, as `loss.contrastive_loss` defines them.

    Parameters
    ----------
    z
        Rows of length 1, (2N, features): the first view of N cells, then the second.
    labels
        Pseudo-labels of the rows, (2N,).
    temperature
        At least `MIN_TEMPERATURE`.
    products
        Type of the factors of the matrix products; sums are of the type of `z` in any case.
    share, reduce
        (i, n): only the i-th of n shares of the tiles is looked at here, and `reduce` adds the sums of all shares up.
    """
    n_rows, scale = len(z), 1.0 / temperature
    order = labels.argsort(stable=True)
    position = torch.empty_like(order)
    position[order] = torch.arange(n_rows, device=z.device)
    other_view = position[(order + n_rows // 2) % n_rows]
    z, labels = z[order], labels[order]
    low = (z * math.sqrt(scale)).to(products or z.dtype)
    tiles = list(_tiles(labels, *(tile or (TILE_ROWS, TILE_COLUMNS))))[share[0] :: share[1]]
    # One tile is kept for the gradient, more are made again.
    kept = _exponentials(low, z.dtype, tiles[0], scale) if len(tiles) == 1 else None

    needs_same = form != "supcon"
    sums = z.new_zeros(2, n_rows)
    for place in tiles:
        e = _exponentials(low, z.dtype, place, scale) if kept is None else kept
        _add_sums(sums, e, place, labels, needs_same)
    total, same = reduce(sums)

    positive = (z * z[other_view]).sum(1) * scale
    log_total = total.log() + scale
    instance = (log_total - positive).sum()
    all_rate, same_rate = (instance_weight + weight) / total, None
    pair_rate = torch.full_like(total, -2 * instance_weight)
    gradient_of_means = None
    if form == "ratio":
        cluster = (total.log() - same.log()).sum()
        same_rate = -weight / same
    elif form == "supcon":
        mean_same, gradient_of_means = _class_means(z, labels)
        cluster = (log_total - mean_same * scale).sum()
        gradient_of_means *= -weight
    else:
        e_positive = (positive - scale).exp()
        rest = (total - same).clamp(min=0) + e_positive
        cluster = (rest.log() + scale - positive).sum()
        all_rate = instance_weight / total + weight / rest
        same_rate = -weight / rest
        pair_rate += weight * (e_positive * (1 / rest + 1 / rest[other_view]) - 2)

    gradient = torch.zeros_like(z)
    for place in tiles:
        e = _exponentials(low, z.dtype, place, scale) if kept is None else kept
        _weigh(e, place, labels, all_rate, same_rate)
        _add_products(gradient, e.to(low.dtype), low, place)
    gradient = reduce(gradient).mul_(math.sqrt(scale) / n_rows)
    gradient.addcmul_(pair_rate[:, None], z[other_view], value=scale / n_rows)
    if gradient_of_means is not None:
        gradient.add_(gradient_of_means, alpha=scale / n_rows)
    return Parts(instance / n_rows, cluster / n_rows, gradient[position])


def _tiles(labels: Tensor, tile_rows: int, tile_columns: int) -> Iterator[_Tile]:
    """Tiles that cover the upper triangle; those of the diagonal are square and hold both halves."""
    n_rows = len(labels)
    _, size = labels.unique_consecutive(return_counts=True)
    end = size.cumsum(0)
    first = (end - size).repeat_interleave(size).tolist()
    last = end.repeat_interleave(size).tolist()
    for top in range(0, n_rows, tile_rows):
        bottom = min(top + tile_rows, n_rows)
        yield _Tile(slice(top, bottom), slice(top, bottom), None, True)
        for left in range(bottom, n_rows, tile_columns):
            right = min(left + tile_columns, n_rows)
            same = None
            if last[bottom - 1] > left:
                same = slice(max(first[left] - top, 0), bottom - top), slice(0, min(last[left], right) - left)
            yield _Tile(slice(top, bottom), slice(left, right), same, False)


def _exponentials(low: Tensor, dtype: torch.dtype, place: _Tile, scale: float) -> Tensor:
    """exp((s_ij - 1) / t) of a tile, 0 on the diagonal."""
    e = torch.mm(low[place.rows], low[place.columns].T).to(dtype).sub_(scale).exp_()
    if place.is_diagonal:
        e.fill_diagonal_(0)
    return e


def _add_sums(sums: Tensor, e: Tensor, place: _Tile, labels: Tensor, needs_same: bool) -> None:
    """Add a tile to the sums over all rows, `sums[0]`, and over those of the same cluster, `sums[1]`."""
    sums[0, place.rows] += e.sum(1)
    if place.is_diagonal:
        if needs_same:
            own = labels[place.rows]
            sums[1, place.rows] += (e * (own[:, None] == own)).sum(1)
        return
    sums[0, place.columns] += e.sum(0)
    if needs_same and place.same is not None:
        part = e[place.same]
        sums[1, place.rows][place.same[0]] += part.sum(1)
        sums[1, place.columns][place.same[1]] += part.sum(0)


def _weigh(e: Tensor, place: _Tile, labels: Tensor, all_rate: Tensor, same_rate: Tensor | None) -> None:
    """Turn exponentials into the derivative with respect to the similarities of both rows of a pair, in place."""
    rate = all_rate[place.rows, None] + all_rate[place.columns]
    if same_rate is not None:
        if place.is_diagonal:
            own = labels[place.rows]
            rate += (same_rate[place.rows, None] + same_rate[place.columns]) * (own[:, None] == own)
        elif place.same is not None:
            rows, columns = place.same
            rate[place.same] += same_rate[place.rows][rows, None] + same_rate[place.columns][columns]
    e.mul_(rate)


def _add_products(gradient: Tensor, weights: Tensor, low: Tensor, place: _Tile) -> None:
    if low.dtype == gradient.dtype:
        gradient[place.rows].addmm_(weights, low[place.columns])
        if not place.is_diagonal:
            gradient[place.columns].addmm_(weights.T, low[place.rows])
        return
    gradient[place.rows] += torch.mm(weights, low[place.columns])
    if not place.is_diagonal:
        gradient[place.columns] += torch.mm(weights.T, low[place.rows])


def _class_means(z: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cosine of every row with the others of its cluster, (rows,), and the gradient of their sum."""
    _, index, size = labels.unique_consecutive(return_inverse=True, return_counts=True)
    total = z.new_zeros(len(size), z.shape[1])
    for chosen, rows in zip(index.split(8192), z.split(8192), strict=True):
        total.index_add_(0, chosen, rows)
    others = total[index] - z
    others /= (size[index] - 1)[:, None]
    return (z * others).sum(1), others.mul_(2)
