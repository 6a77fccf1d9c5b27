"""Files of older and newer anndata are read, and results are opened by old anndata and by R.

Each version gets an environment of its own in .tools/anndata, made when it is first asked for; where the package index
cannot be reached, or there is no Python for it, its tests are left out and say so.
"""

import functools
import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import version as version_of
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import torch
from sccicl.config import PRESETS
from sccicl.downstream.export import export_sample
from sccicl.io.read import read_counts
from sccicl.io.write_h5ad import write_h5ad
from sccicl.steps.cluster import cluster_sample
from sccicl.steps.fit import fit_sample
from sccicl.steps.prepare import prepare_sample, prepare_to_file
from simulate import simulate_cells

ENVIRONMENTS = Path(__file__).resolve().parents[2] / ".tools" / "anndata"
# Oldest Python that a version needs, and what it was used with in its time
VERSIONS = {
    "0.10": (11, ["anndata==0.10.*", "pandas<2.2", "numpy<2"]),
    "0.11": (11, ["anndata==0.11.*", "pandas<2.3"]),
    "0.12": (11, ["anndata==0.12.*", "pandas<3"]),
    "0.13": (12, ["anndata==0.13.*", "pandas>=3"]),
}
NEWEST_PYTHON = 14

WRITE = """
import sys, numpy as np, pandas as pd, anndata
from scipy import sparse
folder = sys.argv[1]
rng = np.random.default_rng(0)
counts = rng.poisson(2.0, (40, 30)).astype(np.float32)
counts[:, 0] = 1
names = [f"Zelle-{i:02d}-\u00e4" for i in range(40)]
obs = pd.DataFrame({
    "type": pd.Categorical(["B", "T"] * 20), "text": ["a", "b"] * 20, "depth": np.arange(40.0),
    "known": pd.array([True, None] * 20, dtype="boolean"), "number": pd.array([1, None] * 20, dtype="Int64"),
}, index=names)
obs.loc[names[3], "type"] = np.nan
var = pd.DataFrame({"gene_symbols": [f"SYM{i}" for i in range(30)]}, index=[f"ENSG{i:011d}" for i in range(30)])
for name, matrix in {"csr": sparse.csr_matrix(counts), "csc": sparse.csc_matrix(counts), "dense": counts}.items():
    adata = anndata.AnnData(matrix, obs=obs.copy(), var=var.copy())
    adata.layers["counts"] = matrix.copy()
    adata.raw = adata
    adata.obsm["X_pca"], adata.uns["note"] = counts[:, :2], {"by": anndata.__version__}
    adata.write_h5ad(f"{folder}/{name}.h5ad", compression="gzip" if name == "csc" else None)
np.save(f"{folder}/counts.npy", counts)
print(anndata.__version__, pd.__version__)
"""
OPEN = """
import json, sys, anndata
adata = anndata.read_h5ad(sys.argv[1])
record = adata.uns["cicl"]
print(json.dumps({
    "cells": list(adata.obs_names), "genes": list(adata.var_names), "sum": float(adata.X.sum()),
    "clusters": [str(name) for name in adata.obs["cicl"]], "text": [str(value) for value in adata.obs["text"]],
    "embedding": [float(value) for value in adata.obsm["X_cicl"].sum(1)], "seed": int(record["seed"]),
    "version": str(record["versions"]["anndata"]),
}))
"""
R = """
file <- hdf5r::H5File$new(commandArgs(TRUE)[1], "r")
text <- function(path) as.character(file[[path]][])
codes <- file[["obs/cicl/codes"]][]
x <- Matrix::sparseMatrix(j = file[["X/indices"]][] + 1, i = rep(seq_along(diff(file[["X/indptr"]][])),
    diff(file[["X/indptr"]][])), x = file[["X/data"]][], dims = hdf5r::h5attr(file[["X"]], "shape"))
write.csv(data.frame(cell = text(paste0("obs/", hdf5r::h5attr(file[["obs"]], "_index"))),
    cluster = text("obs/cicl/categories")[codes + 1], depth = Matrix::rowSums(x),
    first = file[["obsm/X_cicl"]][1, ]), commandArgs(TRUE)[2], row.names = FALSE)
"""
R_FOLDER = """
folder <- commandArgs(TRUE)[1]
x <- Matrix::readMM(gzfile(file.path(folder, "matrix.mtx.gz")))
names <- function(file) read.delim(gzfile(file.path(folder, file)), header = FALSE, quote = "")[[1]]
genes <- length(names("features.tsv.gz"))
write.csv(data.frame(cell = names("barcodes.tsv.gz"), depth = Matrix::colSums(x), genes = genes),
    commandArgs(TRUE)[2], row.names = FALSE)
"""


