"""Log-normalised expression, for everything that comes after the clusters."""

import anndata
import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from ..io.gene_names import gene_symbols
from ..io.record import Preparation

TARGET_SUM = 1e4


def input_kind(adata: AnnData) -> str:
    """What X holds, as the preparation noted it: `counts`, `normalised` or `log`."""
    return Preparation.of(adata).input_kind


def log_normalise(values: sparse.csr_matrix | np.ndarray, kind: str) -> sparse.csr_matrix:
    """log1p of the values scaled to a sum of 10,000 in every cell, CSR float32; values of kind `log` as they are."""
    matrix = sparse.csr_matrix(values, dtype=np.float32, copy=True)
    if kind == "log":
        return matrix
    total = np.asarray(matrix.sum(axis=1, dtype=np.float64)).ravel()
    scale = np.divide(TARGET_SUM, total, out=np.zeros_like(total), where=total > 0)
    matrix.data = np.log1p(matrix.data * np.repeat(scale, np.diff(matrix.indptr))).astype(np.float32)
    return matrix


def log_normalised(adata: AnnData, *, cells: np.ndarray | None = None, symbols: bool = False) -> AnnData:
    """A new AnnData with log-normalised X (as of `log_normalise`) and obs of `cells`, by default all.

    With `symbols`, var_names are `gene_symbols`, and of genes with the same symbol the one with the most counts stays.
    `uns["log1p"]` tells scanpy that the logarithm is the natural one.
    """
    rows = slice(None) if cells is None else cells
    matrix = log_normalise(adata.X[rows], input_kind(adata))
    names = pd.Index(gene_symbols(adata) if symbols else adata.var_names.to_numpy(dtype=str)).astype(object)
    found = anndata.AnnData(matrix, obs=adata.obs.iloc[rows].copy(), var=pd.DataFrame(index=names))
    found.uns["log1p"] = {"base": None}
    if symbols and not names.is_unique:
        order = np.argsort(-np.asarray(matrix.sum(axis=0)).ravel(), kind="stable")
        kept = np.sort(order[~names[order].duplicated()])
        found = found[:, kept].copy()
    return found
