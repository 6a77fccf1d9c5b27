"""Sums that come out the same, bit for bit, in whatever order and blocks their terms are added.

A float64 sum is rounded after every term, so another order gives other last digits, which a training amplifies. Here
every term is split into two parts that are multiples of a unit so large that sums of the parts need no rounding
(Rump, Ogita and Oishi 2008, doi:10.1137/050645671, algorithm 3.1). What is left out is below 2^-53 of the last digit
that an ordinary sum keeps of its largest term.
"""

import math

import numpy as np
from scipy import sparse

# Terms that are split together stay in a core's cache.
IN_CACHE = 1 << 16
# Bits of a float64
PRECISION = 53


def units_of(bound: float | np.ndarray, n_terms: int) -> tuple[np.ndarray, np.ndarray]:
    """What `split` needs for sums of at most `n_terms` terms, each at most `bound` in absolute value."""
    bits = math.ceil(math.log2(n_terms + 2))
    # A bound may have been rounded itself, so it is doubled: 2^exponent is above it.
    exponent = np.frexp(2 * np.asarray(bound, dtype=np.float64))[1] + bits
    return np.ldexp(1.0, exponent), np.ldexp(1.0, exponent + bits - PRECISION)


def split(terms: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two parts of each term, whose sums are exact; see `units_of`."""
    high = terms + first
    high -= first
    low = terms - high
    low += second
    low -= second
    return high, low


def grouped_sums(groups: np.ndarray, terms: np.ndarray, n_groups: int, units: tuple) -> np.ndarray:
    """Sum of the terms of every group, in two parts: (2, groups).

    Results of several blocks of terms can be added without rounding; their sum over the first axis is the sum.

    Parameters
    ----------
    groups
        Group 0..n_groups-1 of every term, (terms,).
    units
        Of `units_of`, the same for all blocks.
    """
    sums = np.zeros((2, n_groups))
    for start in range(0, len(terms), IN_CACHE):
        own = groups[start : start + IN_CACHE].astype(np.intp, copy=False)  # once, instead of in each bincount
        for part, values in enumerate(split(terms[start : start + IN_CACHE], *units)):
            sums[part] += np.bincount(own, values, n_groups)
    return sums


def row_sums(matrix: sparse.csr_matrix, *, whole_numbers: bool) -> np.ndarray:
    """Sum of every row, (rows,) float64, whatever the order of the columns; sums of whole numbers are exact anyway."""
    if whole_numbers or not matrix.nnz:
        return np.asarray(matrix.sum(axis=1, dtype=np.float64)).ravel()
    sizes = np.diff(matrix.indptr)
    filled = np.flatnonzero(sizes)
    largest = np.maximum.reduceat(np.abs(matrix.data), matrix.indptr[filled])
    # Units of each row, so that it has the same sum whatever the other rows are
    units = (np.repeat(unit, sizes[filled]) for unit in units_of(largest, matrix.shape[1]))
    sums = np.zeros(len(sizes))
    for values in split(matrix.data.astype(np.float64), *units):
        sums[filled] += np.add.reduceat(values, matrix.indptr[filled])
    return sums
