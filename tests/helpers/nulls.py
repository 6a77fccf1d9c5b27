"""Cells without clusters: one type with noise of several kinds, and a smooth trajectory between two states."""

from itertools import product
from typing import NamedTuple

import anndata
import numpy as np
import pandas as pd
from scipy import sparse


class Null(NamedTuple):
    """One cell type: `dispersion` 0 is Poisson noise, above it is negative binomial with variance m + dispersion m^2.

    `spread` is the standard deviation of the logarithm of the cells' depths, `counts` their median.
    """

    n_cells: int
    counts: int
    dispersion: float
    spread: float
    n_genes: int = 2000

    def draw(self, seed: int = 0) -> anndata.AnnData:
        """Counts from one profile whose genes span four orders of magnitude, as those of a real cell type do."""
        rng = np.random.default_rng(seed)
        profile = rng.lognormal(0, 1.8, self.n_genes)
        depth = self.counts * rng.lognormal(0, self.spread, self.n_cells)
        mean = np.outer(depth, profile / profile.sum())
        # Faint genes are noisier than strong ones (the trend of Love et al. 2014).
        dispersion = self.dispersion * (1 + 1 / np.maximum(mean.mean(0), 0.05)) ** 0.5
        if self.dispersion:
            mean = mean * rng.gamma(1 / dispersion, dispersion, mean.shape)
        return _cells(rng.poisson(mean))


NULLS = [
    Null(n_cells, counts, dispersion, spread)
    for (n_cells, counts), (dispersion, spread) in product(
        [(60, 20_000), (150, 1_000), (300, 5_000), (800, 2_000), (2_000, 3_000)],
        [(0.0, 0.3), (0.0, 1.0), (0.1, 0.5), (0.5, 0.4)],
    )
]


def trajectory(n_cells: int = 400, n_genes: int = 1000, *, moving: int = 300, seed: int = 0) -> anndata.AnnData:
    """Cells spread evenly from one state to another; `moving` genes rise or fall smoothly; obs["time"] is the truth."""
    rng = np.random.default_rng(seed)
    time = rng.random(n_cells)
    profile = rng.lognormal(0, 1.5, n_genes)
    turn, sign = rng.random(moving), rng.choice([-1, 1], moving)
    change = np.zeros((n_cells, n_genes))
    change[:, :moving] = sign * 1.5 * np.tanh(2 * (time[:, None] - turn))
    mean = profile * np.exp(change)
    mean *= 5000 * rng.lognormal(0, 0.3, (n_cells, 1)) / mean.sum(1, keepdims=True)
    cells = _cells(rng.poisson(mean * rng.gamma(10, 0.1, mean.shape)))
    cells.obs["time"] = time
    return cells


def _cells(counts: np.ndarray) -> anndata.AnnData:
    n_cells, n_genes = counts.shape
    return anndata.AnnData(
        sparse.csr_matrix(counts.astype(np.float32)),
        obs=pd.DataFrame(index=[f"cell{i}" for i in range(n_cells)]),
        var=pd.DataFrame(index=[f"gene{i}" for i in range(n_genes)]),
    )
