"""The estimate of k on simulated cells of a known number of types, and its parts by hand."""

import numpy as np
import pytest
from sccicl.clustering import n_clusters
from sccicl.clustering.ensemble import Ensemble
from sccicl.clustering.features import ArrayFeatures
from sccicl.clustering.n_clusters import (
    Merges,
    choose_k,
    n_communities,
    right_share,
    wilson_lower_bound,
)
from sccicl.preprocess.features import CountFeatures
from scipy import sparse
from simulate import simulate_cells
from statsmodels.stats.proportion import proportion_confint


def estimate(features, seed=0):
    return choose_k(features, "auto", Ensemble(features, seed=seed), seed=seed).to_uns()


@pytest.mark.parametrize("n_types", [2, 4, 6])
def test_finds_the_number_of_types(n_types):
    cells = simulate_cells(n_cells=360, n_types=n_types, n_genes=400, markers=30, fold=6.0)
    found = estimate(CountFeatures(cells.X))
    assert found["n_clusters"] == found["separable"] == n_types
    assert not found["given"] and len(found["candidates"]) == len(found["score"])


def test_number_is_the_median_of_the_counts(monkeypatch):
    """Five types that held-out genes separate; the communities may be too many or too few."""
    cells = simulate_cells(n_cells=400, n_types=5, n_genes=400, markers=30, fold=4.0)
    for communities, expected in (([7, 6], 6), ([7, 2], 5), ([4, 3], 4)):
        monkeypatch.setattr(n_clusters, "n_communities", lambda _ensemble, found=communities: found)
        found = estimate(CountFeatures(cells.X))
        assert (found["separable"], found["communities"], found["n_clusters"]) == (5, communities, expected)


def counts_of(sizes, seed, n_genes=800):
    """Poisson counts of types that express 40 genes each eightfold."""
    rng = np.random.default_rng(seed)
    mean = np.tile(rng.gamma(0.5, 2.0, n_genes), (len(sizes), 1))
    for profile in mean:
        profile[rng.choice(n_genes, 40, replace=False)] *= 8
    types = np.repeat(np.arange(len(sizes)), sizes)
    depth = 3000 * rng.lognormal(0, 0.3, len(types))
    counts = rng.poisson((mean / mean.sum(1, keepdims=True))[types] * depth[:, None])
    return sparse.csr_matrix(counts.astype(np.float32)), types


@pytest.mark.parametrize("seed", range(3))
def test_thirty_cells_of_three_types(seed):
    counts, _ = counts_of([10, 10, 10], seed)
    assert estimate(CountFeatures(counts), seed)["n_clusters"] == 3


@pytest.mark.parametrize("seed", range(3))
def test_ten_distinct_rare_cells_stay_a_cluster(seed):
    counts, types = counts_of([98, 98, 98, 10], seed)
    features = CountFeatures(counts)
    ensemble = Ensemble(features, seed=seed)
    k = choose_k(features, "auto", ensemble, seed=seed).n_clusters
    labels = ensemble.labels(k)
    rare = np.bincount(labels[types == 3]).argmax()
    assert k == 4 and (labels == rare).tolist() == (types == 3).tolist()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("spread", [0.2, 1.0])
def test_cells_of_one_type_are_one_cluster(seed, spread):
    """Poisson counts of one profile, of even and of very uneven depth."""
    rng = np.random.default_rng(seed)
    mean = rng.gamma(0.5, 2.0, 500) * rng.lognormal(0, spread, (250, 1))
    counts = sparse.csr_matrix(rng.poisson(mean).astype(np.float32))
    assert estimate(CountFeatures(counts), seed)["n_clusters"] == 1


def test_array_without_structure_and_with_it():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(300, 40)).astype(np.float32)
    assert estimate(ArrayFeatures(noise))["n_clusters"] == 1
    truth = np.arange(300) % 3
    apart = noise + 4 * rng.normal(size=(3, 40)).astype(np.float32)[truth]
    assert estimate(ArrayFeatures(apart))["n_clusters"] == 3


def test_given_k_is_taken():
    features = ArrayFeatures(np.zeros((5, 3), dtype=np.float32))
    assert choose_k(features, 5).to_uns() == {"given": True, "n_clusters": 5}
    for wrong in (0, 6):
        with pytest.raises(ValueError, match="between 1 and the 5 cells"):
            choose_k(features, wrong)


def test_wilson_bound_is_that_of_statsmodels():
    theirs = proportion_confint([7, 40, 50], [10, 50, 50], alpha=0.1, method="wilson")[0]
    np.testing.assert_allclose(wilson_lower_bound(np.array([0.7, 0.8, 1.0]), np.array([10, 50, 50]), 1.6448536), theirs)


def test_right_share_by_hand():
    """Isotropic clusters on a line: one cell of the second lies beyond the middle."""
    x = np.array([[-1.0, 1], [1, -1], [0, 0], [9, 1], [11, -1], [3, 0]])
    share = right_share(x, np.array([0, 0, 0, 1, 1, 1]))
    assert share[0, 1] == 1 and share[1, 0] == pytest.approx(2 / 3)


def test_depth_is_taken_out():
    """Two clusters that differ in nothing but depth are not told apart once depth is known."""
    rng = np.random.default_rng(1)
    depth = rng.normal(size=400)
    x = np.outer(depth, rng.normal(size=8)) * 5 + rng.normal(size=(400, 8))
    labels = (depth > 0).astype(int)
    covariate = depth[:, None]
    assert right_share(x, labels).max() > 0.9
    assert right_share(x, labels, covariate).max() < 0.7


def test_estimate_is_where_every_pair_is_separable():
    assert Merges(np.array([0.3, 0.5, 0.9, 0.95]), np.array([5, 4, 3, 2])).estimate() == 3
    assert Merges(np.array([0.3, 0.5]), np.array([3, 2])).estimate() == 1
    assert Merges(np.array([]), np.array([])).estimate() == 1


def test_communities_of_separate_types():
    cells = simulate_cells(n_cells=360, n_types=4, n_genes=400, markers=30, fold=6.0)
    assert n_communities(Ensemble(CountFeatures(cells.X))) == [4, 4]


@pytest.mark.parametrize(
    ("n_separable", "last", "n_by_chance", "last_by_chance", "expected"),
    [
        (10, 0.982, 3, 0.965, True),  # both saturate in few cells: the number tells
        (3, 0.982, 2, 0.965, False),
        (3, 0.99, 1, 0.65, True),
        (2, 0.845, 1, 0.70, False),  # half as many would be 0.15
    ],
)
def test_chance_is_beaten_by_separability_or_by_number(
    monkeypatch, n_separable, last, n_by_chance, last_by_chance, expected
):
    def merges(n, last):
        numbers = np.arange(12, 1, -1)
        return Merges(np.where(numbers == 2, last, np.where(numbers <= n, 0.9, 0.5)), numbers)

    monkeypatch.setattr(n_clusters, "held_out_merges", lambda *_args, **_options: [merges(n_by_chance, last_by_chance)])
    features = CountFeatures(simulate_cells().X)
    assert n_clusters._beats_chance(features, [merges(n_separable, last)], 0) is expected
