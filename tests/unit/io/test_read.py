"""Every input format gives the same cells, genes and counts."""

import gzip
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from formats import small_counts, write_loom, write_table, write_tenx_h5, write_tenx_mtx
from sccicl.io.read import read_counts, take_counts
from scipy import sparse

SMALL = small_counts()


def h5ad(adata: anndata.AnnData, path: Path, **options) -> Path:
    adata.write_h5ad(path, **options)
    return path


def h5ad_of(kind: str, path: Path) -> Path:
    adata = SMALL.copy()
    adata.X = {
        "csc": lambda x: x.tocsc(),
        "dense": lambda x: x.toarray(),
        "int64": lambda x: x.astype(np.int64),
        "uint16": lambda x: x.astype(np.uint16),
        "float64": lambda x: x.astype(np.float64),
        "nearly whole": lambda x: (x.astype(np.float64) * (1 + 1e-8)).tocsr(),
        "csr": lambda x: x,
    }[kind](adata.X)
    return h5ad(adata, path)


def zarr_store(path: Path) -> Path:
    SMALL.write_zarr(path)
    return path


FORMATS = {
    "h5ad": lambda d: h5ad_of("csr", d / "a.h5ad"),
    "h5ad gzip": lambda d: h5ad(SMALL.copy(), d / "a.h5ad", compression="gzip"),
    "h5ad lzf": lambda d: h5ad(SMALL.copy(), d / "a.h5ad", compression="lzf"),
    "h5ad CSC": lambda d: h5ad_of("csc", d / "a.h5ad"),
    "h5ad dense": lambda d: h5ad_of("dense", d / "a.h5ad"),
    "h5ad int64": lambda d: h5ad_of("int64", d / "a.h5ad"),
    "h5ad uint16": lambda d: h5ad_of("uint16", d / "a.h5ad"),
    "h5ad float64": lambda d: h5ad_of("float64", d / "a.h5ad"),
    "h5ad nearly whole": lambda d: h5ad_of("nearly whole", d / "a.h5ad"),
    "h5ad called .h5": lambda d: h5ad_of("csr", d / "a.h5ad").rename(d / "a.h5"),
    "zarr": lambda d: zarr_store(d / "a.zarr"),
    "loom": lambda d: write_loom(SMALL, d / "a.loom"),
    "10x h5 v3": lambda d: write_tenx_h5(SMALL, d / "a.h5"),
    "10x h5 v3 with antibodies": lambda d: write_tenx_h5(SMALL, d / "a.h5", antibodies=3),
    "10x h5 v2": lambda d: write_tenx_h5(SMALL, d / "a.h5", version=2),
    "10x folder v3": lambda d: write_tenx_mtx(SMALL, d / "m"),
    "10x folder v3 with antibodies": lambda d: write_tenx_mtx(SMALL, d / "m", antibodies=3),
    "10x folder v3 plain": lambda d: write_tenx_mtx(SMALL, d / "m", zipped=False),
    "10x folder v2": lambda d: write_tenx_mtx(SMALL, d / "m", version=2, zipped=False),
    "10x folder v2 gzip": lambda d: write_tenx_mtx(SMALL, d / "m", version=2),
    "10x folder with a prefix": lambda d: write_tenx_mtx(SMALL, d / "m", prefix="GSM1_s1_"),
    "10x .mtx with a prefix": lambda d: write_tenx_mtx(SMALL, d / "m", prefix="GSM1_") / "GSM1_matrix.mtx.gz",
    "10x .mtx plain": lambda d: write_tenx_mtx(SMALL, d / "m", zipped=False) / "matrix.mtx",
    "csv, cells in rows": lambda d: write_table(SMALL, d / "a.csv"),
    "csv, genes in rows": lambda d: write_table(SMALL, d / "a.csv", genes_in_rows=True),
    "csv gzip": lambda d: write_table(SMALL, d / "a.csv.gz", genes_in_rows=True),
    "csv with semicolons": lambda d: write_table(SMALL, d / "a.csv", sep=";"),
    "tsv": lambda d: write_table(SMALL, d / "a.tsv", sep="\t"),
    "tsv gzip": lambda d: write_table(SMALL, d / "a.tsv.gz", sep="\t", genes_in_rows=True),
    "txt": lambda d: write_table(SMALL, d / "a.txt", sep="\t", genes_in_rows=True, corner="GENE"),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_counts(name, tmp_path):
    path = FORMATS[name](tmp_path)
    adata = read_counts(path)
    assert isinstance(adata.X, sparse.csr_matrix)
    assert adata.X.dtype == np.float32
    assert list(adata.obs_names) == list(SMALL.obs_names)
    assert list(adata.var_names) == list(SMALL.var_names)
    np.testing.assert_array_equal(adata.X.toarray(), SMALL.X.toarray())
    assert adata.uns["cicl"]["prepare"] == {"input": path.name, "input_kind": "counts"}
    if not name.startswith(("csv", "tsv", "txt")):
        assert list(adata.var["gene_symbols"]) == list(SMALL.var["gene_symbols"])
    if name.startswith(("h5ad", "zarr", "loom")):
        assert list(adata.obs["cell_type"].astype(str)) == list(SMALL.obs["cell_type"])


@pytest.mark.parametrize("name", ["10x h5 v3 with antibodies", "10x folder v3 with antibodies"])
def test_antibodies_are_left_out_and_reported(name, tmp_path):
    (warning,) = read_counts(FORMATS[name](tmp_path)).uns["cicl"]["warnings"]
    assert "3 Antibody Capture left out" in warning


def test_only_what_is_needed_of_an_h5ad_is_read(tmp_path):
    adata = SMALL.copy()
    adata.layers["other"] = adata.X.copy()
    adata.obsm["X_pca"] = np.zeros((adata.n_obs, 2))
    adata.obsp["connectivities"] = sparse.eye(adata.n_obs, format="csr")
    adata.uns["neighbors"] = {"a": 1}
    adata.raw = adata
    read = read_counts(h5ad(adata, tmp_path / "a.h5ad"))
    assert not (set(read.layers) - {None} or list(read.obsm) or list(read.obsp) or read.raw)
    assert list(read.uns) == ["cicl"]


def with_log_x() -> anndata.AnnData:
    adata = SMALL.copy()
    adata.layers["counts"] = adata.X.copy()
    adata.raw = anndata.AnnData(sparse.hstack([adata.X, adata.X[:, :2] + 0]).tocsr(), obs=adata.obs, var=wider_var())
    adata.X = adata.X.log1p()
    adata.layers["scaled"] = adata.X.toarray() - 1
    return adata


def wider_var() -> pd.DataFrame:
    return pd.DataFrame(index=[*SMALL.var_names, "extra1", "extra2"])


@pytest.mark.parametrize("store", ["h5ad", "zarr", "memory", "backed"])
@pytest.mark.parametrize(("layer", "n_genes"), [("counts", 15), ("raw", 17)])
def test_counts_are_taken_from_a_layer_or_raw(store, layer, n_genes, tmp_path):
    adata = with_log_x()
    if store == "memory":
        read = take_counts(adata, counts_layer=layer)
    elif store == "backed":
        backed = anndata.read_h5ad(h5ad(adata, tmp_path / "a.h5ad"), backed="r")
        read = take_counts(backed, counts_layer=layer)
        backed.file.close()
    else:
        path = tmp_path / f"a.{store}"
        adata.write_h5ad(path) if store == "h5ad" else adata.write_zarr(path)
        read = read_counts(path, counts_layer=layer)
    assert read.n_vars == n_genes
    np.testing.assert_array_equal(read.X[:, :15].toarray(), SMALL.X.toarray())
    assert read.uns["cicl"]["prepare"]["counts_layer"] == layer


def test_a_layer_of_a_loom_file(tmp_path):
    read = read_counts(write_loom(SMALL, tmp_path / "a.loom"), counts_layer="spliced")
    np.testing.assert_array_equal(read.X.toarray(), SMALL.X.toarray() + 1)


@pytest.mark.parametrize("form", ["csr", "csc", "dense", "csr_array"])
def test_backed_and_in_memory_data_are_taken_and_left_alone(form, tmp_path):
    adata = SMALL.copy()
    adata.X = {
        "csr": adata.X,
        "csc": adata.X.tocsc(),
        "dense": adata.X.toarray(),
        "csr_array": sparse.csr_array(adata.X),
    }[form]
    before = adata.copy()
    taken = take_counts(adata)
    taken.obs["new"] = 1
    np.testing.assert_array_equal(taken.X.toarray(), SMALL.X.toarray())
    assert (adata.X != before.X).sum() == 0
    assert list(adata.obs) == list(before.obs)
    assert not adata.uns
    if form == "csr":
        assert np.shares_memory(taken.X.data, adata.X.data)
    backed = anndata.read_h5ad(h5ad(adata, tmp_path / "a.h5ad"), backed="r")
    np.testing.assert_array_equal(take_counts(backed).X.toarray(), SMALL.X.toarray())
    backed.file.close()


def test_stored_zeros_and_repeated_entries_are_merged_without_touching_the_input():
    matrix = sparse.csr_matrix(SMALL.X.astype(np.float64))
    matrix.data[:3] = 0
    repeated = sparse.csr_matrix(
        (np.repeat(matrix.data / 2, 2), np.repeat(matrix.indices, 2), matrix.indptr * 2), shape=matrix.shape
    )
    adata = SMALL.copy()
    adata.X = repeated
    stored = adata.X.data.copy()
    taken = take_counts(adata)
    np.testing.assert_array_equal(taken.X.toarray(), matrix.toarray())
    assert taken.X.nnz == np.count_nonzero(matrix.toarray())
    np.testing.assert_array_equal(adata.X.data, stored)


@pytest.mark.parametrize("dtype", [np.bool_, np.int32, np.uint64, np.float32, np.float64])
def test_counts_up_to_a_thousand_million_of_any_type(dtype):
    adata = SMALL.copy()
    counts = adata.X.toarray()
    if dtype is not np.bool_:
        counts[3, 4] = 1e9
    adata.X = sparse.csr_matrix(counts.astype(dtype))
    np.testing.assert_array_equal(take_counts(adata).X.toarray(), counts.astype(dtype).astype(np.float32))


def test_an_unreadable_column_is_left_out_and_reported(tmp_path):
    adata = SMALL.copy()
    adata.obs["nullable"] = pd.array([1, None] * 12, dtype="Int64")
    adata.obs["strange"] = 1.0
    path = h5ad(adata, tmp_path / "a.h5ad")
    with h5py.File(path, "r+") as file:
        file["obs/strange"].attrs["encoding-type"] = "of-a-later-version"
    read = read_counts(path)
    assert list(read.obs) == ["cell_type", "nullable"]
    assert list(read.obs["cell_type"]) == list(SMALL.obs["cell_type"])
    assert "strange" in read.uns["cicl"]["warnings"][0]


def test_an_h5ad_of_an_old_anndata(tmp_path):
    path = tmp_path / "old.h5ad"
    with h5py.File(path, "w") as file:
        group = file.create_group("X")
        group.attrs["h5sparse_format"], group.attrs["h5sparse_shape"] = "csr", np.array(SMALL.shape)
        for part in ("data", "indices", "indptr"):
            group[part] = getattr(SMALL.X, part)
        file["obs"] = np.array([(name.encode(),) for name in SMALL.obs_names], dtype=[("index", "S20")])
        file["var"] = np.array([(name.encode(),) for name in SMALL.var_names], dtype=[("index", "S20")])
    read = read_counts(path)
    assert list(read.obs_names) == list(SMALL.obs_names)
    np.testing.assert_array_equal(read.X.toarray(), SMALL.X.toarray())


def test_loom_genes_without_accessions_are_named_by_gene(tmp_path):
    read = read_counts(write_loom(SMALL, tmp_path / "a.loom", accessions=False))
    assert list(read.var_names) == list(SMALL.var["gene_symbols"])


def test_mtx_with_cells_in_rows(tmp_path):
    from scipy import io

    folder = write_tenx_mtx(SMALL, tmp_path / "m", zipped=False)
    io.mmwrite(folder / "matrix.mtx", SMALL.X.tocoo())
    np.testing.assert_array_equal(read_counts(folder).X.toarray(), SMALL.X.toarray())


def test_table_with_byte_order_mark_windows_lines_and_quotes(tmp_path):
    text = write_table(SMALL, tmp_path / "a.csv").read_text()
    quoted = "\r\n".join(",".join(f'"{field}"' for field in line.split(",")) for line in text.splitlines())
    (tmp_path / "b.csv").write_bytes(b"\xef\xbb\xbf" + quoted.encode())
    np.testing.assert_array_equal(read_counts(tmp_path / "b.csv").X.toarray(), SMALL.X.toarray())


def test_table_as_r_writes_it_has_no_first_field(tmp_path):
    lines = write_table(SMALL, tmp_path / "a.txt", sep="\t", genes_in_rows=True).read_text().splitlines()
    (tmp_path / "b.txt").write_text("\n".join([lines[0].lstrip("\t"), *lines[1:]]) + "\n")
    adata = read_counts(tmp_path / "b.txt")
    assert list(adata.obs_names) == list(SMALL.obs_names)
    np.testing.assert_array_equal(adata.X.toarray(), SMALL.X.toarray())


def test_table_that_is_gzipped_without_saying_so(tmp_path):
    plain = write_table(SMALL, tmp_path / "a.csv").read_bytes()
    (tmp_path / "b.csv").write_bytes(gzip.compress(plain))
    np.testing.assert_array_equal(read_counts(tmp_path / "b.csv").X.toarray(), SMALL.X.toarray())


def test_table_in_several_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr("sccicl.io.read_table.BLOCK_VALUES", 4 * SMALL.n_vars)
    adata = read_counts(write_table(SMALL, tmp_path / "a.csv"))
    np.testing.assert_array_equal(adata.X.toarray(), SMALL.X.toarray())


def test_dense_matrix_in_several_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr("sccicl.io.read_anndata.BLOCK_VALUES", 5 * SMALL.n_vars)
    np.testing.assert_array_equal(read_counts(h5ad_of("dense", tmp_path / "a.h5ad")).X.toarray(), SMALL.X.toarray())


def test_a_gene_called_na_keeps_its_name(tmp_path):
    adata = SMALL.copy()
    adata.var_names = ["NA", "nan", *adata.var_names[2:]]
    read = read_counts(write_table(adata, tmp_path / "a.csv", genes_in_rows=True))
    assert list(read.var_names[:2]) == ["NA", "nan"]


def test_the_assumed_axis_is_told(tmp_path):
    (warning,) = read_counts(write_table(SMALL, tmp_path / "a.csv", genes_in_rows=True)).uns["cicl"]["warnings"]
    assert "cells are assumed to be in columns (24 cells, 15 genes)" in warning


def test_other_kinds_of_values_are_taken_as_they_are(tmp_path):
    adata = SMALL.copy()
    adata.X = (adata.X * np.float32(1.5)).tocsr()
    for kind in ("normalised", "log"):
        read = read_counts(h5ad(adata.copy(), tmp_path / "a.h5ad"), input_kind=kind)
        np.testing.assert_array_equal(read.X.toarray(), adata.X.toarray())
        assert read.uns["cicl"]["prepare"]["input_kind"] == kind
