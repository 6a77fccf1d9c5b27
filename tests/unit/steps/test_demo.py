"""The demo data: real counts, and a samplesheet that leads to them."""

import anndata
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from sccicl.io.read import read_counts
from sccicl.steps.demo import pbmc_counts, write_demo_data


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    samplesheet = write_demo_data(tmp_path_factory.mktemp("demo") / "data")
    return samplesheet.parent


def test_counts_give_back_what_scanpy_ships():
    counts = pbmc_counts()
    shipped = sc.datasets.pbmc68k_reduced()
    assert counts.shape == (700, 765)
    np.testing.assert_array_equal(counts.X.data, np.rint(counts.X.data))
    # The value of one count is 10,000 / library size of the cell before genes were selected, obs["n_counts"].
    expected = np.log1p(counts.X.toarray() * (1e4 / shipped.obs["n_counts"].to_numpy()[:, None]))
    assert np.abs(expected - shipped.raw.X.toarray()).max() < 2e-3


def test_both_files_are_valid_inputs(demo):
    whole, half = read_counts(demo / "pbmc700.h5ad"), read_counts(demo / "pbmc350.h5ad")
    assert whole.obs["bulk_labels"].nunique() == 10
    assert list(half.obs) == ["sample"]
    assert half.shape == (350, 765)
    np.testing.assert_array_equal(half.X.toarray(), whole[half.obs_names].X.toarray())


def test_samplesheet(demo):
    sheet = pd.read_csv(demo / "samplesheet.csv", dtype=str, keep_default_na=False)
    assert sheet.to_dict("records") == [
        {"sample": "pbmc700", "input": "pbmc700.h5ad", "n_clusters": "auto", "label_col": "bulk_labels"},
        {"sample": "pbmc350", "input": "pbmc350.h5ad", "n_clusters": "auto", "label_col": ""},
    ]
    assert all((demo / name).is_file() for name in sheet["input"])


def test_the_same_cells_every_time(demo, tmp_path):
    write_demo_data(tmp_path)
    first, second = (anndata.read_h5ad(folder / "pbmc350.h5ad") for folder in (demo, tmp_path))
    assert list(first.obs_names) == list(second.obs_names)
