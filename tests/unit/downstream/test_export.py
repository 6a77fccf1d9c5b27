"""Exports as the tools that read them see them."""

import json
import shutil
import subprocess

import anndata
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from clustered import clustered
from sccicl.downstream.export import _has_seurat, export_sample
from sccicl.errors import InputError


@pytest.fixture(scope="module")
def sample():
    adata = clustered(n_cells=120)
    rng = np.random.default_rng(0)
    adata.X = rng.poisson(1.0, adata.shape).astype(np.float32)
    adata.obs["flag"] = rng.random(120) > 0.5
    adata.obs["holes"] = pd.Categorical(np.where(np.arange(120) % 3, "x", None))
    adata.obs["cicl_celltypist"] = pd.Categorical(rng.choice(["B", "T"], 120))
    adata.var["gene_symbols"] = adata.var_names.to_numpy()
    adata.var_names = [f"ENSG{i:011d}" for i in range(adata.n_vars)]
    adata.var.loc[adata.var_names[1], "gene_symbols"] = adata.var["gene_symbols"].iloc[0]
    return adata


def test_cellxgene(sample, tmp_path):
    (path,) = export_sample(sample, tmp_path, "s", ["cellxgene"])
    found = anndata.read_h5ad(path)
    assert found.X.dtype == np.float32 and found.X.format == "csc"
    counts = sample.X / sample.X.sum(1, keepdims=True) * 1e4
    assert np.allclose(found.X.toarray(), np.log1p(counts), atol=1e-4)
    assert np.array_equal(found.raw.X.toarray(), sample.X)
    assert {"X_umap", "X_tsne"} <= set(found.obsm)
    assert found.var_names.is_unique and found.obs_names.is_unique
    assert found.var_names[0] == sample.var["gene_symbols"].iloc[0]
    assert found.var["gene_id"].tolist() == sample.var_names.tolist()
    # What it shows are numbers and categories of text, none of them missing; a colour for each category
    for name, column in found.obs.items():
        if not pd.api.types.is_numeric_dtype(column.dtype):
            assert isinstance(column.dtype, pd.CategoricalDtype) and not column.isna().any()
            assert all(isinstance(value, str) for value in column.cat.categories)
            assert len(found.uns[f"{name}_colors"]) == len(column.cat.categories)
    assert found.obs["holes"].value_counts()["not given"] == 40
    assert found.obs["cicl"].cat.categories.tolist() == sample.obs["cicl"].cat.categories.tolist()
    assert set(found.uns["default_embedding"]) == set("X_umap")


def test_seurat_folder_is_a_10x_folder(sample, tmp_path):
    written = export_sample(sample, tmp_path, "s", ["seurat"])
    found = sc.read_10x_mtx(written[0], var_names="gene_ids")
    assert np.array_equal(found.X.toarray(), sample.X)
    assert found.obs_names.tolist() == sample.obs_names.tolist()
    metadata = pd.read_csv(written[0] / "metadata.csv", index_col=0, dtype={"cluster": str})
    assert metadata["cluster"].tolist() == sample.obs["cicl"].astype(str).tolist()
    assert np.allclose(pd.read_csv(written[0] / "umap.csv", index_col=0), sample.obsm["X_umap"], atol=1e-3)


def test_seurat_keeps_a_column_of_the_input_that_is_called_cluster(sample, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    given = sample.copy()
    given.obs["cluster"] = "theirs"
    (written,) = export_sample(given, tmp_path, "s", ["seurat"])
    metadata = pd.read_csv(written / "metadata.csv", index_col=0, dtype=str)
    assert metadata["cluster"].tolist() == sample.obs["cicl"].astype(str).tolist()
    assert set(metadata["cluster_of_input"]) == {"theirs"}


@pytest.mark.slow  # R takes a while to load Seurat
@pytest.mark.skipif(not _has_seurat(), reason="no R with Seurat on this machine")
def test_seurat_object(sample, tmp_path):
    _, rds = export_sample(sample, tmp_path, "s", ["seurat"])
    script = """
    suppressMessages(library(Seurat)); o <- readRDS(commandArgs(TRUE)[1])
    umap <- Embeddings(o, "umap")
    form <- '{"cells": %d, "genes": %d, "sum": %.0f, "idents": "%s", "first": %.5f, "type": "%s"}'
    cat(sprintf(form, ncol(o), nrow(o), sum(GetAssayData(o, slot = "counts")), paste(levels(Idents(o)), collapse = " "),
                umap[1, 1], o$cicl_celltypist[1]))
    """
    done = subprocess.run(["Rscript", "-e", script, str(rds)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["cells"], found["genes"], found["sum"]) == (*sample.shape, sample.X.sum())
    assert found["idents"].split() == [c for c in sample.obs["cicl"].cat.categories if (sample.obs["cicl"] == c).any()]
    assert found["first"] == pytest.approx(sample.obsm["X_umap"][0, 0], abs=1e-3)
    assert found["type"] == sample.obs["cicl_celltypist"].iloc[0]


@pytest.mark.slow  # R takes a while to load Seurat
@pytest.mark.skipif(not _has_seurat(), reason="no R with Seurat on this machine")
def test_seurat_object_of_barcodes_that_look_like_numbers(sample, tmp_path):
    given = sample.copy()
    given.obs_names = [f"{i:04d}" for i in range(given.n_obs)]
    _, rds = export_sample(given, tmp_path, "s", ["seurat"])
    script = """
    suppressMessages(library(Seurat)); o <- readRDS(commandArgs(TRUE)[1])
    cat(colnames(o)[2], rownames(Embeddings(o, "umap"))[2])
    """
    done = subprocess.run(["Rscript", "-e", script, str(rds)], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["0001", "0001"], done.stderr


def test_no_seurat_leaves_the_folder(sample, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert export_sample(sample, tmp_path, "s", ["seurat"]) == [tmp_path / "seurat"]
    assert (tmp_path / "seurat" / "seurat.R").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["seurat"]


def test_loupe(sample, tmp_path):
    written = export_sample(sample, tmp_path, "s", ["loupe"])
    assert [path.name for path in written] == ["s.loupe.csv", "s.loupe_umap.csv", "s.loupe_tsne.csv"]
    table = pd.read_csv(written[0])
    assert list(table.columns) == ["Barcode", "CICL", "CellTypist"]
    named = sample.copy()
    named.obs["cicl_names"] = "Mine"
    (table_of_named, *_) = export_sample(named, tmp_path, "s", ["loupe"])
    assert set(pd.read_csv(table_of_named)["Your names"]) == {"Mine"}
    assert table["Barcode"].tolist() == sample.obs_names.tolist()
    assert table["CICL"].iloc[0] == f"Cluster {sample.obs['cicl'].iloc[0]}"
    assert list(pd.read_csv(written[1]).columns) == ["Barcode", "X Coordinate", "Y Coordinate"]


def test_unknown_tool(sample, tmp_path):
    with pytest.raises(InputError, match="cellxgene, seurat, loupe"):
        export_sample(sample, tmp_path, "s", ["excel"])
