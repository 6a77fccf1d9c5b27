"""K-means against scikit-learn, and the clustering head by hand."""

import numpy as np
import pytest
import torch
from sccicl.kmeans import assign, kmeans, lloyd, plus_plus, squared_distances
from sccicl.pseudolabels import pseudo_labels, student_t
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs


@pytest.fixture(scope="module")
def blobs():
    x, _ = make_blobs(400, n_features=6, centers=5, cluster_std=2.5, random_state=3)
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
    assert torch.equal(pseudo_labels(x, centroids), assign(x, centroids)[0])
