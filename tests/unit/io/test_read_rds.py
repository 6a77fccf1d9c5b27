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
