"""Cells whose clusters are their types, for tests of annotation."""

import anndata
import pandas as pd
from simulate import simulate_cells


def clustered(n_cells=160, seed=1, types=4, n_genes=120) -> anndata.AnnData:
    """Cells whose clusters are their types, one cell of each in a wrong cluster."""
    adata = simulate_cells(n_cells, types, n_genes, seed=seed)
    codes = adata.obs["cell_type"].cat.codes.to_numpy().copy()
    codes[:types] = (codes[:types] + 1) % types
    adata.obs["cicl"] = pd.Categorical.from_codes(codes, [str(i) for i in range(types)])
    adata.uns["cicl"] = {"id": "s", "prepare": {"input_kind": "counts"}, "seed": 0, "k": {"given": True}}
    return adata


def as_ensembl(adata: anndata.AnnData) -> anndata.AnnData:
    adata = adata.copy()
    adata.var_names = [f"ENSG{i:011d}" for i in range(adata.n_vars)]
    return adata
