"""Cells of every odd form: a valid result, or the documented error that names the culprit and the remedy."""

import warnings

import anndata
import numpy as np
import pandas as pd
import pytest
import torch
from fuzzing import AT_RANDOM, EXAMPLES, MANY, QUIET
from hypothesis import given, settings
from hypothesis import strategies as st
from sccicl.config import preset_config
from sccicl.errors import InputError
from sccicl.io.read import check_columns, take_counts
from sccicl.numerics.ordering import in_input_order
from sccicl.steps.cluster import cluster_sample
from sccicl.steps.fit import fit_sample, parse_n_clusters
from sccicl.steps.prepare import prepare_counts
from sccicl.steps.score import score_sample
from scipy import sparse

CONFIG = preset_config("default").changed(
    epochs=1, min_steps=1, n_genes=30, embedding_size=4, feed_forward=8, projection_hidden=8,
    projection_size=4, batch_size=16,
)  # fmt: skip
DTYPES = ["int8", "uint8", "int16", "int32", "int64", "uint64", "float32", "float64", "bool"]
NAMES = {
    "plain": lambda i, axis: f"{axis}{i}",
    "numeric": lambda i, axis: str(i),
    "unicode": lambda i, axis: f"Zelle-äß细胞\N{DNA DOUBLE HELIX}{i}",
    "odd": lambda i, axis: f" {axis},\"'\t{i}\\n",
    "long": lambda i, axis: axis * 300 + str(i),
    "twice": lambda i, axis: f"{axis}{i // 2}",
    "empty": lambda i, axis: f"{axis}{i}" if i else "",
}
PATTERNS = ["sparse", "types", "constant genes", "identical cells", "one huge cell", "huge", "empty cells", "fractions"]
COLUMNS = ["none", "categorical", "masked", "nullable", "one batch", "every cell a batch", "dates", "mixed"]


