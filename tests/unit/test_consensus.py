"""Consensus of partitions against scipy's average linkage and against planted clusters."""

import numpy as np
import pytest
from sccicl import consensus as module
from sccicl.consensus import average_linkage, consensus
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist, squareform
from sklearn.metrics import adjusted_rand_score


@pytest.mark.parametrize("k", [1, 2, 5, 9, 40])
def test_average_linkage_is_scipys(k):
    distance = pdist(np.random.default_rng(0).normal(size=(40, 3)))
    theirs = fcluster(linkage(distance, "average"), k, "maxclust")
    ours = average_linkage(-squareform(distance), np.ones(40), k)
    assert adjusted_rand_score(theirs, ours) == 1 and ours.max() + 1 == k


def test_groups_of_cells_weigh_as_their_cells():
    """Points that stand for several cells give what the cells give one by one."""
    rng = np.random.default_rng(1)
    points, size = rng.normal(size=(15, 2)), rng.integers(1, 5, 15)
    group = np.repeat(np.arange(15), size)
    theirs = fcluster(linkage(pdist(points[group]), "average"), 4, "maxclust")
    ours = average_linkage(-squareform(pdist(points)), size, 4)[group]
    assert adjusted_rand_score(theirs, ours) == 1


def test_odd_cells_are_no_clusters():
    """Two far single points do not use up the two clusters; each joins the nearer big group."""
    points = np.array([[0.0], [0.1], [0.2], [0.3], [5.0], [5.1], [5.2], [5.3], [-30.0], [40.0]])
    labels = average_linkage(-squareform(pdist(points)), np.ones(10), 2, min_size=3)
    assert adjusted_rand_score([0] * 4 + [1] * 4 + [0, 1], labels) == 1


def noisy_partitions(truth, n, noise, seed=0):
    rng = np.random.default_rng(seed)
    k = truth.max() + 1
    return [np.where(rng.random(len(truth)) < noise, rng.integers(0, k, len(truth)), truth) for _ in range(n)]


@pytest.mark.parametrize("micro_clusters", [10_000, 60])
def test_consensus_is_right_where_every_partition_errs(micro_clusters, monkeypatch):
    monkeypatch.setattr(module, "MICRO_CLUSTERS", micro_clusters)
    truth = np.repeat([0, 1, 2, 3], [600, 250, 120, 30])
    partitions = noisy_partitions(truth, 30, 0.3)
    assert max(adjusted_rand_score(truth, labels) for labels in partitions) < 0.8
    assert adjusted_rand_score(truth, consensus(partitions, 4)) > 0.98


def test_partitions_that_tell_fewer_cells_apart():
    assert consensus([np.repeat([0, 1], 10)] * 3, 5).max() == 1
