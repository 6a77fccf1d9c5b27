"""Preparation against scanpy, step by step, and against NumPy by hand."""

import warnings

import anndata
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from sccicl.errors import InputError
from sccicl.preprocess.highly_variable_genes import blocks_of, moments, normalised_dispersion, order_genes
from sccicl.preprocess.normalise import library_sizes, normalise, size_factors, z_score
from sccicl.preprocess.prepare import apply_preparation, prepare
from sccicl.steps.demo import pbmc_counts
from scipy import sparse


def random_counts(n_cells: int = 60, n_genes: int = 400, seed: int = 0) -> anndata.AnnData:
    """Overdispersed counts with empty cells, empty genes and a gene that is the same in every cell."""
    rng = np.random.default_rng(seed)
    mean = rng.lognormal(0, 1.5, n_genes) * rng.lognormal(0, 0.4, (n_cells, 1))
    counts = rng.negative_binomial(1.5, 1.5 / (1.5 + mean)).astype(np.float32)
    counts[[3, 7]] = 0
    counts[:, [5, 9, 11]] = 0
    names = {"obs": [f"cell{i}" for i in range(n_cells)], "var": [f"gene{i}" for i in range(n_genes)]}
    return anndata.AnnData(
        sparse.csr_matrix(counts), obs=pd.DataFrame(index=names["obs"]), var=pd.DataFrame(index=names["var"])
    )


@pytest.fixture(scope="module")
def pbmc() -> anndata.AnnData:
    return pbmc_counts()


@pytest.fixture(params=["pbmc", "random"])
def cells(request, pbmc) -> anndata.AnnData:
    return pbmc if request.param == "pbmc" else random_counts()


def by_scanpy(adata: anndata.AnnData, n_genes: int, max_value: float | None = None) -> anndata.AnnData:
    """scanpy's preprocessing in float64; layers["log"] has the log-normalised values."""
    adata = adata.copy()
    adata.X = adata.X.astype(np.float64)
    sc.pp.filter_genes(adata, min_counts=1)
    sc.pp.filter_cells(adata, min_counts=1)
    sc.pp.normalize_total(adata, target_sum=float(np.median(np.asarray(adata.X.sum(axis=1)))))
    sc.pp.log1p(adata)
    adata.layers["log"] = adata.X.copy()
    sc.pp.highly_variable_genes(adata, n_top_genes=n_genes, flavor="seurat")
    adata = adata[:, adata.var["highly_variable"]].copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scale makes the matrix dense, as is wanted
        sc.pp.scale(adata, max_value=max_value)
    return adata


@pytest.mark.parametrize("n_genes", [50, 200])
def test_all_steps_equal_scanpy(cells, n_genes):
    expected = by_scanpy(cells, n_genes)
    prepared = prepare(cells, n_genes=n_genes)
    selected = prepared.var["highly_variable"].to_numpy()
    assert list(prepared.var_names[selected]) == list(expected.var_names)
    assert list(prepared.obs_names) == list(expected.obs_names)
    np.testing.assert_allclose(prepared.var["cicl_mean"][selected], expected.var["mean"], rtol=1e-9)
    np.testing.assert_allclose(prepared.var["cicl_std"][selected], expected.var["std"], rtol=1e-9)
    assert prepared.var.loc[~selected, ["cicl_mean", "cicl_std"]].isna().all(axis=None)
    scores = prepared.obsm["X_cicl_input"]
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected.X, rtol=1e-5, atol=1e-6)


def test_dispersion_equals_scanpy(cells):
    reference = cells.copy()
    reference.X = reference.X.astype(np.float64)
    sc.pp.filter_genes(reference, min_counts=1)
    sc.pp.filter_cells(reference, min_counts=1)
    values = reference.X.toarray()
    sc.pp.log1p(reference)
    sc.pp.highly_variable_genes(reference, n_top_genes=10, flavor="seurat")
    dispersion = normalised_dispersion(values.mean(axis=0), values.var(axis=0, ddof=1))
    np.testing.assert_allclose(dispersion, reference.var["dispersions_norm"], rtol=1e-4, atol=1e-4)


def test_steps_by_hand():
    counts = np.array([[4, 0, 6], [1, 1, 0], [0, 5, 15], [2, 2, 0]], dtype=np.float32)
    matrix = sparse.csr_matrix(counts)
    library = library_sizes(matrix, "counts")
    assert library.tolist() == [10, 2, 20, 4]
    factors = size_factors(library)
    np.testing.assert_allclose(factors, [10 / 7, 2 / 7, 20 / 7, 4 / 7])
    log_values = normalise(matrix, factors, "counts")
    expected = np.log(counts.astype(np.float64) / factors[:, None] + 1)
    np.testing.assert_allclose(log_values.toarray(), expected)
    mean, variance = moments(blocks_of(matrix, factors), "counts")[1]
    std = np.sqrt(variance)
    np.testing.assert_allclose(mean, expected.sum(axis=0) / 4)
    np.testing.assert_allclose(std, np.sqrt(((expected - mean) ** 2).sum(axis=0) / 3))
    np.testing.assert_allclose(z_score(log_values, mean, std), (expected - mean) / std, rtol=1e-6)


