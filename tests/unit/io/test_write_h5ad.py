"""Outputs are there whole or not at all, and every reader takes them."""

import json
import os
import stat

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from formats import small_counts
from sccicl.errors import InputError
from sccicl.io.read import read_counts
from sccicl.io.write_h5ad import write_h5ad
from sccicl.preprocess.prepare import prepare
from sccicl.runtime.files import atomic_path, write_json


def test_the_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with atomic_path(path) as temporary:
        temporary.write_text("x")
        assert temporary.parent == path.parent
        assert temporary.suffix == ".txt"
        assert not path.exists()
    assert path.read_text() == "x"
    assert os.listdir(path.parent) == ["a.txt"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail():
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_outputs_have_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_text("x")
    write_json({}, tmp_path / "a.json")
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_a_folder_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"nothing can be written to the folder .*file.*--outdir"):
        write_json({}, tmp_path / "file" / "a.json")


def test_json_takes_numpy_and_refuses_what_is_not_json(tmp_path):
    path = tmp_path / "a.json"
    write_json({"a": np.float32(0.5), "b": np.arange(2), "c": np.int64(3), "d": "é"}, path)
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": 0.5, "b": [0, 1], "c": 3, "d": "é"}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json({"a": float("nan")}, path)
    with pytest.raises(TypeError, match="cannot be written as JSON"):
        write_json({"a": {1}}, path)
    assert json.loads(path.read_text())["c"] == 3
    assert os.listdir(tmp_path) == ["a.json"]


def test_any_column_of_obs_is_written(tmp_path):
    adata = small_counts(24, 15)
    obs = adata.obs
    obs["mixed"] = [1, "a"] * 12
    obs["mixed category"] = pd.Categorical([1, "a"] * 12)
    obs["date"] = pd.Timestamp("2020-01-01")
    obs["interval"] = pd.cut(np.arange(24), 3)
    obs["nullable"] = pd.array([1, None] * 12, dtype="Int64")
    obs["text"] = pd.array(["x", None] * 12, dtype="string")
    obs["truth"] = pd.array([True, None] * 12, dtype="boolean")
    obs["text or none"] = ["x", None] * 12
    obs["none"] = None
    obs["numbers as objects"] = np.array([1, 2] * 12, dtype=object)
    obs["list"] = [[1]] * 24
    obs["unique"] = [f"cell {i}" for i in range(24)]
    write_h5ad(adata, tmp_path / "a.h5ad")
    read = anndata.read_h5ad(tmp_path / "a.h5ad").obs
    assert list(read) == list(obs)
    assert read["mixed"].astype(str).tolist()[:2] == ["1", "a"]
    assert read["mixed category"].astype(str).tolist()[:2] == ["1", "a"]
    assert read["date"].astype(str).iloc[0].startswith("2020-01-01")
    assert read["nullable"].isna().sum() == read["text"].isna().sum() == read["truth"].isna().sum() == 12
    assert read["text or none"].dropna().unique().tolist() == ["x"]
    assert read["none"].isna().all()
    assert read["numbers as objects"].tolist() == [1, 2] * 12
    assert read["unique"].tolist() == [f"cell {i}" for i in range(24)]


def test_strings_are_written_as_every_anndata_reads_them(tmp_path):
    adata = small_counts(24, 15)
    adata.obs["text"] = pd.array([f"x{i}" for i in range(24)], dtype="string")
    write_h5ad(adata, tmp_path / "a.h5ad")
    with h5py.File(tmp_path / "a.h5ad") as file:
        for name in ("obs/_index", "obs/text", "var/_index", "var/gene_symbols"):
            assert file[name].attrs["encoding-type"] == "string-array"


def test_a_prepared_file_comes_back_and_can_be_read_as_an_input(tmp_path):
    prepared = prepare(small_counts(24, 15), n_genes=6)
    prepared.uns["cicl"]["warnings"] = ["one", "two"]
    write_h5ad(prepared, tmp_path / "a.prepared.h5ad")
    back = anndata.read_h5ad(tmp_path / "a.prepared.h5ad")
    np.testing.assert_array_equal(back.obsm["X_cicl_input"], prepared.obsm["X_cicl_input"])
    pd.testing.assert_frame_equal(back.var, prepared.var, check_index_type=False, check_dtype=False)
    assert dict(back.uns["cicl"]["prepare"]) == prepared.uns["cicl"]["prepare"]
    assert list(back.uns["cicl"]["warnings"]) == ["one", "two"]
    again = read_counts(tmp_path / "a.prepared.h5ad")
    np.testing.assert_array_equal(again.X.toarray(), prepared.X.toarray())
    np.testing.assert_array_equal(prepare(again, n_genes=6).obsm["X_cicl_input"], prepared.obsm["X_cicl_input"])
