"""K-means against scikit-learn, and the clustering head by hand."""

import numpy as np
import pytest
import torch
from sccicl.model import kmeans as module
from sccicl.model.kmeans import assign, chunk_rows, kmeans, lloyd, means, plus_plus, refine, squared_distances
from sccicl.model.pseudo_labels import kmeans_pseudo_labels, student_t


def KMeans(*words, **options):
    """scikit-learn's, where it is installed."""
    return pytest.importorskip("sklearn.cluster").KMeans(*words, **options)


@pytest.fixture(scope="module")
def blobs():
    x, _ = pytest.importorskip("sklearn.datasets").make_blobs(
        400, n_features=6, centers=5, cluster_std=2.5, random_state=3
    )
    return x


def test_lloyd_equals_scikit_learn_from_the_same_centroids(blobs):
    start = blobs[:7]
    theirs = KMeans(7, init=start, n_init=1, algorithm="lloyd").fit(blobs)
    ours = lloyd(torch.from_numpy(blobs), torch.from_numpy(start))
    np.testing.assert_array_equal(ours.labels, theirs.labels_)
    np.testing.assert_allclose(ours.centroids, theirs.cluster_centers_, rtol=1e-8)
    assert ours.inertia == pytest.approx(theirs.inertia_, rel=1e-8)


def test_kmeans_is_as_good_as_scikit_learn(blobs):
    theirs = KMeans(5, n_init=10, random_state=0).fit(blobs)
    ours = kmeans(torch.from_numpy(blobs), 5, n_init=10)
    assert ours.inertia == pytest.approx(theirs.inertia_, rel=1e-6)


def test_starts_in_a_sample_of_many_cells(monkeypatch):
    monkeypatch.setattr(module, "CELLS_OF_STARTS", 500)
    x, _ = pytest.importorskip("sklearn.datasets").make_blobs(
        5000, n_features=6, centers=8, cluster_std=2.5, random_state=3
    )
    ours = kmeans(torch.from_numpy(x), 8, n_init=10)
    assert ours.labels.shape == (5000,)
    assert ours.inertia == pytest.approx(KMeans(8, n_init=10, random_state=0).fit(x).inertia_, rel=1e-3)


def test_far_groups_are_found_on_every_device(device):
    truth = torch.arange(60) % 4
    x = 20 * torch.eye(4)[truth] + torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    found = kmeans(x.to(device), 4, n_init=3)
    assert found.labels.device.type == device.type
    centres = torch.stack([x[truth == kind].mean(0) for kind in range(4)])
    nearest = torch.cdist(centres, found.centroids.cpu()).min(1)
    assert sorted(nearest.indices.tolist()) == [0, 1, 2, 3]
    torch.testing.assert_close(nearest.values, torch.zeros(4), atol=1e-4, rtol=0)
    within = sum((x[truth == kind] - centres[kind]).square().sum() for kind in range(4))
    assert found.inertia == pytest.approx(float(within), rel=1e-4)


def test_same_seed_same_labels(blobs):
    x = torch.from_numpy(blobs)
    assert torch.equal(kmeans(x, 9, seed=4, n_init=1).labels, kmeans(x, 9, seed=4, n_init=1).labels)


def test_empty_cluster_gets_the_farthest_cell():
    x = torch.tensor([[0.0], [0.1], [0.2], [10.0]])
    result = lloyd(x, torch.tensor([[0.1], [-50.0]]))
    assert result.labels.tolist() == [0, 0, 0, 1]


def test_identical_cells_give_one_filled_cluster():
    result = kmeans(torch.ones(6, 2), 3)
    assert result.inertia == 0 and len(result.centroids) == 3


def test_no_distance_is_below_0():
    """|x|^2 - 2 x c + |c|^2 is rounded: of cells that lie on a centroid far from the origin it may be negative."""
    x = 1000 + torch.rand(500, 7, generator=torch.Generator().manual_seed(0))
    squares, products = x.square().sum(1), x @ x.T
    assert (squares[:, None] - 2 * products + squares).min() < 0
    assert assign(x, x)[1].min() == 0
    assert module._assign_and_average(x, squares, x)[1].min() == 0


@pytest.mark.parametrize("k", [0, 5])
def test_k_out_of_range(k):
    with pytest.raises(ValueError, match="between 1 and the 4 cells"):
        kmeans(torch.ones(4, 2), k)


