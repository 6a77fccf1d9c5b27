"""Components, neighbours and the ensemble on clusters that are known."""

import numpy as np
import pytest
from sccicl.clustering import ensemble
from sccicl.clustering.ensemble import Ensemble, consensus, log_variance_within
from sccicl.clustering.features import ArrayFeatures
from sccicl.numerics.neighbours import neighbour_indices, smoothed
from sccicl.numerics.pca import joined_components, principal_components
from sccicl.preprocess.features import CountFeatures
from sccicl.preprocess.normalise import freeman_tukey
from scipy import sparse
from simulate import simulate_cells
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import adjusted_rand_score


@pytest.fixture(scope="module")
def unequal():
    """A big, a middle and a small cluster, far apart."""
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], [300, 60, 15])
    return (rng.normal(size=(375, 5)) + 12 * np.eye(5)[truth]).astype(np.float32), truth


@pytest.mark.parametrize("seed", [0, 2**32 + 6])
def test_components_are_those_of_scikit_learn(unequal, seed):
    """With seeds above the largest of scikit-learn too."""
    x, _ = unequal
    theirs = PCA(3, svd_solver="full").fit_transform(x)
    ours = principal_components(x, 3, seed=seed)
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=1e-3)


def test_neighbours_by_brute_force(unequal):
    x = unequal[0][:50]
    distance = np.linalg.norm(x[:, None] - x, axis=2)
    np.fill_diagonal(distance, np.inf)
    np.testing.assert_array_equal(np.sort(neighbour_indices(x, 4)), np.sort(np.argsort(distance)[:, :4]))


def test_joined_components_by_hand():
    """Each block at the same total variance, and then the components of scikit-learn."""
    rng = np.random.default_rng(0)
    blocks = [rng.normal(size=(60, 4)) @ rng.normal(size=(4, 4)) + 3, 100 * rng.normal(size=(60, 2))]
    scaled = [(b - b.mean(0)) / np.sqrt(b.var(0).sum()) for b in blocks]
    theirs = PCA(3, svd_solver="full").fit_transform(np.hstack(scaled))
    np.testing.assert_allclose(np.abs(joined_components(blocks, 3)), np.abs(theirs), atol=1e-5)


def test_smoothing_by_hand():
    """Two cells halfway towards each other, three times: each ends at the middle; a cell without neighbours stays."""
    graph = sparse.csr_matrix(np.array([[0, 2.0, 0], [2.0, 0, 0], [0, 0, 0]]))
    np.testing.assert_allclose(smoothed(np.array([[0.0], [8.0], [5.0]]), graph), [[4], [4], [5]])
    weights = np.array([[0, 1.0, 3.0], [1.0, 0, 2.0], [3.0, 2.0, 0]])
    half = 0.5 * np.eye(3) + 0.5 * weights / weights.sum(1, keepdims=True)
    x = np.array([[0.0], [1.0], [8.0]])
    np.testing.assert_allclose(smoothed(x, sparse.csr_matrix(weights)), np.linalg.matrix_power(half, 3) @ x, rtol=1e-6)


def test_freeman_tukey_values_have_the_variance_of_their_limit():
    """Of Poisson counts it tends to 1 whatever the mean."""
    counts = np.random.default_rng(0).poisson([4.0, 20.0, 100.0], (20_000, 3))
    np.testing.assert_allclose(freeman_tukey(counts).var(0), 1, atol=0.08)


def test_blocks_of_counts():
    cells = simulate_cells()
    blocks = list(CountFeatures(cells.X).blocks(0))
    assert [len(block) for block in blocks] == [cells.n_obs] * 4
    # The last is of roots of the normalised counts of all 120 genes.
    counts = cells.X.toarray()
    values = freeman_tukey(counts / (counts.sum(1, keepdims=True) / np.median(counts.sum(1))))
    theirs = PCA(10, svd_solver="full").fit_transform(values)
    np.testing.assert_allclose(np.abs(blocks[-1][:, :3]), np.abs(theirs[:, :3]), rtol=0.02, atol=0.05)


def test_ensemble_of_counts_finds_the_types():
    cells = simulate_cells()
    found = Ensemble(CountFeatures(cells.X))
    assert len(found.views) == 5 and all(view.embedding.shape == (cells.n_obs, 20) for view in found.views)
    assert adjusted_rand_score(cells.obs["cell_type"], found.labels(5)) == 1


def test_generalised_variance_within_clusters_by_hand():
    """|W| of scikit-learn's discriminant analysis, and not moved by the scale of a feature but for a constant."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [40, 30, 10])
    x = rng.normal(size=(80, 3)) @ rng.normal(size=(3, 3)) + rng.normal(size=(3, 3))[labels]
    theirs = LinearDiscriminantAnalysis(solver="lsqr", store_covariance=True).fit(x, labels).covariance_
    assert log_variance_within(x, labels) == pytest.approx(np.linalg.slogdet(theirs)[1], abs=1e-4)
    scaled = log_variance_within(x * [1, 1, 100], labels)
    assert scaled == pytest.approx(log_variance_within(x, labels) + 2 * np.log(100), abs=0.05)


def test_a_small_distinct_cluster_is_chosen_over_a_cut_through_a_big_one():
    """K-means' criterion has it the other way."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(520, 2)) * [10, 0.1]
    x[500:, 1] += 4
    small, halves = np.repeat([0, 1], [500, 20]), (x[:, 0] > 0).astype(int)
    within = [sum(np.square(x[y == c] - x[y == c].mean(0)).sum() for c in (0, 1)) for y in (small, halves)]
    assert within[1] < within[0]
    assert consensus(x, [halves, small, halves, small, halves, small]) is small


def test_of_distinct_partitions_the_one_most_like_the_others_is_taken():
    """Exchanged cells differ from one another, so each agrees most with the partition they are all made from."""
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], 40)
    x = rng.normal(size=(120, 4)) + 20 * np.eye(4)[truth]
    others = []
    for i in range(4):
        others.append(truth.copy())
        others[-1][10 * i : 10 * i + 3] = 2
    noise = [rng.integers(0, 3, 120) for _ in range(5)]
    assert consensus(x, [*noise, *others, truth]) is truth


@pytest.fixture(scope="module")
def even():
    """Three clusters of a hundred cells, far apart in every feature."""
    rng = np.random.default_rng(1)
    return (rng.normal(size=(300, 12)) + 8 * rng.normal(size=(3, 12))[np.arange(300) % 3]).astype(np.float32)


def test_sample_of_the_cells(even, monkeypatch):
    monkeypatch.setattr(ensemble, "SAMPLE_CELLS", 120)
    found = Ensemble(ArrayFeatures(even))
    assert found.sample.components.shape == (120, ensemble.COMPONENTS) and found.sample.graph.shape == (120, 120)
    assert len(found.views[0].components) == 300


def test_cells_outside_the_ensemble_are_labelled_too(unequal, monkeypatch):
    monkeypatch.setattr(ensemble, "ENSEMBLE_CELLS", 200)
    x, truth = unequal
    found = Ensemble(ArrayFeatures(x))
    assert all(len(view.embedding) == 200 for view in found.views)
    assert len(found.labels(3)) == 200
    assert adjusted_rand_score(truth, ensemble.labels_of_all(found.labels(3), x, seed=0)) == 1
    assert ensemble.labels_of_all(found.labels(1), x, seed=0).tolist() == [0] * len(x)
