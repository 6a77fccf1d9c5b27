"""Cells of known types: Poisson counts whose mean profile differs in some genes."""

import anndata
import numpy as np
import pandas as pd
from scipy import sparse


def simulate_cells(
    n_cells: int = 150, n_types: int = 5, n_genes: int = 120, *, markers: int = 15, fold: float = 12.0, seed: int = 0
) -> anndata.AnnData:
    """Types of nearly equal size, each with `markers` genes raised `fold` times; obs["cell_type"] is the truth."""
    rng = np.random.default_rng(seed)
    types = np.arange(n_cells) % n_types
    mean = np.tile(rng.gamma(2.0, 0.6, n_genes), (n_types, 1))
    for kind in range(n_types):
        mean[kind, kind * markers : (kind + 1) * markers] *= fold
    depth = rng.lognormal(0, 0.2, n_cells)
    counts = rng.poisson(mean[types] * depth[:, None]).astype(np.float32)
    obs = pd.DataFrame(
        {
            "cell_type": pd.Categorical([f"type{kind}" for kind in types]),
            "batch": np.where(np.arange(n_cells) % 2, "a", "b"),
        },
        index=[f"cell{i}" for i in range(n_cells)],
    )
    return anndata.AnnData(
        sparse.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=[f"gene{i}" for i in range(n_genes)])
    )
