"""Which genes tell cell types apart: dispersion relative to genes of like mean."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pandas as pd
from scipy import sparse

from ..config import GeneSelection, InputKind
from ..numerics.reproducible_sums import grouped_sums, units_of

Block = tuple[np.ndarray, np.ndarray]
BLOCK_VALUES = 1 << 22
DISPERSION_BINS = 20


def select_genes(
    counts: sparse.csr_matrix,
    factors: np.ndarray,
    n_genes: int,
    input_kind: InputKind,
    selection: GeneSelection = "seurat",
    ranks: np.ndarray | None = None,
) -> np.ndarray:
    """Find the `n_genes` genes with the highest normalised dispersion; indices in the order of the matrix.

    Of genes that tie those are taken that come first by `ranks`, see `order_genes`. All genes are taken if there are no
    more than `n_genes`.
    """
    if counts.shape[1] <= n_genes:
        return np.arange(counts.shape[1])
    return np.sort(order_genes(counts, factors, input_kind, selection, ranks)[:n_genes])


def order_genes(
    counts: sparse.csr_matrix,
    factors: np.ndarray,
    input_kind: InputKind,
    selection: GeneSelection,
    ranks: np.ndarray | None = None,
) -> np.ndarray:
    """Indices of all genes, the most variable first, by the dispersion of Seurat or of Cell Ranger.

    The order of the cells changes nothing, nor does that of the genes where `ranks` (genes,) tell which of two that tie
    comes first; by default it is the first in the matrix.
    """
    as_log = selection == "cell_ranger"
    largest = float(counts.data.max()) if counts.nnz else 0.0
    bound = largest_value(largest, factors, input_kind, as_log)
    mean, variance = moments(lambda: _blocks(counts, factors, input_kind, as_log), counts.shape, bound)
    return variable_genes(mean, variance, selection, ranks)


def variable_genes(
    mean: np.ndarray, variance: np.ndarray, selection: GeneSelection, ranks: np.ndarray | None = None
) -> np.ndarray:
    """`order_genes` from the moments, (genes,), of normalised values (Seurat) or their log1p (Cell Ranger)."""
    dispersion = (cell_ranger_dispersion if selection == "cell_ranger" else normalised_dispersion)(mean, variance)
    ranks = np.arange(len(mean)) if ranks is None else ranks
    return np.lexsort((ranks, -np.nan_to_num(dispersion, nan=-np.inf)))


def largest_value(largest: float, factors: np.ndarray, input_kind: InputKind, as_log: bool) -> float:
    """A bound of the normalised values, or of their log1p, where `largest` is the largest count."""
    if input_kind != "log":
        largest /= float(factors.min())
    if as_log != (input_kind == "log"):
        return float(np.log1p(largest) if as_log else np.expm1(largest))
    return largest


def normalised_dispersion(mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Dispersion of every gene relative to genes of like mean, (genes,); NaN for genes that do not vary.

    log(variance / mean) is z-scored within 20 bins of log1p(mean) (Satija et al. 2015, scanpy's flavour `seurat`, which
    Tian et al. 2019 use). A gene that is alone in its bin, or like all others there, has the value 1.
    """
    # Sums over the genes of a bin in an order that is the same whatever the order of the genes
    order = np.lexsort((variance, mean))
    mean, variance = mean[order], variance[order]
    with np.errstate(divide="ignore", invalid="ignore"):
        dispersion = np.log(np.where(variance > 0, variance / mean, np.nan))
    bins = pd.cut(np.log1p(mean), bins=DISPERSION_BINS, labels=False)
    grouped = pd.Series(dispersion).groupby(bins)
    centre, spread = grouped.transform("mean").to_numpy(), grouped.transform("std").to_numpy()
    is_spread = spread > 0
    relative = (dispersion - centre) / np.where(is_spread, spread, np.nan)
    found = np.empty(len(order))
    found[order] = np.where(is_spread | np.isnan(dispersion), relative, 1.0)
    return found


def cell_ranger_dispersion(mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Dispersion of every gene relative to genes of like mean, (genes,); NaN for genes that do not vary.

    variance / mean of the log-normalised values, less its median and divided by its median absolute deviation within 20
    bins between quantiles of the mean (Zheng et al. 2017, scanpy's flavour `cell_ranger`).
    """
    dispersion = np.divide(variance, mean, out=np.full(len(mean), np.nan), where=variance > 0)
    edges = np.unique(np.percentile(mean, np.arange(10, 105, 5)))
    bins = np.searchsorted(edges, mean, side="left")
    centre = pd.Series(dispersion).groupby(bins).transform("median").to_numpy()
    spread = pd.Series(np.abs(dispersion - centre)).groupby(bins).transform("median").to_numpy()
    return np.divide(dispersion - centre, spread, out=np.zeros(len(mean)), where=spread > 0)


def moments(
    blocks: Callable[[], Iterable[Block]], shape: tuple[int, int], bound: float
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance (n - 1) of every gene, (genes,) float64 each, from stored entries that `blocks` walks twice.

    No value may be above `bound` or below 0. The order of the cells changes nothing, see `exact_sums`.
    """
    n_cells, n_genes = shape
    units, total, present = units_of(bound, n_cells), np.zeros((2, n_genes)), np.zeros(n_genes)
    for genes, values in blocks():
        total += grouped_sums(genes, values, n_genes, units)
        present += np.bincount(genes, minlength=n_genes)
    mean = total.sum(0) / n_cells
    units, squares = units_of(bound**2, n_cells), np.zeros((2, n_genes))
    for genes, values in blocks():
        squares += grouped_sums(genes, np.square(values - mean[genes]), n_genes, units)
    variance = (squares.sum(0) + (n_cells - present) * mean**2) / (n_cells - 1)
    variance[variance <= (1e-9 * mean) ** 2] = 0.0  # rounding of a gene that does not vary
    return mean, variance


def _blocks(counts: sparse.csr_matrix, factors: np.ndarray, input_kind: InputKind, as_log: bool) -> Iterator[Block]:
    """Normalised values, or their log1p, a block of cells at a time: no second matrix of that size exists."""
    rows = max(1, BLOCK_VALUES // max(1, counts.nnz // counts.shape[0]))
    for start in range(0, counts.shape[0], rows):
        stop = min(start + rows, counts.shape[0])
        entries = slice(counts.indptr[start], counts.indptr[stop])
        values = counts.data[entries].astype(np.float64)
        if input_kind != "log":
            values /= np.repeat(factors[start:stop], np.diff(counts.indptr[start : stop + 1]))
        if as_log != (input_kind == "log"):
            values = np.log1p(values) if as_log else np.expm1(values)
        yield counts.indices[entries], values
