"""Value and gradient of both contrastive losses over the upper triangle of the similarity matrix.

The similarity of two rows serves both of them, so each pair is looked at once: first for the sums of exponentials of
its two rows, then, when all sums are known, for the gradient of both. That takes two thirds of the operations of
autograd. Cosines are bounded, so exponentials need no running maximum. Rows are sorted by pseudo-label: then the
members of a cluster are neighbours, and away from the diagonal the pairs within one cluster are a rectangle.
"""

import math
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..config import ClusterLossForm
from ..runtime.device import is_accelerator
from ..runtime.progress import log

if TYPE_CHECKING:
    from .loss_triton import TritonBackend


# Rows and columns of a tile: 1 MB in float32 stays in a core's cache between the operations on it.
TILE_ROWS = 256
TILE_COLUMNS = 1024
# On a GPU whose kernels cannot be compiled: few launches, and 256 MB in float32.
ACCELERATOR_TILE = 4096, 16_384
# Rows up to which kernels look at all pairs of cluster members, 64 MB of them
UNSORTED_ROWS = 4096
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
    pseudo_labels: Tensor,
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
    """Both losses of unit rows, as `loss.contrastive_loss` defines them; the cluster-aware one is 0 at weight 0.

    Parameters
    ----------
    z
        Rows of length 1, (2N, features): the first view of N cells, then the second.
    pseudo_labels
        Pseudo-labels of the rows, (2N,).
    temperature
        At least `MIN_TEMPERATURE`.
    products
        Type of the factors of the matrix products; sums are of the type of `z` in any case.
    share, reduce
        (i, n): only the i-th of n shares of the tiles is looked at here, and `reduce` adds the sums of all shares up.
    """
    n_rows, scale = len(z), 1.0 / temperature
    by_kernels = _has_kernels(z)
    # Kernels look at every pair in any order; of few rows the pairs that share a cluster are found without a sort, too.
    is_sorted = not by_kernels or n_rows > UNSORTED_ROWS
    if is_sorted:
        order = pseudo_labels.argsort(stable=True)
        position = torch.empty_like(order)
        position[order] = torch.arange(n_rows, device=z.device)
        other_view = position[(order + n_rows // 2) % n_rows]
        z, pseudo_labels = z[order], pseudo_labels[order]
        partner = z[other_view]
    else:
        partner = z.roll(n_rows // 2, 0)
    low = (z * math.sqrt(scale)).to(products or z.dtype)
    has_cluster_loss = weight != 0
    needs_same = has_cluster_loss and form != "supcon"
    backend = _backend(z, low, pseudo_labels, scale, tile, share, by_kernels=by_kernels, needs_same=needs_same)
    total, same = reduce(backend.sums().to(z.dtype))

    positive = (z * partner).sum(1) * scale
    log_total = total.log() + scale
    instance = (log_total - positive).sum()
    all_rate, same_rate = (instance_weight + weight) / total, None
    gradient_of_means = None
    if not has_cluster_loss:
        cluster = torch.zeros_like(instance)
    elif form == "ratio":
        cluster = (total.log() - same.log()).sum()
        same_rate = -weight / same
    else:
        mean_same, gradient_of_means = (_class_means if is_sorted else _class_means_of_pairs)(z, pseudo_labels)
        cluster = (log_total - mean_same * scale).sum()
        gradient_of_means *= -weight

    gradient = reduce(backend.gradient(all_rate, same_rate).to(z.dtype)).mul_(math.sqrt(scale) / n_rows)
    gradient.add_(partner, alpha=-2 * instance_weight * scale / n_rows)
    if gradient_of_means is not None:
        gradient.add_(gradient_of_means, alpha=scale / n_rows)
    return Parts(instance / n_rows, cluster / n_rows, gradient[position] if is_sorted else gradient)


def _backend(
    z: Tensor,
    low: Tensor,
    pseudo_labels: Tensor,
    scale: float,
    tile: tuple[int, int] | None,
    share: tuple[int, int],
    *,
    by_kernels: bool,
    needs_same: bool,
) -> "TileBackend | TritonBackend":
    if by_kernels:
        from .loss_triton import BLOCK_ENTRIES, TritonBackend

        n_rows, (index, number) = len(z), share
        own = slice(n_rows * index // number, n_rows * (index + 1) // number)
        entries = BLOCK_ENTRIES if tile is None else BLOCK_ENTRIES * tile[0] // TILE_ROWS
        return TritonBackend(low, pseudo_labels, scale, own, entries)
    tile = tile or (ACCELERATOR_TILE if is_accelerator(z.device) else (TILE_ROWS, TILE_COLUMNS))
    tiles = list(_tiles(pseudo_labels, *tile))[share[0] :: share[1]]
    return TileBackend(low, pseudo_labels, scale, tiles, z.dtype, needs_same=needs_same)


def _has_kernels(z: Tensor) -> bool:
    """Whether `z` lies on a GPU that the kernels can be compiled for; anywhere else there are tiles."""
    return z.device.type == "cuda" and z.dtype == torch.float32 and _kernels_work(z.device)


@cache
def _kernels_work(device: torch.device) -> bool:
    """Whether the kernels can be compiled for `device` and started there: tried once, on a few rows.

    Triton compiles with a C compiler and Python's headers at run time, which not every machine has.
    """
    if find_spec("triton") is None:
        return False
    try:
        from .loss_triton import TritonBackend

        labels = torch.zeros(4, dtype=torch.int64, device=device)
        backend = TritonBackend(torch.zeros(4, 16, device=device), labels, 1.0, slice(0, 4))
        backend.gradient(backend.sums()[0], None).sum().item()
    except Exception as error:  # whatever the compiler, the driver or Triton raises, there is another way
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        log(f"WARNING: Triton's kernels cannot be used on {device} ({reason}): plain torch takes their place, slower")
        return False
    return True


class TileBackend:
    """Sums and gradient over `tiles`; one tile is kept for the gradient, more are made again."""

    def __init__(
        self,
        low: Tensor,
        pseudo_labels: Tensor,
        scale: float,
        tiles: list[_Tile],
        dtype: torch.dtype,
        *,
        needs_same: bool,
    ):
        self._low, self._pseudo_labels, self._scale, self._tiles = low, pseudo_labels, scale, tiles
        self._dtype, self._needs_same = dtype, needs_same
        self._kept = _exponentials(low, dtype, tiles[0], scale) if len(tiles) == 1 else None

    def _exponentials(self, place: _Tile) -> Tensor:
        return _exponentials(self._low, self._dtype, place, self._scale) if self._kept is None else self._kept

    def sums(self) -> Tensor:
        """Sums of exponentials of every row over all others, and over those of its cluster: (2, 2N)."""
        sums = self._low.new_zeros(2, len(self._low), dtype=self._dtype)
        for place in self._tiles:
            _add_sums(sums, self._exponentials(place), place, self._pseudo_labels, self._needs_same)
        return sums

    def gradient(self, all_rate: Tensor, same_rate: Tensor | None) -> Tensor:
        """Sum over j of w_ij z_j / sqrt(t) for every row i, (2N, features)."""
        gradient = torch.zeros_like(self._low, dtype=self._dtype)
        for place in self._tiles:
            e = self._exponentials(place)
            _weigh(e, place, self._pseudo_labels, all_rate, same_rate)
            _add_products(gradient, e.to(self._low.dtype), self._low, place)
        return gradient


def _tiles(pseudo_labels: Tensor, tile_rows: int, tile_columns: int) -> Iterator[_Tile]:
    """Tiles that cover the upper triangle; those of the diagonal are square and hold both halves."""
    n_rows = len(pseudo_labels)
    _, size = pseudo_labels.unique_consecutive(return_counts=True)
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


def _add_sums(sums: Tensor, e: Tensor, place: _Tile, pseudo_labels: Tensor, needs_same: bool) -> None:
    """Add a tile to the sums over all rows, `sums[0]`, and over those of the same cluster, `sums[1]`."""
    sums[0, place.rows] += e.sum(1)
    if place.is_diagonal:
        if needs_same:
            own = pseudo_labels[place.rows]
            sums[1, place.rows] += (e * (own[:, None] == own)).sum(1)
        return
    sums[0, place.columns] += e.sum(0)
    if needs_same and place.same is not None:
        part = e[place.same]
        sums[1, place.rows][place.same[0]] += part.sum(1)
        sums[1, place.columns][place.same[1]] += part.sum(0)


def _weigh(e: Tensor, place: _Tile, pseudo_labels: Tensor, all_rate: Tensor, same_rate: Tensor | None) -> None:
    """Turn exponentials into the derivative with respect to the similarities of both rows of a pair, in place."""
    rate = all_rate[place.rows, None] + all_rate[place.columns]
    if same_rate is not None:
        if place.is_diagonal:
            own = pseudo_labels[place.rows]
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


def _class_means(z: Tensor, pseudo_labels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cosine of every row with the others of its cluster, (rows,), and the gradient of their sum.

    Rows are sorted by pseudo-label.

    The sums of clusters are differences of running sums, in float64, so that a GPU need not be asked for their number.
    """
    first, last = (
        torch.searchsorted(pseudo_labels, pseudo_labels),
        torch.searchsorted(pseudo_labels, pseudo_labels, right=True),
    )
    # Features first: a GPU adds up within rows several times faster than down columns.
    running = F.pad(z.T.contiguous().double().cumsum(1), (1, 0))
    others = (running[:, last] - running[:, first]).T.contiguous().to(z.dtype) - z
    others /= (last - first - 1)[:, None]
    return (z * others).sum(1), others.mul_(2)


def _class_means_of_pairs(z: Tensor, pseudo_labels: Tensor) -> tuple[Tensor, Tensor]:
    """`_class_means` of rows in any order, by the matrix of the pairs that share a cluster, (rows, rows)."""
    same = (pseudo_labels[:, None] == pseudo_labels).to(z.dtype)
    others = (same @ z).sub_(z).div_(same.sum(1, keepdim=True) - 1)
    return (z * others).sum(1), others.mul_(2)