def test_distances_and_assignment_by_hand():
    x = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    centroids = torch.tensor([[0.0, 1.0], [3.0, 0.0]])
    torch.testing.assert_close(squared_distances(x, centroids), torch.tensor([[1.0, 9.0], [18.0, 16.0]]))
    labels, distance = assign(x, centroids)
    assert labels.tolist() == [0, 1] and distance.tolist() == [1.0, 16.0]


def test_seeding_draws_far_cells():
    x = torch.cat([torch.zeros(50, 2), torch.full((50, 2), 100.0)])
    seeds = plus_plus(x, 2, torch.Generator().manual_seed(0))
    assert sorted(seeds[:, 0].tolist()) == [0.0, 100.0]


@pytest.mark.parametrize("df", [1.0, 3.0])
def test_student_t_by_hand(df):
    """Equation 8 for one cell at squared distances 1, 4 and 9 from three centroids."""
    q = student_t(torch.zeros(1, 1, dtype=torch.float64), torch.tensor([[1.0], [2.0], [3.0]]).double(), df)[0]
    kernel = [(1 + d / df) ** (-(df + 1) / 2) for d in (1, 4, 9)]
    np.testing.assert_allclose(q, [value / sum(kernel) for value in kernel])


def test_pseudo_label_is_the_nearest_centroid():
    x = torch.randn(30, 4, generator=torch.Generator().manual_seed(5))
    centroids = x[:6]
    assert torch.equal(kmeans_pseudo_labels(x, centroids), assign(x, centroids)[0])


def passes_of(monkeypatch, x, start, **options):
    """Centroids, and how often all cells were looked at."""
    passes = []
    real = module._assign_and_average
    monkeypatch.setattr(module, "_assign_and_average", lambda *given: passes.append(1) or real(*given))
    found = refine(torch.from_numpy(x), torch.from_numpy(start), **options)
    monkeypatch.undo()
    return found, len(passes)


@pytest.mark.parametrize("tol", [0.0, 1e-4, 1e-2, 0.3, 3.0])
def test_it_stops_where_scikit_learn_does(blobs, tol, monkeypatch):
    """The features differ in variance and mean, so that another sum of the shifts or variances stops elsewhere."""
    x = blobs * [1, 2, 3, 4, 5, 6] + [50, 0, 0, 0, 0, -50]
    theirs = KMeans(7, init=x[:7], n_init=1, algorithm="lloyd", tol=tol).fit(x)
    found, passes = passes_of(monkeypatch, x, x[:7], tol=tol)
    assert passes == theirs.n_iter_
    # scikit-learn assigns once more and gives the centroids of before.
    np.testing.assert_allclose(found, theirs.cluster_centers_, rtol=1e-6)


def test_its_tolerance_is_scikit_learns():
    x = np.random.default_rng(0).random((3000, 2))
    theirs = KMeans(12, init=x[:12], n_init=1, algorithm="lloyd").fit(x)
    to_the_end = KMeans(12, init=x[:12], n_init=1, algorithm="lloyd", tol=0).fit(x)
    ours = lloyd(torch.from_numpy(x), torch.from_numpy(x[:12]))
    np.testing.assert_allclose(ours.centroids, theirs.cluster_centers_, rtol=1e-8)
    assert np.abs(to_the_end.cluster_centers_ - theirs.cluster_centers_).max() > 1e-3


@pytest.mark.parametrize("n_iterations", [1, 2, 3])
def test_iterations_by_hand(blobs, n_iterations, monkeypatch):
    centroids = blobs[:7]
    for _ in range(n_iterations):
        labels = ((blobs[:, None] - centroids) ** 2).sum(2).argmin(1)
        centroids = np.array([blobs[labels == j].mean(0) for j in range(7)])
    found, passes = passes_of(monkeypatch, blobs, blobs[:7], max_iter=n_iterations, tol=0.0)
    assert passes == n_iterations
    np.testing.assert_allclose(found, centroids)


