"""Names of genes: Ensembl identifiers, and symbols whatever the column of `var` is called that holds them."""

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from anndata import AnnData


# As nf-core/scrnaseq, Cell Ranger's readers, CELLxGENE and Seurat's exports call it
SYMBOL_COLUMNS = ("gene_symbols", "gene_symbol", "gene_name", "gene_names", "feature_name", "symbol")
# Ensembl's stable identifiers of genes: ENSG00000141510, ENSMUSG00000059552.2; flies and worms have their own.
ENSEMBL = r"ENS[A-Z]*G\d{6,}(\.\d+)?|FBgn\d{7}|WBGene\d{8}"


def is_ensembl(names: pd.Index | pd.Series | np.ndarray | list[str]) -> bool:
    """Whether most of the names are Ensembl gene identifiers."""
    names = pd.Series(np.asarray(names, dtype=str))
    return bool(len(names)) and bool(names.str.fullmatch(ENSEMBL).mean() > 0.5)


def symbol_column(adata: "AnnData") -> str | None:
    """The column of `var` that holds symbols; one of Ensembl identifiers, which some files call so too, does not."""
    there = (name for name in SYMBOL_COLUMNS if name in adata.var)
    return next((name for name in there if not is_ensembl(adata.var[name].astype(str))), None)


def gene_symbols(adata: "AnnData") -> np.ndarray:
    """Name of every gene as a reader knows it, shape (genes,), str: not unique.

    A gene keeps the name in `var_names` where no column holds symbols, or none for this gene.
    """
    names = np.asarray(adata.var_names, dtype=str)
    column = symbol_column(adata)
    if column is None:
        return names
    symbols = adata.var[column].astype("string").str.strip().fillna("").to_numpy(dtype=str)
    return np.where(np.isin(symbols, ("", "nan", "None")), names, symbols)


def add_symbols_column(adata: "AnnData") -> None:
    """Set `var["gene_symbols"]` where the symbols are in a column of another name."""
    if "gene_symbols" not in adata.var and symbol_column(adata) is not None:
        adata.var["gene_symbols"] = gene_symbols(adata).astype(object)


def by_symbols(adata: "AnnData", genes: Collection[str]) -> bool:
    """Whether more of `genes` are among the symbols of `adata` than among its `var_names`."""
    genes = set(genes)
    return len(genes & set(gene_symbols(adata))) > len(genes & set(adata.var_names))


def why_none_matches(adata: "AnnData", genes: Collection[str], source: str) -> str:
    """Half a sentence on genes that are neither names nor symbols in `adata`; `source` (model, list) has them."""
    theirs, own = is_ensembl(sorted(genes)), is_ensembl(adata.var_names)
    symbols = gene_symbols(adata)
    example = f"the {source} has {min(genes)}, the sample {symbols[0]}"
    if own and not theirs and symbol_column(adata) is None:
        return (
            f"the {source} names genes by symbols and the sample by Ensembl identifiers ({example}), and its var has "
            "no column of symbols; add var['gene_symbols']"
        )
    if theirs and not own:
        return (
            f"the {source} names genes by Ensembl identifiers and the sample by symbols ({example}); make the "
            f"identifiers the var_names, or use a {source} with symbols"
        )
    if {gene.lower() for gene in genes} & {name.lower() for name in symbols}:
        return (
            f"they differ in capital letters ({example}), as those of human and mouse do; use a {source} of the species"
        )
    return f"{example}; use a {source} of the same species and gene names"
