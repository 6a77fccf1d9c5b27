"""Moments of genes, a block of cells at a time, against NumPy."""

import numpy as np
import pytest
from sccicl.preprocess.highly_variable_genes import blocks_of, moments
from scipy import sparse


@pytest.mark.parametrize("max_entries", [1, 500, 1 << 20])
@pytest.mark.parametrize("input_kind", ["normalised", "log"])
def test_moments_by_numpy_also_of_genes_that_hardly_vary(max_entries, input_kind):
    rng = np.random.default_rng(0)
    dense = rng.poisson(0.3, (300, 40)).astype(np.float32)
    dense[:, 0], dense[:, 1], dense[:100, 2] = 5, 1e4 + rng.random(300), 0
    if input_kind == "log":
        dense[:, 1] = 9 + 1e-4 * rng.random(300)
    found = moments(blocks_of(sparse.csr_matrix(dense), np.ones(300), max_entries), input_kind)
    given = dense.astype(np.float64)
    expected = (np.expm1(given), given) if input_kind == "log" else (given, np.log1p(given))
    for (mean, variance), values in zip(found, expected, strict=True):
        np.testing.assert_allclose(mean, values.mean(0), rtol=1e-12)
        np.testing.assert_allclose(variance[1:], values[:, 1:].var(0, ddof=1), rtol=1e-6)
        assert variance[0] == 0
