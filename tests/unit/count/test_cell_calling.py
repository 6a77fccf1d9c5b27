"""Cells among empty droplets: what is drawn from the ambient profile is told from what is not."""

import numpy as np
import pytest
from sccicl.count.cell_calling import ambient_p_values, benjamini_hochberg, call_cells, good_turing, keep_cells
from sccicl.errors import InputError
from scipy import sparse, stats

N_GENES = 400


@pytest.fixture(scope="module")
def droplets():
    """Big cells, small cells of another profile, big empty droplets (beads with much soup) and small ones."""
    rng = np.random.default_rng(0)
    soup, big, small = (rng.dirichlet(np.full(N_GENES, 0.5)) for _ in range(3))
    counts = np.vstack(
        [
            rng.poisson(rng.lognormal(0, 0.3, 200)[:, None] * 5000 * big),
            rng.poisson(200 * small, (60, N_GENES)),
            rng.poisson(200 * soup, (300, N_GENES)),
            rng.poisson(rng.gamma(2, 10, 3000)[:, None] * soup),
        ]
    )
    return sparse.csr_matrix(counts.astype(np.float32)), soup


def test_small_cells_are_found_by_their_profile(droplets):
    counts, _ = droplets
    found = call_cells(counts, expected_cells=200, draws=2000)
    assert found.by_size[:200].all() and not found.by_size[200:].any()
    assert found.by_profile[200:260].mean() > 0.95
    # Every droplet after these is empty, though 300 of them hold as many molecules as a small cell.
    assert found.by_profile[260:].mean() < 0.002
    assert found.fdr[200:260].max() <= 0.01 or found.by_profile[200:260].mean() < 1
    assert np.isnan(found.fdr[:200]).all()


def test_p_values_of_empty_droplets_are_uniform(droplets):
    counts, soup = droplets
    p = ambient_p_values(counts[260:560], soup, draws=2000)
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_p_value_is_that_of_the_exact_test():
    # Two genes: the multinomial is a binomial, whose likelihoods can be summed up.
    profile = np.array([0.8, 0.2])
    counts = sparse.csr_matrix(np.array([[3.0, 7.0], [8.0, 2.0], [0.0, 4.0]]))
    exact = []
    for first, second in counts.toarray():
        n = int(first + second)
        likelihoods = stats.binom.pmf(np.arange(n + 1), n, profile[0])
        exact.append(likelihoods[likelihoods <= stats.binom.pmf(first, n, profile[0]) * (1 + 1e-9)].sum())
    assert ambient_p_values(counts, profile, draws=20_000) == pytest.approx(exact, abs=0.012)


def test_good_turing_leaves_to_unseen_genes_the_share_of_those_seen_once():
    rng = np.random.default_rng(1)
    profile = rng.dirichlet(np.full(2000, 0.1))
    counts = rng.multinomial(3000, profile)
    found = good_turing(counts)
    assert found.sum() == pytest.approx(1)
    assert found[counts == 0].sum() == pytest.approx((counts == 1).sum() / 3000)
    # The truth, which the estimator does not know, is near.
    assert found[counts == 0].sum() == pytest.approx(profile[counts == 0].sum(), abs=0.015)
    assert (found > 0).all()


def test_good_turing_takes_shares_where_all_genes_are_seen():
    assert good_turing(np.array([1, 2, 5])) == pytest.approx([1 / 8, 2 / 8, 5 / 8])


def test_false_discovery_rates():
    # By hand: p * 4 / rank, made monotonous from the highest down
    assert benjamini_hochberg(np.array([0.01, 0.04, 0.03, 0.5])) == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.5])


def test_record(droplets):
    import anndata

    counts, _ = droplets
    kept = keep_cells(anndata.AnnData(counts), expected_cells=200)
    record = kept.uns["cicl"]["cells"]
    assert kept.n_obs == record["cells"] == record["by_size"] + record["by_profile"]
    totals = np.sort(np.asarray(counts.sum(1)).ravel())[::-1]
    assert (record["umis"] == totals[record["rank"] - 1]).all()
    assert record["barcodes"] == (totals > 0).sum()


def test_nothing_counted():
    with pytest.raises(InputError, match="the reads match no gene"):
        call_cells(sparse.csr_matrix((5, 3)))


def test_no_empty_droplets_is_said():
    import anndata

    counts = np.random.default_rng(0).poisson(20, (40, 30)).astype(np.float32)
    kept = keep_cells(anndata.AnnData(sparse.csr_matrix(counts)))
    assert kept.n_obs == 40
    assert "called by size alone" in kept.uns["cicl"]["warnings"][0]
