"""Cells of known types: Poisson counts whose mean profile differs in some genes.

A machine with a GPU may have torch, numpy and scipy only: what else is needed is imported where it is.
"""

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    import anndata


def simulate_cells(
    n_cells: int = 150, n_types: int = 5, n_genes: int = 120, *, markers: int = 15, fold: float = 12.0, seed: int = 0
) -> "anndata.AnnData":
    """Types of nearly equal size, each with `markers` genes raised `fold` times; obs["cell_type"] is the truth."""
    import anndata
    import pandas as pd

    counts, types = simulate_counts(n_cells, n_types, n_genes, markers=markers, fold=fold, seed=seed)
    obs = pd.DataFrame(
        {
            "cell_type": pd.Categorical([f"type{kind}" for kind in types]),
            "batch": np.where(np.arange(n_cells) % 2, "a", "b"),
        },
        index=[f"cell{i}" for i in range(n_cells)],
    )
    return anndata.AnnData(counts, obs=obs, var=pd.DataFrame(index=[f"gene{i}" for i in range(n_genes)]))


def simulate_counts(
    n_cells: int = 150, n_types: int = 5, n_genes: int = 120, *, markers: int = 15, fold: float = 12.0, seed: int = 0
) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Counts (cells, genes) of `simulate_cells`, and the types (cells,)."""
    rng = np.random.default_rng(seed)
    types = np.arange(n_cells) % n_types
    mean = np.tile(rng.gamma(2.0, 0.6, n_genes), (n_types, 1))
    for kind in range(n_types):
        mean[kind, kind * markers : (kind + 1) * markers] *= fold
    depth = rng.lognormal(0, 0.2, n_cells)
    return sparse.csr_matrix(rng.poisson(mean[types] * depth[:, None]).astype(np.float32)), types
