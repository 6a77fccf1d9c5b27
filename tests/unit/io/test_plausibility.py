"""Values that are not what they are said to be are warned of or refused; real ones are neither."""

import anndata
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sccicl.errors import InputError
from sccicl.io.plausibility import check_plausible
from scipy import sparse


def counts(n_cells=200, n_genes=150, seed=0, depth=1.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.poisson(rng.gamma(0.6, 3, n_genes) * rng.lognormal(0, 0.4, (n_cells, 1)) * depth).astype(float)


def warnings_of(values, kind) -> str:
    adata = anndata.AnnData(sparse.csr_matrix(values.astype(np.float32)))
    check_plausible(adata, kind)
    return " ".join(adata.uns.get("cicl", {}).get("warnings", []))


def tpm(values: np.ndarray) -> np.ndarray:
    return values / values.sum(1, keepdims=True) * 1e6


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 99), st.sampled_from([0.05, 0.3, 1.0, 20.0]), st.sampled_from([60, 600]))
def test_real_counts_and_what_is_made_of_them_are_believed(seed, depth, n_cells):
    values = counts(n_cells, 150, seed, depth)
    values[:, 0] += 1
    assert warnings_of(values, "counts") == ""
    assert warnings_of(tpm(values), "normalised") == ""
    assert warnings_of(np.log1p(tpm(values)), "log") == ""
    assert warnings_of(np.log2(tpm(values) / 10 + 1), "log") == ""


@pytest.mark.parametrize(
    "made", [lambda v: np.log1p(tpm(v)), lambda v: np.log1p(tpm(v) / 100), lambda v: np.log2(tpm(v) + 1)]
)
def test_logarithms_as_normalised_are_refused_and_read_as_said(made):
    values = made(counts() + 1)
    with pytest.raises(InputError, match=r"holds logarithms .*same sum.*--input-kind log"):
        warnings_of(values, "normalised")
    assert warnings_of(values, "log") == ""


def test_plain_values_as_logarithms():
    with pytest.raises(InputError, match=r"too large for a logarithm.*--input-kind normalised"):
        warnings_of(tpm(counts()), "log")
    assert "same sum" in warnings_of(tpm(counts() + 1) / 1e5, "log")
    assert "whole numbers" in warnings_of(np.minimum(counts(), 15), "log")


def test_rounded_normalised_values_as_counts():
    assert "about the same sum" in warnings_of(np.rint(tpm(counts() + 1)), "counts")


def test_unfiltered_droplets_are_known():
    cells, n = counts(100, 150, depth=5), 3000
    empty = np.random.default_rng(1).poisson(cells.mean(0) / cells.mean(0).sum() * 2, (n, 150))
    assert f"of {n + 100} barcodes" in warnings_of(np.vstack([cells, empty]), "counts")
    assert "empty droplets" not in warnings_of(np.vstack([counts(600), counts(600, depth=0.1)]), "counts")


def test_one_feature_that_outweighs_all():
    values = counts()
    values[:, 3] = values.sum(1) * 3
    assert "'3' has" in warnings_of(values, "counts")
