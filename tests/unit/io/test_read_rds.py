"""R objects are read by R where it is installed; otherwise one sentence says how to export them."""

import gzip
import shutil
import subprocess

import numpy as np
import pytest
from sccicl.errors import InputError
from sccicl.io.read import read_counts
from scipy import io

WRITE = """
suppressPackageStartupMessages(library(Matrix)); set.seed(1)
x <- Matrix(rpois(600, 2) + 0, 20, 30, sparse = TRUE)
rownames(x) <- paste0("GENE", 1:20); colnames(x) <- paste0("AAACCTGAGAAACC", 10:39)
writeMM(x, "truth.mtx")
saveRDS(x, "matrix.rds"); saveRDS(list(1), "list.rds")
if (requireNamespace("SeuratObject", quietly = TRUE)) {
  suppressPackageStartupMessages(library(SeuratObject))
  s <- CreateSeuratObject(counts = x); s$cell_type <- rep(c("A", "B"), 15)
  saveRDS(s, "seurat.rds"); save(s, file = "seurat.RData")
}
if (requireNamespace("SingleCellExperiment", quietly = TRUE)) {
  suppressPackageStartupMessages(library(SingleCellExperiment))
  saveRDS(SingleCellExperiment(list(counts = x), colData = DataFrame(cell_type = rep(c("A", "B"), 15))), "sce.rds")
  saveRDS(SingleCellExperiment(list(logcounts = log1p(x))), "logs.rds")
}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    if shutil.which("Rscript") is None:
        pytest.skip("R is not installed")
    folder = tmp_path_factory.mktemp("r")
    subprocess.run(["Rscript", "--vanilla", "-e", WRITE], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("name", ["seurat.rds", "seurat.RData", "sce.rds", "matrix.rds"])
def test_counts_and_columns_of_an_object(folder, name):
    if not (folder / name).exists():
        pytest.skip("its package is not installed")
    adata = read_counts(folder / name)
    np.testing.assert_array_equal(adata.X.toarray(), io.mmread(folder / "truth.mtx").toarray().T)
    assert adata.var_names[0] == "GENE1" and adata.obs_names[0] == "AAACCTGAGAAACC10"
    if name != "matrix.rds":
        assert list(adata.obs["cell_type"]) == ["A", "B"] * 15


# A package of the name, classes and functions of SeuratObject 5, which Debian has not yet: layers of an assay may hold
# some of the cells each, and JoinLayers puts those of a kind together in the order of the assay's cells.
SEURAT_5 = r"""
dir.create("SeuratObject/R", recursive = TRUE); dir.create("lib")
writeLines(c("Package: SeuratObject", "Version: 5.0.0", "Title: Stand-In", "Description: For a test.", "License: none",
             "Author: x", "Maintainer: x <x@example.org>", "Imports: methods"), "SeuratObject/DESCRIPTION")
writeLines(c("import(methods)", "exportPattern('^[A-Z]')", "exportMethods('[[')", "exportClasses(Seurat, Assay5)"),
           "SeuratObject/NAMESPACE")
writeLines('
setClass("Assay5", slots = c(layers = "list", cells = "character"))
setClass("Seurat", slots = c(assays = "list", active.assay = "character", meta.data = "data.frame"))
setMethod("[[", "Seurat", function(x, i, ...) x@assays[[i]])
DefaultAssay <- function(object) object@active.assay
Layers <- function(object) names(object@layers)
LayerData <- function(object, layer) {
  if (!layer %in% names(object@layers)) stop("no such layer")
  object@layers[[layer]]
}
JoinLayers <- function(object) {
  parts <- object@layers
  kinds <- sub("[.].*", "", names(parts))
  object@layers <- sapply(unique(kinds), function(kind) do.call(cbind, parts[kinds == kind])[, object@cells])
  object
}', "SeuratObject/R/all.R")
system2(file.path(R.home("bin"), "R"), c("CMD", "INSTALL", "--no-docs", "--no-test-load", "-l", "lib", "SeuratObject"))
suppressPackageStartupMessages(library(SeuratObject, lib.loc = "lib")); library(Matrix)
x <- as(readMM("truth.mtx"), "CsparseMatrix")
rownames(x) <- paste0("GENE", 1:20); colnames(x) <- paste0("AAACCTGAGAAACC", 10:39)
meta <- data.frame(cell_type = rep(c("A", "B"), 15), row.names = colnames(x))
seurat <- function(layers, meta, cells = colnames(x)) new("Seurat", assays = list(
  RNA = new("Assay5", layers = layers, cells = cells)), active.assay = "RNA", meta.data = meta)
saveRDS(seurat(list(counts = x, data = log1p(x)), meta), "one.rds")
# Samples of odd and of even cells; the rows of meta.data are in another order
odd <- seq(1, 30, 2)
split <- list(counts.s1 = x[, odd], counts.s2 = x[, -odd], data.s1 = x[, odd], data.s2 = x[, -odd])
saveRDS(seurat(split, meta[30:1, , drop = FALSE]), "two.rds")
saveRDS(seurat(list(counts.s1 = x[, odd]), meta, colnames(x)[odd]), "part.rds")
saveRDS(seurat(list(data = log1p(x)), meta), "logs5.rds")
"""


@pytest.fixture(scope="module")
def seurat_5(folder):
    subprocess.run(["Rscript", "--vanilla", "-e", SEURAT_5], cwd=folder, check=True, capture_output=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("R_LIBS", str(folder / "lib"))
        yield folder


@pytest.mark.parametrize(
    ("name", "cells"), [("one", slice(None)), ("two", slice(None)), ("part", slice(None, None, 2))]
)
def test_layers_of_seurat_5(seurat_5, name, cells):
    adata = read_counts(seurat_5 / f"{name}.rds")
    np.testing.assert_array_equal(adata.X.toarray(), io.mmread(seurat_5 / "truth.mtx").toarray().T[cells])
    assert list(adata.obs_names) == [f"AAACCTGAGAAACC{i}" for i in range(10, 40)][cells]
    assert list(adata.obs["cell_type"]) == (["A", "B"] * 15)[cells]
    told = " ".join(adata.uns["cicl"]["warnings"])
    assert ("layers counts.s1, counts.s2 were joined" in told) == (name == "two")


def test_seurat_5_without_counts(seurat_5):
    with pytest.raises(InputError, match=r"no such counts \(it has data\): name one of these with --counts-layer"):
        read_counts(seurat_5 / "logs5.rds")


def test_an_object_without_counts_names_what_it_has(folder):
    if not (folder / "logs.rds").exists():
        pytest.skip("SingleCellExperiment is not installed")
    with pytest.raises(InputError, match=r"it has logcounts.*--counts-layer.*write10xCounts"):
        read_counts(folder / "logs.rds")
    assert read_counts(folder / "logs.rds", counts_layer="logcounts", input_kind="log").shape == (30, 20)


def test_another_object_is_refused(folder):
    with pytest.raises(InputError, match="its object is a list, which is neither Seurat nor SingleCellExperiment"):
        read_counts(folder / "list.rds")


def test_without_r_a_sentence_says_how_to_export(tmp_path, monkeypatch):
    (tmp_path / "s.rds").write_bytes(gzip.compress(b"X\n"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        InputError, match=r"s\.rds is an object of R.*install R, or in R, write it with DropletUtils::write10x"
    ):
        read_counts(tmp_path / "s.rds")