def test_it_ends_where_every_cell_lies_on_its_centroid(monkeypatch):
    """Fewer distinct cells than clusters: the second pass sees that labels repeat and no cell is to be given."""
    x = np.repeat([[0.0, 0.0], [4.0, 8.0]], 5, axis=0)
    _, passes = passes_of(monkeypatch, x, np.array([[0.0, 0.0], [4.0, 8.0], [9.0, 9.0]]))
    assert passes == 2


def test_every_empty_cluster_gets_another_cell():
    """Of three centroids one has all cells; the farthest cell goes to the first that has none, the next to the next."""
    x = torch.tensor([[0.0], [1.0], [2.0], [10.0], [22.0]])
    found = refine(x, torch.tensor([[1.0], [-50.0], [-60.0]]), max_iter=1)
    assert found.flatten().tolist() == [7.0, 22.0, 10.0]


def test_an_empty_cluster_stays_where_there_is_no_cell_for_it():
    x = torch.tensor([[1.0], [1.0], [2.0]])
    found = refine(x, torch.tensor([[1.0], [2.0], [5.0]]))
    assert found.flatten().tolist() == [1.0, 2.0, 5.0]


def test_seeds_are_drawn_in_proportion_to_squared_distance():
    """Cells at 0, 1 and 3: the second seed by hand, for each first one."""
    x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [3.0, 0.0]], dtype=torch.float64)
    n = 4000
    generator = torch.Generator().manual_seed(1)
    pairs = [tuple(plus_plus(x, 2, generator)[:, 0].tolist()) for _ in range(n)]
    expected = {(0, 1): 1 / 10, (0, 3): 9 / 10, (1, 0): 1 / 5, (1, 3): 4 / 5, (3, 0): 9 / 13, (3, 1): 4 / 13}
    for pair, share in expected.items():
        assert pairs.count(pair) / n == pytest.approx(share / 3, abs=0.025)
    assert set(pairs) == set(expected)


def test_the_best_of_the_starts_is_taken(blobs):
    x = torch.from_numpy(blobs)
    generator = torch.Generator().manual_seed(7)
    alone = [lloyd(x, plus_plus(x, 12, generator)).inertia for _ in range(6)]
    assert len(set(alone)) > 1
    assert kmeans(x, 12, seed=7, n_init=6).inertia == min(alone)
    assert kmeans(x, 12, seed=7, n_init=1).inertia == alone[0]


def test_one_cluster_and_one_for_each_cell(blobs):
    x = torch.from_numpy(blobs[:30])
    torch.testing.assert_close(kmeans(x, 1).centroids[0], x.mean(0))
    each = kmeans(x, 30)
    assert each.inertia == pytest.approx(0, abs=1e-9) and sorted(each.labels.tolist()) == list(range(30))


def test_a_warm_start_is_lloyd_from_there(blobs):
    x = torch.from_numpy(blobs)
    warm, expected = kmeans(x, 5, init=x[:5].float()), lloyd(x, x[:5].float().double())
    assert torch.equal(warm.labels, expected.labels) and warm.inertia == expected.inertia


def test_means_of_clusters_of_one_cell_and_of_none():
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 8.0]])
    mean, size = means(x, torch.tensor([0, 3, 3]), 4)
    assert mean.tolist() == [[1, 2], [0, 0], [0, 0], [4, 6]] and size.tolist() == [1, 0, 0, 2]


@pytest.mark.parametrize(
    ("features", "dtype", "rows"),
    [(1, torch.float32, 65536), (10, torch.float64, 13107), (100, torch.float32, 2621), (5000, torch.float32, 256)],
)
def test_a_chunk_is_a_megabyte_within_limits(features, dtype, rows):
    assert chunk_rows(torch.empty(2, features, dtype=dtype)) == rows


def test_more_cells_than_a_chunk():
    generator = torch.Generator().manual_seed(6)
    x = torch.randn(2000, 500, generator=generator)
    labels, distance = assign(x, x[:3])
    expected = torch.cdist(x.double(), x[:3].double()).square()
    assert chunk_rows(x) < 2000 and torch.equal(labels, expected.argmin(1))
    torch.testing.assert_close(distance.double(), expected.amin(1), rtol=1e-4, atol=1e-3)
    mean, size = means(x, labels, 3)
    torch.testing.assert_close(mean, torch.stack([x[labels == j].mean(0) for j in range(3)]), rtol=1e-4, atol=1e-5)
    assert size.tolist() == labels.bincount().tolist()
