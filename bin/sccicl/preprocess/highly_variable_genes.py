"""Which genes tell cell types apart: dispersion relative to genes of like mean."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse

from ..config import GeneSelection, InputKind
from ..runtime.prefetch import MAX_BLOCK_ENTRIES, map_in_order, row_blocks
from .normalise import normalise

if TYPE_CHECKING:
    from anndata import AnnData


DISPERSION_BINS = 20
# Of a block of cells: first cell, size factors, and counts
Block = tuple[int, np.ndarray, sparse.csr_matrix]


def blocks_of(counts: sparse.csr_matrix, factors: np.ndarray, max_entries: int = MAX_BLOCK_ENTRIES) -> Iterator[Block]:
    """Blocks of cells of a matrix in memory."""
    for first, last in row_blocks(counts.indptr, max_entries):
        yield first, factors[first:last], counts[first:last]


def order_genes(
    counts: sparse.csr_matrix, factors: np.ndarray, input_kind: InputKind, selection: GeneSelection
) -> np.ndarray:
    """Indices of all genes, the most variable first, by the dispersion of Seurat or of Cell Ranger.

    Of genes that tie the first in the matrix comes first.
    """
    linear, as_log = moments(blocks_of(counts, factors), input_kind)
    return variable_genes(*(as_log if selection == "cell_ranger" else linear), selection)


def variable_genes(mean: np.ndarray, variance: np.ndarray, selection: GeneSelection) -> np.ndarray:
    """`order_genes` from the moments, (genes,), of normalised values (Seurat) or their log1p (Cell Ranger)."""
    dispersion = (cell_ranger_dispersion if selection == "cell_ranger" else normalised_dispersion)(mean, variance)
    return np.argsort(-np.nan_to_num(dispersion, nan=-np.inf), kind="stable")


def normalised_dispersion(mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Dispersion of every gene relative to genes of like mean, (genes,); NaN for genes that do not vary.

    log(variance / mean) is z-scored within 20 bins of log1p(mean) (Satija et al. 2015, scanpy's flavour `seurat`, which
    Tian et al. 2019 use). A gene that is alone in its bin, or like all others there, has the value 1.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        dispersion = np.log(np.where(variance > 0, variance / mean, np.nan))
    bins = pd.cut(np.log1p(mean), bins=DISPERSION_BINS, labels=False)
    grouped = pd.Series(dispersion).groupby(bins)
    centre, spread = grouped.transform("mean").to_numpy(), grouped.transform("std").to_numpy()
    is_spread = spread > 0
    relative = (dispersion - centre) / np.where(is_spread, spread, np.nan)
    return np.where(is_spread | np.isnan(dispersion), relative, 1.0)


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


def moments(blocks: Iterable[Block], input_kind: InputKind) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance (n - 1) of every gene, of the normalised values and of their log1p: (2, genes) float64 each.

    The moments of the blocks are put together as of Chan, Golub and LeVeque (1983), doi:10.2307/2683386.
    """

    def work(block: Block) -> tuple[int, np.ndarray]:
        log_values = normalise(block[2], block[1], input_kind)
        (n_cells, n_genes), genes = log_values.shape, log_values.indices.astype(np.intp)
        absent = n_cells - np.bincount(genes, minlength=n_genes)
        found = np.empty((2, 2, n_genes))
        for kind, values in enumerate((np.expm1(log_values.data), log_values.data)):
            mean = np.bincount(genes, values, n_genes) / n_cells
            squares = np.bincount(genes, np.square(values - mean[genes]), n_genes) + absent * mean**2
            found[:, kind] = mean, squares
        return n_cells, found

    n_cells, mean, squares = 0, 0.0, 0.0
    for size, (own_mean, own_squares) in map_in_order(work, blocks):
        shift, n_cells = own_mean - mean, n_cells + size
        mean = mean + shift * (size / n_cells)
        squares = squares + own_squares + shift**2 * (size * (n_cells - size) / n_cells)
    variance = squares / max(n_cells - 1, 1)
    variance[variance <= (1e-9 * mean) ** 2] = 0.0  # rounding of a gene that does not vary
    return np.stack([mean[0], variance[0]]), np.stack([mean[1], variance[1]])


def record_genes(adata: "AnnData", selected: np.ndarray, mean: np.ndarray, std: np.ndarray) -> None:
    """Set `var["highly_variable"]`, `var["cicl_mean"]` and `var["cicl_std"]`: NaN for genes that are not selected."""
    is_selected = np.zeros(adata.n_vars, dtype=bool)
    is_selected[selected] = True
    adata.var["highly_variable"] = is_selected
    for name, values in (("cicl_mean", mean), ("cicl_std", std)):
        column = np.full(adata.n_vars, np.nan)
        column[selected] = values
        adata.var[name] = column


def selected_genes(prepared: "AnnData") -> list[str]:
    """Names of the columns of `obsm["X_cicl_input"]`."""
    return list(prepared.var_names[prepared.var["highly_variable"].to_numpy(dtype=bool)])
