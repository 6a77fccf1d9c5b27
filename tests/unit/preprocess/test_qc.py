"""Quality control: damaged, empty and doubled cells that were put in are those that are taken out."""

import warnings

import anndata
import numpy as np
import pandas as pd
import pytest
from sccicl.errors import InputError
from sccicl.preprocess import qc
from sccicl.preprocess.qc import Limits, lower_limit, mito_limit, quality_control, valley
from scipy import sparse, stats

N_CELLS = 400


@pytest.fixture(scope="module")
def cells():
    """400 sound cells of 4 types, 10 with hardly anything, 12 with much of the mitochondrion, 20 doublets."""
    rng = np.random.default_rng(0)
    profiles = rng.gamma(0.3, 1, (4, 300)) + 0.01
    profiles[:, :10] = 0
    profiles /= profiles.sum(1, keepdims=True)
    mito = np.zeros(300)
    mito[:10] = 0.1
    share = np.full((442, 1), 0.03)
    share[410:422] = 0.4
    kinds = rng.integers(0, 4, 442)
    own = profiles[kinds]
    depth = 2000 * rng.lognormal(0, 0.25, (442, 1))
    depth[400:410] = 25
    own[422:] = (profiles[rng.integers(0, 2, 20)] + profiles[rng.integers(2, 4, 20)]) / 2
    depth[422:] *= 2
    counts = rng.poisson(depth * ((1 - share) * own + share * mito)).astype(np.float32)
    names = [f"MT-{i}" for i in range(10)] + [f"G{i}" for i in range(290)]
    var = pd.DataFrame({"gene_symbol": names}, index=[f"ENSG{i}" for i in range(300)])
    truth = np.repeat(["cell", "empty", "damaged", "doublet"], [400, 10, 12, 20])
    obs = pd.DataFrame({"truth": truth}, index=[f"c{i}" for i in range(442)])
    return anndata.AnnData(sparse.csr_matrix(counts), obs=obs, var=var)


def left(found):
    return found.obs["truth"].value_counts().to_dict()


def test_nothing_is_done_without_limits(cells):
    assert quality_control(cells, Limits()) is cells


def test_outliers_are_the_damaged_and_the_empty(cells):
    found = quality_control(cells, Limits(nmads=5))
    assert left(found) == {"cell": 400, "doublet": 20}
    record = found.uns["cicl"]["qc"]
    assert record["cells_in"] == 442 and record["cells_out"] == 420
    assert record["removed"] == {"few_counts": 10, "few_genes": 0, "high_mito": 12}
    assert sum(record["removed"].values()) == record["cells_in"] - record["cells_out"]


def test_deviations_are_those_of_scipy():
    values = np.random.default_rng(1).lognormal(6, 0.5, 500)
    logs = np.log1p(values)
    expected = np.median(logs) - 3 * stats.median_abs_deviation(logs, scale="normal")
    assert np.log1p(lower_limit(values, 3)) == pytest.approx(expected, rel=1e-4)
    percent = np.random.default_rng(2).gamma(8, 1.5, 500)
    expected = np.median(percent) + 3 * stats.median_abs_deviation(percent, scale="normal")
    assert mito_limit(percent, 3) == pytest.approx(expected, rel=1e-4)
    assert mito_limit(percent / 100, 3) == 5.0


def test_given_limits_hold(cells):
    found = quality_control(cells, Limits(min_counts=1500, min_genes=100, max_mito=10, min_cells=30))
    counts = np.asarray(cells.X.sum(1)).ravel()
    genes = cells.X.getnnz(axis=1)
    mito = 100 * np.asarray(cells.X[:, :10].sum(1)).ravel() / counts
    expected = (counts >= 1500) & (genes >= 100) & (mito <= 10)
    assert list(found.obs_names) == list(cells.obs_names[expected])
    assert found.obs["cicl_qc_mito"].to_numpy() == pytest.approx(mito[expected])
    assert (found.obs["cicl_qc_counts"] == counts[expected]).all()
    assert set(found.var_names) == set(cells.var_names[cells.X[expected].getnnz(axis=0) >= 30])
    thresholds = found.uns["cicl"]["qc"]["thresholds"]
    assert thresholds == {"min_counts": 1500, "min_genes": 100, "max_mito": 10, "min_cells": 30}


