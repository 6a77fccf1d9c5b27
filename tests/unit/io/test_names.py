"""Names without quotes and blanks, unique ones where there are such, and remedies for each format."""

import anndata
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sccicl.errors import InputError
from sccicl.io.names import SPREADSHEET_DATE, check_names, looks_like_header, unique_column, unquoted
from sccicl.io.read import take_counts
from sccicl.io.write_h5ad import write_h5ad

NAME = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp", "Cs"], exclude_characters="\"'"),
    min_size=1,
)


def adata_of(names: list[str], **columns) -> anndata.AnnData:
    counts = np.random.default_rng(0).poisson(2, (20, len(names))).astype(np.float32) + 1
    cells = pd.DataFrame(index=[f"cell_{i}" for i in range(20)])
    return anndata.AnnData(counts, obs=cells, var=pd.DataFrame(columns, index=names))


@settings(max_examples=200)
@given(NAME, st.sampled_from(["", " ", "\t"]), st.sampled_from(["", '"', "'"]))
def test_quotes_and_blanks_are_taken_off(name, blank, quote):
    assert unquoted([blank + quote + name + quote + blank]) == [name]


@pytest.mark.parametrize(
    "date", ["1-Mar", "2-Sep", "Sep-02", "Mar 1", "2021-03-01", "2021-03-01 00:00:00", "1/3/2021", "4-Okt"]
)
def test_dates_are_known(date):
    assert SPREADSHEET_DATE.fullmatch(date)


@pytest.mark.parametrize("gene", ["MARCH1", "SEPT2", "DEC1", "OCT4", "MAR1", "H2-K1", "1-8D", "HLA-A", "NKX2-1"])
def test_genes_are_no_dates(gene):
    assert not SPREADSHEET_DATE.fullmatch(gene)


@pytest.mark.parametrize("between", [" ", "_", "|"])
def test_two_names_in_one_give_symbols(between):
    names = [f"ENSG{i:011d}{between}GENE{i}" for i in range(12)]
    taken = take_counts(adata_of(names))
    assert list(taken.var["gene_symbols"]) == [f"GENE{i}" for i in range(12)]
    assert taken.var_names[0] == ("ENSG00000000000" if between == " " else names[0])


def test_numbers_give_way_to_a_column_of_names():
    ids = [f"ENSG{i:011d}" for i in range(12)]
    taken = take_counts(adata_of([str(i) for i in range(12)], gene_ids=ids))
    assert list(taken.var_names) == ids
    assert "numbers" in take_counts(adata_of([str(i) for i in range(12)])).uns["cicl"]["warnings"][0]


@pytest.mark.parametrize("column", [["a", "a", "b"], ["a", "", "b"], ["1", "2", "3"], [None, "a", "b"]])
def test_a_column_that_is_not_unique_names_nothing(column):
    assert unique_column(pd.DataFrame({"gene_ids": column})) is None


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("a.csv", "of the table"),
        ("a.tsv.gz", "of the table"),
        ("a.h5ad", "adata.var_names_make_unique()"),
        ("a.loom", "attribute 'Gene'"),
        ("folder", "features.tsv (or genes.tsv)"),
    ],
)
def test_duplicates_have_a_remedy_for_the_format(file, told):
    adata = adata_of(["A", "B", "A"])
    with pytest.raises(InputError) as error:
        check_names(adata, file)
    assert told in str(error.value) and "'A' 2 times, first at 1 and 3 of 3" in str(error.value)
    adata.var_names_make_unique()
    check_names(adata, file)


@pytest.mark.parametrize("fields", [["ENSEMBL", "SYMBOL"], ["gene_id"], ["x"], ["barcode"], ["bc_wells", "sample"]])
def test_headers(fields):
    assert looks_like_header(fields)
    assert not looks_like_header(["ENSG00000000001", "CD3D"]) and not looks_like_header(["ACGTACGTACGT-1"])


@pytest.mark.parametrize("odd", ["", ".", "/", "/a", "_index", "a\0b", "type/codes", "type"])
def test_columns_that_h5ad_cannot_hold_are_left_out(odd, tmp_path):
    adata = adata_of([f"GENE{i}" for i in range(12)])
    adata.obs = pd.DataFrame([["T", "x", 1]] * 20, columns=["type", odd, "n/a"], index=adata.obs_names)
    adata.obs["type"] = adata.obs["type"].astype("category") if odd != "type" else adata.obs["type"]
    taken = take_counts(adata)
    assert "left out" in taken.uns["cicl"]["warnings"][0]
    write_h5ad(taken, tmp_path / "s.h5ad")
    assert list(anndata.read_h5ad(tmp_path / "s.h5ad").obs.columns) == ["type", "n/a"]
