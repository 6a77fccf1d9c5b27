"""Principal components, neighbours and the pool on clusters that are known."""

from itertools import combinations

import numpy as np
import pytest
from sccicl.clustering import ensemble
from sccicl.clustering.ensemble import Ensemble, medoid
from sccicl.clustering.features import ArrayFeatures
from sccicl.config import preset_config
from sccicl.numerics.neighbours import neighbour_indices
from sccicl.numerics.pca import principal_components
from sccicl.preprocess.features import CountFeatures
from simulate import simulate_cells
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score

CONFIG = preset_config("default")


@pytest.fixture(scope="module")
def unequal():
    """A big, a middle and a small cluster, far apart."""
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], [300, 60, 15])
    return (rng.normal(size=(375, 5)) + 12 * np.eye(5)[truth]).astype(np.float32), truth


@pytest.mark.parametrize("seed", [0, 2**32 + 6])
def test_components_are_those_of_scikit_learn(unequal, seed):
    """Of the last runs of a pool too, whose seeds count on from the largest."""
    x, _ = unequal
    theirs = PCA(3, svd_solver="full").fit_transform(x)
    ours = principal_components(x, 3, seed=seed)
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=1e-3)


def test_neighbours_by_brute_force(unequal):
    x = unequal[0][:50]
    distance = np.linalg.norm(x[:, None] - x, axis=2)
    np.fill_diagonal(distance, np.inf)
    np.testing.assert_array_equal(np.sort(neighbour_indices(x, 4)), np.sort(np.argsort(distance)[:, :4]))


def test_gene_sets_that_are_the_same_count_once():
    # 120 genes are fewer than every gene set takes.
    assert [x.shape for x in CountFeatures(simulate_cells().X).gene_sets()] == [(simulate_cells().n_obs, 120)]


def test_pool_of_counts_agrees_on_the_types():
    cells = simulate_cells()
    found = Ensemble(CountFeatures(cells.X), CONFIG, quiet=True)
    assert len(found.embeddings) == CONFIG.pool_runs
    assert all(h.shape == (cells.n_obs, CONFIG.embedding_size) for h in found.embeddings)
    scores = principal_components(cells.X.toarray(), 20)
    assert adjusted_rand_score(cells.obs["cell_type"], found.pseudo_labels(5, scores)) == 1


def test_agreement_by_hand(unequal, monkeypatch):
    """The mean of scikit-learn's index over all pairs; three clear clusters are cut alike, into one every cell goes."""
    x, _ = unequal
    found = Ensemble(ArrayFeatures(x), CONFIG.changed(pool_runs=3), quiet=True)
    assert found.mean_pairwise_ari(3) == pytest.approx(1) and found.mean_pairwise_ari(1) == 1
    into = found._partitions(7)
    pairs = [adjusted_rand_score(a, b) for a, b in combinations(into, 2)]
    assert len(pairs) == 15 and found.mean_pairwise_ari(7) == pytest.approx(np.mean(pairs)) and np.mean(pairs) < 0.99
    monkeypatch.setattr(ensemble, "AGREEMENT_CELLS", 120)
    monkeypatch.setattr(found, "_partitions", lambda _k, rows: [rows % 2, rows % 3, rows % 2])
    rows = np.sort(np.random.default_rng(0).choice(375, 120, replace=False))
    assert found.mean_pairwise_ari(7) == pytest.approx((1 + 2 * adjusted_rand_score(rows % 2, rows % 3)) / 3)


def test_medoid_by_hand():
    a, b, c = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 2]), np.array([0, 1, 0, 1])
    assert medoid([c, b, a]) is a or medoid([c, b, a]) is b
    assert medoid([c, a, a.copy(), b]) is a


def test_cells_outside_the_pool_are_labelled_too(unequal, monkeypatch):
    monkeypatch.setattr(ensemble, "ENSEMBLE_CELLS", 200)
    x, truth = unequal
    found = Ensemble(ArrayFeatures(x), CONFIG, quiet=True)
    assert all(len(h) == 200 for h in found.embeddings)
    assert adjusted_rand_score(truth, found.pseudo_labels(3, x)) == 1
    assert (found.pseudo_labels(1, x) == 0).all()