def counts_of(pattern: str, n: int, g: int, rng: np.random.Generator) -> np.ndarray:
    counts = rng.poisson(0.8, (n, g)).astype(np.float64)
    if pattern == "types" and g:
        counts += rng.poisson(6.0, (n, g)) * (np.arange(g) % 3 == np.arange(n)[:, None] % 3)
    elif pattern == "constant genes":
        counts[:, : g // 2] = 3
    elif pattern == "identical cells":
        counts[:] = rng.poisson(2, g)
    elif pattern == "one huge cell" and n:
        counts[0] = rng.integers(1, 10**9, g)
    elif pattern == "huge":
        counts = rng.integers(0, 10**9, (n, g)).astype(np.float64)
    elif pattern == "empty cells":
        counts[::3] = 0
    elif pattern == "fractions":
        counts += 0.5
    return counts


def column_of(kind: str, n: int, rng: np.random.Generator):
    codes = rng.integers(0, 3, n)
    return {
        "none": np.full(n, np.nan),
        "categorical": pd.Categorical.from_codes(codes, ["a", "b", "c"]),
        "masked": pd.Categorical.from_codes(np.where(codes == 0, -1, codes), ["a", "b", "unused"]),
        "nullable": pd.array(np.where(codes == 0, None, codes), dtype="Int64"),
        "one batch": np.full(n, "all"),
        "every cell a batch": np.arange(n),
        "dates": pd.date_range("2020-01-01", periods=n),
        "mixed": np.array(["x", 1, None, 2.5], dtype=object)[rng.integers(0, 4, n)],
    }[kind]


def layout_of(counts: np.ndarray, layout: str):
    return {
        "dense": lambda: counts,
        "fortran": lambda: np.asfortranarray(counts),
        "csr": lambda: sparse.csr_matrix(counts),
        "csc": lambda: sparse.csc_matrix(counts),
        "csr array": lambda: sparse.csr_array(counts),
        "stored zeros": lambda: with_stored_zeros(counts),
    }[layout]()


def with_stored_zeros(counts: np.ndarray) -> sparse.csr_matrix:
    columns = np.indices(counts.shape)[1].ravel()
    starts = np.arange(counts.shape[0] + 1) * counts.shape[1]
    return sparse.csr_matrix((counts.ravel().copy(), columns, starts), shape=counts.shape)


@st.composite
def samples(draw):
    """An AnnData, the obs column to use as a batch, and the number of clusters asked for."""
    n, g = draw(st.integers(0, 100)), draw(st.integers(1, 50))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    counts = counts_of(draw(st.sampled_from(PATTERNS)), n, g, rng)
    dtype = draw(st.sampled_from(DTYPES))
    if dtype != "bool" and np.dtype(dtype).kind in "iu":
        counts = np.clip(np.floor(counts), 0, np.iinfo(dtype).max)
    matrix = layout_of(
        counts.astype(dtype), draw(st.sampled_from(["dense", "fortran", "csr", "csc", "csr array", "stored zeros"]))
    )
    of_cells, of_genes = (NAMES[draw(st.sampled_from([*NAMES]))] for _ in range(2))
    obs = pd.DataFrame(index=pd.Index([of_cells(i, "cell") for i in range(n)], dtype=object))
    obs["batch"] = column_of(draw(st.sampled_from(COLUMNS)), n, rng)
    var = pd.DataFrame(index=pd.Index([of_genes(i, "gene") for i in range(g)], dtype=object))
    adata = anndata.AnnData(matrix, obs=obs, var=var)
    if draw(st.booleans()) and n > 2:
        adata = adata[rng.permutation(n)[: n - 1]]  # a view
    return adata, draw(st.sampled_from(["auto", 1, 2, 5, 12, 99]))


def outcome(adata: anndata.AnnData, n_clusters):
    """The clustered sample, or the error."""
    counts = take_counts(adata)
    check_columns(counts, batch_col="batch")
    prepared = prepare_counts(counts, "counts", CONFIG)
    prepared.uns["cicl"].update(id="fuzz", stages={})
    prepared.uns["cicl"]["prepare"]["batch_col"] = "batch"
    k = parse_n_clusters(n_clusters, prepared.n_obs)
    fitted = fit_sample(prepared, k, config=CONFIG, seed=0, device=torch.device("cpu"), quiet=True)
    cluster_sample(prepared, fitted)
    return in_input_order(prepared), score_sample(prepared)


def check_result(found: anndata.AnnData, metrics: dict, adata: anndata.AnnData, n_clusters) -> None:
    labels, sizes = found.obs["cicl"].cat.codes.to_numpy(), found.obs["cicl"].value_counts(sort=False).to_numpy()
    assert (labels >= 0).all() and list(found.obs["cicl"].cat.categories) == [str(i) for i in range(len(sizes))]
    assert (sizes > 0).all() and sizes.sum() == found.n_obs
    assert n_clusters == "auto" or len(sizes) <= n_clusters
    # Sizes may tie or cells at a border change sides by rounding when the nearest centroid is looked for.
    assert (np.diff(sizes) <= 0).all(), sizes
    assert np.isfinite(found.obsm["X_cicl"]).all()
    confidence = found.obs["cicl_confidence"]
    assert confidence.between(0, 1).all()
    kept = np.asarray((adata.X != 0).sum(1)).ravel() > 0
    assert list(found.obs_names) == [str(name).strip() for name in adata.obs_names[kept]]
    assert metrics["n_clusters"] == len(sizes) and metrics["n_cells"] == found.n_obs


def check_error(error: InputError) -> None:
    """Names what is wrong and says what to do, in one sentence."""
    told = str(error)
    assert "\n" not in told and len(told) > 30
    assert ": " in told, told
    assert any(word in told for word in ("give", "use", "make", "take", "leave", "name", "fill", "remove")), told


def one_example(sample) -> None:
    adata, n_clusters = sample
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found, metrics = outcome(adata, n_clusters)
        except InputError as error:
            check_error(error)
        else:
            check_result(found, metrics, adata, n_clusters)


@settings(max_examples=EXAMPLES, **QUIET)
@given(samples())
def test_any_cells(sample):
    one_example(sample)


@pytest.mark.slow
@settings(max_examples=MANY, **AT_RANDOM)
@given(samples())
def test_any_cells_many_times(sample):
    one_example(sample)


@pytest.mark.slow
def test_thousands_of_batches_of_one_cell():
    rng = np.random.default_rng(0)
    n = 5000
    adata = anndata.AnnData(
        sparse.csr_matrix(rng.poisson(1.0, (n, 30)).astype(np.float32)),
        obs=pd.DataFrame({"batch": np.arange(n)}, index=[f"cell{i}" for i in range(n)]),
        var=pd.DataFrame(index=[f"gene{i}" for i in range(30)]),
    )
    found, metrics = outcome(adata, 3)
    check_result(found, metrics, adata, 3)