def pythons(oldest):
    """Pythons of this machine from 3.`oldest` on, those of pyenv among them."""
    for minor in range(oldest, NEWEST_PYTHON + 1):
        found = [shutil.which(f"python3.{minor}"), *Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python")]
        for python in filter(None, found):
            if subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0:
                yield str(python)


@functools.cache
def environment(version):
    """Python with this anndata, or the reason why there is none."""
    oldest, packages = VERSIONS[version]
    python = ENVIRONMENTS / version / "bin" / "python"
    if (ENVIRONMENTS / version / "made").exists():
        return python, None
    beside = Path(sys.executable).parent
    uv, base = shutil.which("uv", path=f"{beside}{os.pathsep}{os.environ['PATH']}"), next(pythons(oldest), None)
    if uv is None or base is None:
        return None, f"no {'uv' if uv is None else f'Python from 3.{oldest} on'} on this machine"
    settings = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
    for command in (
        [uv, "venv", "--quiet", "--clear", "--python", base, str(ENVIRONMENTS / version)],
        [uv, "pip", "install", "--quiet", "--python", str(python), *packages],
    ):
        done = subprocess.run(command, capture_output=True, text=True, env=settings, check=False)
        if done.returncode:
            return None, f"anndata {version} cannot be installed: {done.stderr.strip().splitlines()[-1:]}"
    (ENVIRONMENTS / version / "made").touch()
    return python, None


def run_in(version, script, *arguments):
    python, reason = environment(version)
    if python is None:
        pytest.skip(reason)
    command = [str(python), "-W", "ignore", "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_files_of_this_version_are_read(version, tmp_path):
    written = run_in(version, WRITE, tmp_path)
    assert written.startswith(version)
    counts = np.load(tmp_path / "counts.npy")
    for name in ("csr", "csc", "dense"):
        for layer in (None, "counts", "raw"):
            found = read_counts(tmp_path / f"{name}.h5ad", counts_layer=layer)
            np.testing.assert_array_equal(found.X.toarray(), counts)
            assert list(found.obs_names) == [f"Zelle-{i:02d}-\u00e4" for i in range(40)]
            assert list(found.var_names) == [f"ENSG{i:011d}" for i in range(30)]
            assert list(found.var["gene_symbols"]) == [f"SYM{i}" for i in range(30)]
            assert list(found.obs["text"]) == ["a", "b"] * 20 and found.obs["type"].isna().sum() == 1
        options = {"config": PRESETS["default"], "label_col": "type", "batch_col": "text"}
        target = tmp_path / f"{name}.prepared.h5ad"
        prepare_to_file(tmp_path / f"{name}.h5ad", "s", target, memory_gb=4, input_sha256="", **options)
        np.testing.assert_array_equal(anndata.read_h5ad(target).X.toarray(), counts)


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """A finished sample whose cells have text, nullable numbers and a missing category."""
    folder = tmp_path_factory.mktemp("result")
    cells = simulate_cells(n_cells=80, n_types=3)
    cells.obs["text"] = [f"\u00e4{i % 3}" for i in range(80)]
    cells.obs["number"] = pd.array([1, None] * 40, dtype="Int64")
    cells.write_h5ad(folder / "s.h5ad")
    config = PRESETS["default"].changed(epochs=1, min_steps=10)
    prepared = prepare_sample(folder / "s.h5ad", "s", config=config)
    fitted = fit_sample(prepared, 3, config=config, seed=0, device=torch.device("cpu"), quiet=True)
    cluster_sample(prepared, fitted)
    write_h5ad(prepared, folder / "result.h5ad")
    return folder / "result.h5ad"


@pytest.mark.slow
@pytest.mark.parametrize("version", ["0.10", "0.13"])
def test_results_are_opened_by_this_version(version, result):
    found, expected = json.loads(run_in(version, OPEN, result)), anndata.read_h5ad(result)
    assert found["cells"] == list(expected.obs_names) and found["genes"] == list(expected.var_names)
    assert found["sum"] == expected.X.sum() and found["clusters"] == list(expected.obs["cicl"])
    assert found["text"] == list(expected.obs["text"].astype(str))
    np.testing.assert_allclose(found["embedding"], expected.obsm["X_cicl"].sum(1), rtol=1e-4, atol=1e-4)
    assert found["seed"] == 0 and found["version"] == version_of("anndata")


def in_r(script, package, *arguments):
    if shutil.which("Rscript") is None:
        pytest.skip("no R on this machine")
    asked = [
        "Rscript",
        "-e",
        f"quit(status = !all(sapply(c('Matrix', '{package}'), requireNamespace, quietly = TRUE)))",
    ]
    if subprocess.run(asked, capture_output=True, check=False).returncode:
        pytest.skip(f"R has no package {package}")
    done = subprocess.run(["Rscript", "-e", script, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return pd.read_csv(arguments[-1])


@pytest.mark.slow
def test_results_are_opened_in_r(result, tmp_path):
    found, expected = in_r(R, "hdf5r", result, tmp_path / "found.csv"), anndata.read_h5ad(result)
    assert list(found["cell"]) == list(expected.obs_names)
    assert list(found["cluster"].astype(str)) == list(expected.obs["cicl"])
    assert list(found["depth"]) == list(np.asarray(expected.X.sum(1)).ravel())
    np.testing.assert_allclose(found["first"], expected.obsm["X_cicl"][:, 0], rtol=1e-5)


@pytest.mark.slow
def test_exported_counts_are_read_in_r(result, tmp_path):
    expected = anndata.read_h5ad(result)
    export_sample(expected, tmp_path, "s", ["seurat"])
    found = in_r(R_FOLDER, "Matrix", tmp_path / "seurat", tmp_path / "found.csv")
    assert list(found["cell"]) == list(expected.obs_names) and set(found["genes"]) == {expected.n_vars}
    assert list(found["depth"]) == list(np.asarray(expected.X.sum(1)).ravel())
