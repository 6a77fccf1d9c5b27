"""Names of genes: by whatever column the symbols are in, and why some match nothing."""

import anndata
import numpy as np
import pandas as pd
import pytest
from sccicl.io.gene_names import add_symbols_column, by_symbols, gene_symbols, is_ensembl, why_none_matches

IDS = ["ENSG00000010610", "ENSG00000156738", "ENSG00000105369.9"]
SYMBOLS = ["CD4", "MS4A1", "CD79A"]


def genes(names, **columns):
    return anndata.AnnData(np.ones((2, len(names)), dtype=np.float32), var=pd.DataFrame(columns, index=names))


@pytest.mark.parametrize("column", ["gene_symbols", "gene_symbol", "gene_name", "gene_names", "feature_name", "symbol"])
def test_symbols_by_any_name_of_the_column(column):
    adata = genes(IDS, **{column: pd.Categorical([" CD4", "", "CD79A"])})
    expected = ["CD4", "ENSG00000156738", "CD79A"]
    assert list(gene_symbols(adata)) == expected
    add_symbols_column(adata)
    assert list(adata.var["gene_symbols"].astype(str).str.strip().replace("", IDS[1])) == expected


@pytest.mark.parametrize("missing", [None, np.nan, "nan", "None", " "])
def test_a_gene_without_a_symbol_keeps_its_identifier(missing):
    assert list(gene_symbols(genes(IDS, gene_name=["CD4", missing, "CD79A"]))) == ["CD4", IDS[1], "CD79A"]


def test_identifiers_of_other_kinds_have_symbols_too():
    assert list(gene_symbols(genes(["920", "931", "973"], gene_symbols=SYMBOLS))) == SYMBOLS


def test_a_column_of_identifiers_holds_no_symbols():
    adata = genes(SYMBOLS, gene_name=IDS)
    assert list(gene_symbols(adata)) == SYMBOLS
    add_symbols_column(adata)
    assert "gene_symbols" not in adata.var


def test_ensembl():
    assert is_ensembl([*IDS, "MT-CO1"]) and is_ensembl(["FBgn0000014"]) and is_ensembl(["ENSMUSG00000059552.2"])
    assert not is_ensembl(SYMBOLS) and not is_ensembl([])


def test_the_names_that_match_more():
    adata = genes(IDS, gene_symbols=SYMBOLS)
    assert by_symbols(adata, ["CD4", "CD8A"]) and not by_symbols(adata, IDS) and not by_symbols(adata, ["XIST"])


@pytest.mark.parametrize(
    ("adata", "theirs", "told"),
    [
        (genes(IDS), ["CD4"], "by symbols and the sample by Ensembl identifiers"),
        (
            genes(IDS, gene_symbols=SYMBOLS),
            ["TP53"],
            "the model has TP53, the sample CD4; use a model of the",
        ),
        (genes(SYMBOLS), IDS, "by Ensembl identifiers and the sample by symbols"),
        (genes(SYMBOLS), ["Cd4"], "capital letters"),
    ],
)
def test_why_nothing_matches(adata, theirs, told):
    assert told in why_none_matches(adata, theirs, "model")
