"""The final clusters on an embedding that is known."""

import numpy as np
import pytest
import torch
from sccicl.clustering.assign import assign_clusters, by_size, cluster
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score


@pytest.fixture(scope="module")
def unequal():
    """A wide cluster of 300 cells, and a narrow one of 12 beside it."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [300, 12])
    h = rng.normal(size=(312, 2)) * np.where(labels == 0, 1.0, 0.1)[:, None] * [4, 1]
    h[labels == 1] += [0, 9]
    return torch.from_numpy(h.astype(np.float32)), torch.from_numpy(labels)


def test_pseudo_labels_give_the_means_and_every_cell_goes_to_the_nearest(unequal):
    """K-means would divide the wide cluster and join the narrow one to a half."""
    h, labels = unequal
    assert adjusted_rand_score(labels, KMeans(2, n_init=5, random_state=0).fit_predict(h)) < 0.5
    found = cluster(h, 2, start=labels)
    np.testing.assert_array_equal(found.labels, labels)
    np.testing.assert_allclose(found.centroids, [h[labels == j].mean(0).numpy() for j in (0, 1)], rtol=1e-5)


def test_the_biggest_cluster_is_the_first_whatever_its_pseudo_label(unequal):
    h, labels = unequal
    np.testing.assert_array_equal(cluster(h, 2, start=1 - labels).labels, labels)
    np.testing.assert_array_equal(by_size(1 - labels.numpy()), labels)


@pytest.mark.parametrize("scale", [1e-12, 1e-4, 1e-3])
def test_clusters_within_rounding_of_each_other_are_numbered_by_size_and_none_is_empty(scale):
    for seed in range(10):
        h = torch.from_numpy((scale * np.random.default_rng(seed).normal(size=(40, 3))).astype(np.float32))
        found = cluster(h, 12, start=torch.arange(40) % 12)
        size = np.bincount(found.labels, minlength=len(found.centroids))
        assert size.min() > 0 and (np.diff(size) <= 0).all(), (seed, size)


def test_without_pseudo_labels_it_is_k_means(unequal):
    h, _ = unequal
    theirs = KMeans(2, n_init=20, random_state=0).fit_predict(h)
    assert adjusted_rand_score(theirs, cluster(h, 2).labels) == 1


def test_confidence_is_0_half_way_and_1_on_a_centroid():
    centroids = torch.tensor([[0.0, 0.0], [2e4, 0.0]])
    labels, confidence = assign_clusters(torch.tensor([[0.0, 0.0], [1e4, 0.0]]), centroids)
    assert labels[0] == 0 and confidence == pytest.approx([1, 0], abs=1e-4)
