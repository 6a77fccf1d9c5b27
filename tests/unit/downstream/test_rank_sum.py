"""The rank-sum test against scipy's and scanpy's."""

import anndata
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from sccicl.downstream import rank_sum
from sccicl.downstream.rank_sum import rank_sum_test
from scipy import sparse, stats


def cells(negative=False):
    rng = np.random.default_rng(0)
    values = np.round(rng.gamma(0.5, 1, (90, 40)), 1) * (rng.random((90, 40)) < 0.6)
    values[:, 3] = 0
    values[:, 4] = 1.5
    if negative:
        values -= (rng.random((90, 40)) < 0.2) * 2.0
    return values, rng.integers(0, 3, 90)


@pytest.mark.parametrize("entries", [50, 1 << 22])
@pytest.mark.parametrize("negative", [False, True])
def test_against_scipy(negative, entries, monkeypatch):
    monkeypatch.setattr(rank_sum, "ENTRIES", entries)
    values, groups = cells(negative)
    found = rank_sum_test(sparse.csr_matrix(values), groups, 3)
    for group in range(3):
        inside = groups == group
        test = stats.mannwhitneyu(values[inside], values[~inside], method="asymptotic", use_continuity=False)
        varies = np.ptp(values, axis=0) > 0
        np.testing.assert_allclose(found.p[group][varies], test.pvalue[varies], rtol=1e-9)
        assert (found.z[group][~varies] == 0).all() and (found.p[group][~varies] == 1).all()
        np.testing.assert_array_equal(
            np.sign(found.z[group]), np.sign(test.statistic - inside.sum() * (~inside).sum() / 2)
        )
        np.testing.assert_array_equal(found.expressing[group], (values[inside] != 0).sum(0))
        np.testing.assert_allclose(found.p_adjusted[group], stats.false_discovery_control(found.p[group]))


def test_against_scanpy():
    values, groups = cells()
    adata = anndata.AnnData(sparse.csr_matrix(values), obs=pd.DataFrame({"g": pd.Categorical(groups.astype(str))}))
    adata.uns["log1p"] = {"base": None}
    sc.tl.rank_genes_groups(adata, "g", method="wilcoxon", tie_correct=True)
    found = rank_sum_test(adata.X, groups, 3)
    for group in range(3):
        theirs = sc.get.rank_genes_groups_df(adata, str(group)).set_index("names").loc[adata.var_names]
        np.testing.assert_allclose(found.z[group], theirs["scores"], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found.p_adjusted[group], theirs["pvals_adj"], rtol=1e-6)
