"""Symbols of genes that are named by id, whatever the column of `var` is called."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from anndata import AnnData

# As nf-core/scrnaseq, Cell Ranger's readers, CELLxGENE and Seurat's exports call it
SYMBOL_COLUMNS = ("gene_symbols", "gene_symbol", "gene_name", "gene_names", "feature_name", "symbol")


def gene_symbols(adata: "AnnData") -> np.ndarray:
    """Symbol of every gene, (genes,) strings; its name where no column holds symbols, or none for this gene."""
    names = adata.var_names.to_numpy(dtype=object)
    for column in SYMBOL_COLUMNS:
        if column in adata.var:
            symbols = adata.var[column].astype(object)
            missing = symbols.isna() | (symbols.astype(str) == "")
            return np.where(missing, names, symbols.astype(str)).astype(str)
    return names.astype(str)


def add_symbols_column(adata: "AnnData") -> None:
    """Set `var["gene_symbols"]` where the symbols are in a column of another name."""
    if "gene_symbols" not in adata.var and any(column in adata.var for column in SYMBOL_COLUMNS):
        adata.var["gene_symbols"] = gene_symbols(adata)
