"""Normalisation of counts: library sizes, logarithms, scaling."""

import numpy as np
from scipy import sparse

from ..config import InputKind

CLIP = 10.0


def z_scored(values: np.ndarray) -> np.ndarray:
    """Full scaling, in which a faint gene counts as much as a strong one; clipped at 10."""
    values = values - values.mean(0)
    return np.clip(values / np.maximum(values.std(0), 1e-8), -CLIP, CLIP)


def root_scaled(values: np.ndarray) -> np.ndarray:
    """Divided by the root of the standard deviation: between full scaling and none."""
    values = values - values.mean(0)
    return values / np.sqrt(np.maximum(values.std(0), 1e-8))


def freeman_tukey(values: np.ndarray) -> np.ndarray:
    """sqrt(x) + sqrt(x + 1), of about the same variance for any mean of a count (Freeman & Tukey 1950)."""
    return np.sqrt(values) + np.sqrt(values + 1)


# z-scored together: what is worked on stays in a core's cache.
SCORE_CELLS = 512


def library_sizes(counts: sparse.csr_matrix, input_kind: InputKind) -> np.ndarray:
    """Sum of the counts of every cell, (cells,) float64; ones for `log` values."""
    if input_kind == "log":
        return np.ones(counts.shape[0])
    return np.asarray(counts.sum(axis=1, dtype=np.float64)).ravel()


def size_factors(library: np.ndarray, median: float | None = None) -> np.ndarray:
    """Library size / median library size, (cells,); 1 for a cell without counts."""
    return np.where(library > 0, library / (np.median(library) if median is None else median), 1.0)


def normalise(counts: sparse.csr_matrix, factors: np.ndarray, input_kind: InputKind) -> sparse.csr_matrix:
    """log1p(counts / size factor), CSR float64; `log` values as they are."""
    values = counts.data.astype(np.float64)
    if input_kind != "log":
        values = np.log1p(values / np.repeat(factors, np.diff(counts.indptr)))
    return sparse.csr_matrix((values, counts.indices, counts.indptr), shape=counts.shape)


def z_score(
    log_values: sparse.csr_matrix, mean: np.ndarray, std: np.ndarray, max_value: float | None = None
) -> np.ndarray:
    """(values - mean) / std, (cells, genes) float32; 0 for a gene with a standard deviation of 0."""
    scale = np.divide(1.0, std, out=np.zeros_like(std), where=std > 0)
    n_cells = log_values.shape[0]
    # Most entries are those of a gene that is absent; only the others are worked on one by one.
    scores = np.tile(_clipped((0.0 - mean) * scale, max_value), (n_cells, 1))
    for start in range(0, n_cells, SCORE_CELLS):
        part = log_values[start : start + SCORE_CELLS]
        genes = part.indices
        cells = np.repeat(np.arange(part.shape[0]), np.diff(part.indptr))
        values = _clipped((part.data - mean[genes]) * scale[genes], max_value)
        scores[start : start + SCORE_CELLS][cells, genes] = values
    return scores


def _clipped(values: np.ndarray, max_value: float | None) -> np.ndarray:
    values = values.astype(np.float32)
    return values if max_value is None else np.clip(values, -max_value, max_value, out=values)
