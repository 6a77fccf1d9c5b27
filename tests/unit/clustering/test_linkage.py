"""Cuts of cells on known clusters, and against other libraries."""

import numpy as np
import pytest
from sccicl.clustering.linkage import (
    cut_merges,
    explained_variance,
    graph_ward_merges,
    kmeans_labels,
    shrunk_to_sphere,
    tempered_linkage,
    tempered_ward,
)
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import kneighbors_graph


def test_exponent_1_is_ward_linkage():
    x = np.random.default_rng(0).normal(size=(60, 3))
    expected = AgglomerativeClustering(7, linkage="ward").fit_predict(x)
    assert adjusted_rand_score(expected, tempered_linkage(x, np.ones(60), 7, 1.0)) == 1


def test_exponent_0_is_centroid_linkage():
    x = np.random.default_rng(1).normal(size=(40, 2))
    expected = fcluster(linkage(x, "centroid"), 5, "maxclust")
    assert adjusted_rand_score(expected, tempered_linkage(x, np.ones(40), 5, 0.0)) == 1


@pytest.mark.filterwarnings("ignore:the number of connected components")
@pytest.mark.parametrize("apart", [0, 50])
def test_ward_along_the_graph_is_that_of_scikit_learn(apart):
    """Also where the graph is of several parts."""
    x = np.random.default_rng(3).normal(size=(120, 3)).astype(np.float32)
    x[:40, 0] += apart
    near = kneighbors_graph(x, 15)
    merges = graph_ward_merges(x)
    for k in (1, 2, 6, 120):
        expected = AgglomerativeClustering(k, connectivity=near.maximum(near.T)).fit_predict(x.astype(np.float64))
        assert adjusted_rand_score(expected, cut_merges(merges, k)) == 1


def test_groups_count_as_the_cells_they_hold():
    # Merging the cells of a group beforehand changes nothing in what Ward linkage does afterwards.
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(12), rng.integers(2, 9, 12))
    x = rng.normal(size=(12, 2))[groups] * 10
    centroids, size = np.stack([x[groups == g].mean(0) for g in range(12)]), np.bincount(groups)
    expected = AgglomerativeClustering(4, linkage="ward").fit_predict(x)
    assert adjusted_rand_score(expected, tempered_linkage(centroids, size, 4, 1.0)[groups]) == 1


def test_explained_variance_by_hand():
    x = np.array([[0.0], [2.0], [10.0], [12.0]])
    # The mean is 6: total 36 + 16 + 16 + 36 = 104, within 4 * 1.
    assert explained_variance(x, np.array([0, 0, 1, 1])) == pytest.approx(100 / 104)
    assert explained_variance(np.ones((3, 2)), np.zeros(3, dtype=int)) == 1


def test_small_types_are_told_apart_before_a_big_one_is_cut():
    # One type of 2,000 cells that is long, two of 20 cells that are close: K-means with k = 3 halves the long one.
    rng = np.random.default_rng(3)
    truth = np.repeat([0, 1, 2], [2000, 20, 20])
    x = rng.normal(size=(2040, 5)).astype(np.float32)
    x[:, 0] *= 2.5
    x[truth == 1, 1] += 16
    x[truth == 2, 2] += 16
    assert adjusted_rand_score(truth, kmeans_labels(x, 3, 0, n_init=10)) < 0.5
    assert adjusted_rand_score(truth, tempered_ward(x, 3, 0, tolerance=0.3)) == 1


def test_without_tolerance_it_is_no_worse_than_k_means():
    x = np.random.default_rng(4).normal(size=(300, 4)).astype(np.float32)
    labels = tempered_ward(x, 6, 0, tolerance=0.0)
    assert explained_variance(x, labels) >= explained_variance(x, kmeans_labels(x, 6, 0)) - 1e-9


def test_hardly_more_cells_than_clusters():
    x = np.random.default_rng(5).normal(size=(10, 2)).astype(np.float32)
    assert len(np.unique(tempered_ward(x, 9, 0))) == 9
    assert (tempered_ward(x, 1, 0) == 0).all()


def test_sphere():
    x = np.array([[3.0, 4.0], [0.0, 1.0], [10.0, 0.0]])
    np.testing.assert_allclose(np.linalg.norm(shrunk_to_sphere(x, 1.0), axis=1), 5)
    np.testing.assert_allclose(shrunk_to_sphere(x, 0.0), x)


def test_a_cell_far_from_all_others_is_no_cluster():
    rng = np.random.default_rng(6)
    truth = np.repeat([0, 1], [400, 100])
    x = (rng.normal(size=(500, 4)) + 10 * np.eye(4)[truth]).astype(np.float32)
    x[0] = 60
    assert adjusted_rand_score(truth[1:], tempered_ward(x, 2, 0)[1:]) == 1


def test_a_type_of_one_percent_is_found():
    rng = np.random.default_rng(7)
    truth = np.repeat([0, 1, 2, 3], [1200, 500, 280, 20])
    x = (rng.normal(size=(2000, 8)) + 9 * np.eye(8)[truth]).astype(np.float32)
    assert adjusted_rand_score(truth, tempered_ward(x, 4, 0)) > 0.999


def test_cells_of_no_length_stay_where_they_are():
    """As most cells of a half of the features that hardly varies are."""
    x = np.zeros((5, 3))
    x[0] = [3, 0, 4]
    with np.errstate(all="raise"):
        found = shrunk_to_sphere(x, 1.0)
    assert np.isfinite(found).all() and (found[1:] == 0).all()
    np.testing.assert_allclose(found[0], [0.6, 0, 0.8])
