"""Wilcoxon's rank-sum test of each group of cells against all others, for all genes and groups at once."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy import sparse, stats

# Entries that are sorted together
ENTRIES = 1 << 22


class RankSums(NamedTuple):
    """`z` of the test, two-sided `p`, and `p_adjusted` over the genes, (groups, genes) each.

    `expressing` is the number of cells of each group whose value is not 0, (groups, genes).
    """

    z: np.ndarray
    p: np.ndarray
    p_adjusted: np.ndarray
    expressing: np.ndarray


def rank_sum_test(values: sparse.spmatrix, groups: np.ndarray, n_groups: int) -> RankSums:
    """Test each group against all other cells (Mann & Whitney 1947), with the normal approximation and ties corrected.

    As `scanpy.tl.rank_genes_groups(method="wilcoxon", tie_correct=True)` does; p values are adjusted by Benjamini and
    Hochberg (1995). z is 0 for a gene whose values are all the same.

    Parameters
    ----------
    values
        (cells, genes).
    groups
        Group 0..n_groups-1 of each cell, (cells,).
    """
    columns = sparse.csc_matrix(values)
    columns.eliminate_zeros()
    size = np.bincount(groups, minlength=n_groups).astype(np.float64)[:, None]
    n = float(len(groups))
    found = [_rank_sums(columns[:, part], groups, size) for part in _parts(columns.indptr)]
    sums, ties, expressing = (np.concatenate([part[i] for part in found], axis=-1) for i in range(3))
    variance = (1 - ties / (n**3 - n)) * size * (n - size) * (n + 1) / 12
    z = np.divide(sums - size * (n + 1) / 2, np.sqrt(variance), out=np.zeros_like(sums), where=variance > 0)
    p = 2 * stats.norm.sf(np.abs(z))
    return RankSums(z, p, stats.false_discovery_control(p, axis=1), expressing)


def _parts(indptr: np.ndarray) -> Iterator[slice]:
    """Genes of at most `ENTRIES` entries together, but one at least."""
    start, n_genes = 0, len(indptr) - 1
    while start < n_genes:
        stop = max(start + 1, int(np.searchsorted(indptr, indptr[start] + ENTRIES, side="right")) - 1)
        yield slice(start, stop)
        start = stop


def _rank_sums(
    columns: sparse.csc_matrix, groups: np.ndarray, size: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sum of the ranks of every group, (groups, genes), sum of t^3 - t over ties, (genes,), and entries of groups.

    Only entries are sorted: zeros, most of the values, all have the same rank.
    """
    n_cells, n_genes = columns.shape
    n_entries = np.diff(columns.indptr)
    n_zero = n_cells - n_entries.astype(np.int64)
    gene = np.repeat(np.arange(n_genes), n_entries)
    order = np.lexsort((columns.data, gene))
    value, cell = columns.data[order], columns.indices[order]
    is_new = np.ones(len(value), dtype=bool)
    is_new[1:] = (value[1:] != value[:-1]) | (gene[1:] != gene[:-1])
    first = np.flatnonzero(is_new)
    length = np.diff(np.append(first, len(value)))
    before = first - columns.indptr[gene[first]] + np.where(value[first] > 0, n_zero[gene[first]], 0)
    rank = np.repeat(before + (length + 1) / 2, length)
    n_negative = np.bincount(gene[value < 0], minlength=n_genes)
    rank_of_zeros = n_negative + (n_zero + 1) / 2
    place = groups[cell] * n_genes + gene
    shape = (len(size), n_genes)
    expressing = np.bincount(place, minlength=shape[0] * shape[1]).reshape(shape)
    sums = np.bincount(place, rank, shape[0] * shape[1]).reshape(shape) + (size - expressing) * rank_of_zeros
    ties = (
        np.bincount(gene[first], length.astype(np.float64) ** 3 - length, n_genes) + n_zero.astype(float) ** 3 - n_zero
    )
    return sums, ties, expressing
