"""Markers against scipy's test, a simulation whose markers are known, and awkward samples."""

import json

import anndata
import numpy as np
import pandas as pd
import pytest
from sccicl.downstream.expression import log_normalise
from sccicl.downstream.markers import COLUMNS, attach_markers, find_markers, markers_record, plot_markers, write_markers
from sccicl.io.gene_names import gene_symbols, is_ensembl
from sccicl.numerics.sampling import balanced_sample
from scipy import sparse, stats
from simulate import simulate_cells


def clustered(n_cells=200, **settings) -> anndata.AnnData:
    adata = simulate_cells(n_cells, 4, **settings)
    types = adata.obs["cell_type"].cat.codes.astype(str)
    adata.obs["cicl"] = pd.Categorical(types, categories=["0", "1", "2", "3"])
    adata.uns["cicl"] = {"id": "s", "prepare": {"input_kind": "counts"}, "seed": 0}
    return adata


def test_finds_the_genes_that_were_raised():
    table = find_markers(clustered())
    for kind in range(4):
        raised = {f"gene{i}" for i in range(kind * 15, (kind + 1) * 15)}
        top = table[table["cluster"] == str(kind)].head(15)
        assert set(top["gene"]) == raised
        assert top["rank"].tolist() == list(range(1, 16))
        # Raised 12-fold, which all cells of the simulation share alike, as all have 15 such genes
        assert top["log2_fold_change"].median() == pytest.approx(np.log2(12), abs=0.25)


def test_p_values_are_those_of_scipy():
    adata = clustered(120)
    table = find_markers(adata, max_p=1)
    counts = adata.X.toarray()
    values = np.log1p(counts / counts.sum(1, keepdims=True) * 1e4)
    inside = (adata.obs["cicl"] == "2").to_numpy()
    rows = table[table["cluster"] == "2"]
    for row in rows.head(40).itertuples():
        i = adata.var_names.get_loc(row.gene)
        test = stats.mannwhitneyu(values[inside, i], values[~inside, i], method="asymptotic", use_continuity=False)
        assert row.p_value == pytest.approx(test.pvalue, rel=1e-3)
        assert row.fraction_in == pytest.approx((counts[inside, i] > 0).mean())
        assert row.fraction_out == pytest.approx((counts[~inside, i] > 0).mean())


def test_adjusted_p_values_are_benjamini_and_hochbergs():
    rows = find_markers(clustered(120), max_p=1, min_fraction=0)
    part = rows[rows["cluster"] == "0"]
    # All genes are tested, those that are lower in the cluster too: at most as many as genes.
    least = stats.false_discovery_control(np.r_[part["p_value"], np.ones(120 - len(part))])[: len(part)]
    assert (part["p_adjusted"].to_numpy() <= least * 1.001).all()
    assert (part["p_adjusted"] >= part["p_value"]).all()


def test_few_cells_and_no_clusters():
    adata = clustered(60)
    lone = adata.obs["cicl"].astype(str)
    lone.iloc[0] = "4"
    adata.obs["cicl"] = pd.Categorical(lone, categories=[str(i) for i in range(5)])
    table = find_markers(adata)
    assert set(table["cluster"]) == {"0", "1", "2", "3"}
    assert table.attrs["left_out"] == ["4"]
    adata.obs["cicl"] = pd.Categorical(["0"] * 60)
    assert find_markers(adata).empty


def test_more_cells_than_are_tested():
    groups = np.repeat(["a", "b", "c"], [900, 90, 10])
    kept = balanced_sample(groups, 100)
    found = pd.Series(groups[kept]).value_counts()
    assert found["c"] == 10 and found["a"] == found["b"] == 45
    assert np.array_equal(kept, balanced_sample(groups, 100))
    table = find_markers(clustered(400), max_cells=100)
    assert table.attrs["n_cells"] == 100
    assert set(table[table["cluster"] == "0"].head(15)["gene"]) == {f"gene{i}" for i in range(15)}


def test_symbols_of_ensembl_genes(tmp_path):
    adata = clustered()
    adata.var["gene_symbols"] = [f"SYM{i}" for i in range(120)]
    adata.var_names = [f"ENSG{i:011d}.{i}" for i in range(120)]
    adata.var.loc[adata.var_names[3], "gene_symbols"] = np.nan
    adata.var.loc[adata.var_names[5], "gene_symbols"] = "SYM4"
    assert is_ensembl(adata.var_names)
    assert list(gene_symbols(adata)[2:6]) == ["SYM2", "ENSG00000000003.3", "SYM4", "SYM4"]
    table = find_markers(adata)
    assert {"SYM0", "SYM4"} <= set(table["symbol"])
    assert table["gene"].str.startswith("ENSG").all()
    import matplotlib.pyplot as plt

    assert len(plot_markers(adata, table, tmp_path, "s")) == 2
    assert plt.get_fignums() == []  # what is not closed stays in memory


def test_log_normalisation():
    counts = sparse.csr_matrix(np.array([[1.0, 3, 0], [0, 0, 0], [5, 5, 0]]))
    expected = [[np.log1p(2500), np.log1p(7500), 0], [0, 0, 0], [np.log1p(5000), np.log1p(5000), 0]]
    assert np.allclose(log_normalise(counts, "counts").toarray(), expected)
    assert np.array_equal(log_normalise(counts, "log").toarray(), counts.toarray())
    assert counts.max() == 5


def test_files_and_record(tmp_path):
    adata = clustered()
    table = find_markers(adata)
    write_markers(table, tmp_path / "s.markers.csv")
    read = pd.read_csv(tmp_path / "s.markers.csv", dtype={"cluster": str})
    assert list(read.columns) == list(COLUMNS)
    assert read["gene"].tolist() == table["gene"].tolist()
    record = json.loads(json.dumps(markers_record(table, "s"), default=float))
    attach_markers(adata, record)
    adata.write_h5ad(tmp_path / "s.h5ad")
    kept = anndata.read_h5ad(tmp_path / "s.h5ad").uns["cicl"]["markers"]
    assert kept["table"]["gene"].tolist() == table["gene"].tolist()
    assert kept["test"] == "wilcoxon"
    drawn = plot_markers(adata, table, tmp_path, "s")
    assert [path.name for path in drawn] == ["s.markers_dotplot.png", "s.markers_heatmap.png"]
    assert all(path.stat().st_size > 5000 for path in drawn)


def test_no_markers_leave_an_empty_table(tmp_path):
    adata = clustered()
    adata.obs["cicl"] = pd.Categorical(["0"] * adata.n_obs)
    table = find_markers(adata)
    assert plot_markers(adata, table, tmp_path, "s") == []
    attach_markers(adata, json.loads(json.dumps(markers_record(table, "s"))))
    adata.write_h5ad(tmp_path / "s.h5ad")
    write_markers(table, tmp_path / "s.csv")
    assert (tmp_path / "s.csv").read_text().startswith("cluster,rank,gene")