def test_histograms_hold_every_cell(cells):
    record = quality_control(cells, Limits(nmads=5)).uns["cicl"]["qc"]
    for name, histogram in record["histograms"].items():
        assert histogram["all"].sum() == 442, name
        assert histogram["kept"].sum() == 420, name
        assert len(histogram["edges"]) == len(histogram["all"]) + 1


def test_doublets(cells):
    marked = quality_control(cells, Limits(nmads=5, doublets="mark"))
    assert left(marked) == {"cell": 400, "doublet": 20}
    is_doublet = marked.obs["cicl_qc_doublet"].to_numpy()
    truth = (marked.obs["truth"] == "doublet").to_numpy()
    assert is_doublet[truth].mean() >= 0.7
    assert is_doublet[~truth].mean() <= 0.05
    removed = quality_control(cells, Limits(nmads=5, doublets="remove"))
    assert list(removed.obs_names) == list(marked.obs_names[~is_doublet])
    assert removed.uns["cicl"]["qc"]["removed"]["doublets"] == is_doublet.sum()


def test_doublets_are_searched_for_without_a_warning(cells):
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        quality_control(cells, Limits(doublets="mark"))


def test_limits_are_written_in_full(cells, capsys):
    with pytest.raises(InputError, match="0 cells left"):
        quality_control(cells, Limits(min_counts=123456))
    assert "442 with counts below 123456)" in capsys.readouterr().err


def test_doublets_in_random_parts(cells, monkeypatch):
    """Of more cells than are searched together."""
    monkeypatch.setattr(qc, "MOST_CELLS_FOR_DOUBLETS", 150)
    marked = quality_control(cells, Limits(nmads=5, doublets="mark"))
    assert marked.uns["cicl"]["qc"]["doublet_parts"] == 3
    is_doublet = marked.obs["cicl_qc_doublet"].to_numpy()
    truth = (marked.obs["truth"] == "doublet").to_numpy()
    assert is_doublet[truth].mean() >= 0.7
    assert is_doublet[~truth].mean() <= 0.05


def test_random_parts(monkeypatch):
    monkeypatch.setattr(qc, "MOST_CELLS_FOR_DOUBLETS", 10)
    cells = np.arange(5, 39)
    parts = qc.random_parts(cells, seed=0)
    assert sorted(map(len, parts)) == [8, 8, 9, 9] and sorted(np.concatenate(parts)) == list(cells)
    assert all((np.diff(part) > 0).all() and part.max() - part.min() > 10 for part in parts)
    assert [list(part) for part in qc.random_parts(cells[:10], seed=0)] == [list(cells[:10])]


def test_few_cells_have_no_doublets(cells):
    found = quality_control(cells[:50].copy(), Limits(doublets="remove"))
    assert found.n_obs == 50
    assert "too few to simulate" in found.uns["cicl"]["warnings"][0]


def test_genes_without_symbols_are_said(cells):
    unnamed = cells.copy()
    unnamed.var = pd.DataFrame(index=unnamed.var_names)
    found = quality_control(unnamed, Limits(nmads=5))
    assert "cicl_qc_mito" not in found.obs
    assert "no gene is named as a mitochondrial one" in found.uns["cicl"]["warnings"][0]


def test_normalised_values_are_judged_by_genes_only(cells):
    found = quality_control(cells, Limits(nmads=5, doublets="remove"), input_kind="normalised")
    assert set(found.uns["cicl"]["qc"]["removed"]) == {"few_genes"}


def test_limits_that_leave_nothing(cells):
    with pytest.raises(InputError, match="0 cells left by the quality control"):
        quality_control(cells, Limits(min_genes=10_000))


def test_negative_limits():
    with pytest.raises(InputError, match="--max-mito must be at least 0"):
        Limits(max_mito=-1)


def test_valley_is_between_the_modes():
    rng = np.random.default_rng(0)
    scores = np.concatenate([rng.normal(0.1, 0.02, 3000), rng.normal(0.5, 0.06, 2000)])
    assert 0.17 < valley(scores) < 0.35
    assert valley(rng.normal(0.1, 0.02, 3000)) is None