def test_scores_have_mean_0_and_deviation_1(cells):
    scores = prepare(cells, n_genes=100).obsm["X_cicl_input"].astype(np.float64)
    np.testing.assert_allclose(scores.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(scores.std(axis=0, ddof=1), 1, atol=1e-6)


def test_scores_are_clipped(pbmc):
    expected = by_scanpy(pbmc, 50, max_value=2).X
    scores = prepare(pbmc, n_genes=50, max_value=2).obsm["X_cicl_input"]
    np.testing.assert_allclose(scores, np.clip(expected, -2, 2), rtol=1e-5, atol=1e-6)
    assert np.abs(scores).max() == 2


def test_blocks_do_not_matter(pbmc, monkeypatch):
    whole = prepare(pbmc, n_genes=100)
    monkeypatch.setattr("sccicl.preprocess.normalise.SCORE_CELLS", 7)
    in_blocks = prepare(pbmc, n_genes=100)
    assert list(in_blocks.var["highly_variable"]) == list(whole.var["highly_variable"])
    np.testing.assert_allclose(in_blocks.obsm["X_cicl_input"], whole.obsm["X_cicl_input"], rtol=1e-6)


def test_empty_cells_and_genes_are_dropped_and_reported():
    adata = random_counts()
    empty_genes = int((adata.X.sum(axis=0) == 0).sum())
    prepared = prepare(adata, n_genes=50)
    record = prepared.uns["cicl"]["prepare"]
    assert (record["n_cells_read"], record["n_cells_dropped"]) == (60, 2)
    assert (record["n_genes_read"], record["n_genes_dropped"]) == (400, empty_genes)
    assert empty_genes >= 3
    assert prepared.shape == (58, 400 - empty_genes)
    assert "cell3" not in prepared.obs_names
    np.testing.assert_array_equal(prepared.X.toarray(), adata[prepared.obs_names, prepared.var_names].X.toarray())
    cells, genes = prepared.uns["cicl"]["warnings"]
    assert cells.startswith("2 cells")
    assert "'cell3'" in cells
    assert genes.startswith(f"{empty_genes} genes")


def test_counts_are_kept_without_a_copy_and_the_input_is_left_alone(pbmc):
    before = pbmc.copy()
    prepared = prepare(pbmc)
    assert np.shares_memory(prepared.X.data, pbmc.X.data)
    assert list(pbmc.var) == list(before.var)
    assert not pbmc.obsm
    assert not pbmc.uns
    adata = random_counts()
    assert np.shares_memory(prepare(adata).X.data, adata.X.data)


@pytest.mark.parametrize("n_genes", [765, 1000])
def test_all_genes_are_taken_where_there_are_no_more(pbmc, n_genes):
    prepared = prepare(pbmc, n_genes=n_genes)
    assert prepared.var["highly_variable"].all()
    assert prepared.obsm["X_cicl_input"].shape == (700, 765)
    assert prepared.uns["cicl"]["prepare"]["n_genes"] == 765


def test_exactly_as_many_genes_as_asked_for_where_genes_tie():
    adata = random_counts(30, 40)
    counts = np.tile(np.random.default_rng(0).poisson(2.0, (30, 1)), (1, 40)).astype(np.float32) + 1
    counts[:, :5] *= 3
    adata.X = sparse.csr_matrix(counts)
    assert prepare(adata, n_genes=10).var["highly_variable"].sum() == 10


def test_genes_that_do_not_vary_come_last_and_score_0():
    adata = random_counts(30, 20)
    values = adata.X.toarray() + 1
    values[:, 4] = 7
    adata.X = sparse.csr_matrix(values)
    log_like = sparse.csr_matrix(np.log1p(values))
    constant = np.flatnonzero(values.min(axis=0) == values.max(axis=0))
    chosen = order_genes(log_like, np.ones(30), "log", "seurat")[: 20 - len(constant)]
    assert 4 in constant
    assert not np.isin(constant, chosen).any()
    adata.X = log_like
    prepared = prepare(adata, input_kind="log")
    assert prepared.var["cicl_std"].iloc[4] == 0
    assert (prepared.obsm["X_cicl_input"][:, 4] == 0).all()


def test_log_values_are_taken_as_they_are(cells):
    by_counts = prepare(cells, n_genes=100)
    logs = by_counts.copy()
    logs.X = normalise(by_counts.X, size_factors(library_sizes(by_counts.X, "counts")), "counts").astype(np.float32)
    by_logs = prepare(logs, n_genes=100, input_kind="log")
    assert list(by_logs.var["highly_variable"]) == list(by_counts.var["highly_variable"])
    np.testing.assert_allclose(by_logs.obsm["X_cicl_input"], by_counts.obsm["X_cicl_input"], rtol=1e-4, atol=1e-5)


def test_values_per_million_need_no_size_factors(pbmc):
    adata = pbmc.copy()
    values = adata.X.toarray()
    values *= 1e4 / values.sum(axis=1, keepdims=True)
    adata.X = sparse.csr_matrix(values)
    scores = prepare(adata, n_genes=10_000, input_kind="normalised").obsm["X_cicl_input"]
    log_values = np.log1p(values.astype(np.float64))
    expected = (log_values - log_values.mean(axis=0)) / log_values.std(axis=0, ddof=1)
    np.testing.assert_allclose(scores, expected, rtol=1e-3, atol=1e-4)


def test_too_little_is_left():
    adata = random_counts(12, 30)
    with pytest.raises(InputError, match="9 cells with counts"):
        prepare(adata[:11].copy())


def applied(prepared: anndata.AnnData, new: anndata.AnnData, **options) -> np.ndarray:
    genes = prepared.var[prepared.var["highly_variable"]]
    return apply_preparation(
        new,
        list(genes.index),
        genes["cicl_mean"].to_numpy(),
        genes["cicl_std"].to_numpy(),
        prepared.uns["cicl"]["prepare"]["size_factor_median"],
        **options,
    )


@pytest.mark.parametrize("max_value", [None, 1.5])
def test_the_same_cells_prepared_again_are_the_same(pbmc, max_value):
    prepared = prepare(pbmc, n_genes=100, max_value=max_value)
    scores = applied(prepared, pbmc, max_value=max_value)
    np.testing.assert_allclose(scores, prepared.obsm["X_cicl_input"], rtol=1e-6)


def test_genes_of_new_cells_may_be_in_another_order(pbmc):
    prepared = prepare(pbmc, n_genes=100)
    order = np.random.default_rng(0).permutation(pbmc.n_vars)
    np.testing.assert_allclose(
        applied(prepared, pbmc[:50, order].copy()), prepared.obsm["X_cicl_input"][:50], rtol=1e-6
    )


def test_missing_genes_count_0_and_are_reported(pbmc):
    prepared = prepare(pbmc, n_genes=100)
    selected = np.flatnonzero(prepared.var["highly_variable"])
    gone = selected[:30]
    new = pbmc.copy()
    values = new.X.toarray()
    values[:, gone] = 0
    new.X = sparse.csr_matrix(values)
    expected = applied(prepared, new)
    without = new[:, np.setdiff1d(np.arange(new.n_vars), gone)].copy()
    np.testing.assert_allclose(applied(prepared, without), expected, rtol=1e-6)
    assert "30 of the model's 100 genes" in without.uns["cicl"]["warnings"][0]


def test_an_empty_new_cell_has_a_score(pbmc):
    prepared = prepare(pbmc, n_genes=100)
    new = pbmc[:3].copy()
    new.X = sparse.csr_matrix(new.X.toarray() * np.array([[1], [0], [1]], dtype=np.float32))
    assert np.isfinite(applied(prepared, new)).all()


def test_too_few_genes_of_the_model_with_a_hint_where_they_are(pbmc):
    prepared = prepare(pbmc, n_genes=100)
    new = pbmc.copy()
    new.var["gene_symbols"] = new.var_names
    new.var_names = [f"ENSG{i:011d}" for i in range(new.n_vars)]
    with pytest.raises(InputError, match=r"0 of the 100 genes.*var\['gene_symbols'\]"):
        applied(prepared, new)
    del new.var["gene_symbols"]
    with pytest.raises(InputError, match="use the same gene names"):
        applied(prepared, new)


@pytest.mark.parametrize("selection", ["seurat", "cell_ranger"])
def test_order_of_genes_is_scanpys(cells, selection):
    kept = prepare(cells, n_genes=100)
    factors = size_factors(library_sizes(kept.X, "counts"))
    log_values = anndata.AnnData(normalise(kept.X, factors, "counts"))
    theirs = sc.pp.highly_variable_genes(log_values, flavor=selection, n_top_genes=100, inplace=False)
    chosen = order_genes(kept.X, factors, "counts", selection)[:100]
    dispersion = theirs["dispersions_norm"].to_numpy()
    # Genes that tie at the border may differ: the sum of what was chosen may not.
    assert dispersion[chosen].sum() == pytest.approx(
        np.sort(np.nan_to_num(dispersion, nan=-np.inf))[-100:].sum(), rel=1e-5
    )
