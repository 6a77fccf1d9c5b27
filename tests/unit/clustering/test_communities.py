"""Leiden communities against modularity written out, and on graphs whose communities are known."""

from itertools import product

import numpy as np
import pytest
from sccicl.clustering.communities import Communities, merged
from scipy import sparse


def modularity(weights, labels, resolution):
    """Sum over ordered pairs of cells of one community of w_ij - resolution d_i d_j / 2m."""
    degree, total = weights.sum(1), weights.sum()
    same = np.equal.outer(labels, labels)
    return ((weights - resolution * np.outer(degree, degree) / total) * same).sum()


@pytest.mark.parametrize("resolution", [0.3, 1.0, 2.5])
def test_no_partition_of_few_cells_has_a_higher_modularity(resolution):
    rng = np.random.default_rng(3)
    weights = np.triu(rng.random((6, 6)) * (rng.random((6, 6)) < 0.7), 1)
    weights += weights.T
    best = max(modularity(weights, np.array(labels), resolution) for labels in product(range(6), repeat=6))
    found = Communities(sparse.csr_matrix(weights), seed=1).at(resolution)
    assert modularity(weights, found, resolution) == pytest.approx(best)


def test_cliques_in_a_ring_are_merged_at_a_low_resolution_only():
    """Eight cliques of five cells, each tied to the next by one weak edge: 8 communities, fewer the lower."""
    clique = np.repeat(np.arange(8), 5)
    weights = np.equal.outer(clique, clique) - np.eye(40)
    for i in range(8):
        a, b = 5 * i, (5 * i + 7) % 40
        weights[a, b] = weights[b, a] = 0.2
    cliques = Communities(sparse.csr_matrix(weights))
    coarse, middle = cliques.at(0.02), cliques.at(1.0)
    assert len(set(zip(middle, clique, strict=True))) == len(set(middle)) == 8
    assert len(set(coarse)) < 8 and len(set(zip(coarse, clique, strict=True))) == 8


def test_cells_without_neighbours_are_communities_of_their_own():
    assert sorted(Communities(sparse.csr_matrix((3, 3))).at(1.0)) == [0, 1, 2]


@pytest.mark.parametrize("k", [2, 4, 8])
def test_as_many_as_asked_for(k):
    """Eight blobs in four pairs, two of which are near: the graph has each of these numbers of communities."""
    rng = np.random.default_rng(0)
    blob = np.repeat(np.arange(8), 40)
    block = rng.random((320, 320))
    rate = np.select([np.equal.outer(blob // n, blob // n) for n in (1, 2, 4)], [0.8, 0.2, 0.05], 0.005)
    weights = np.triu(block < rate, 1).astype(float)
    found = Communities(sparse.csr_matrix(weights + weights.T)).into(k)
    assert sorted(set(zip(found, blob // (8 // k), strict=True))) == sorted(
        {(found[40 * i], i // (8 // k)) for i in range(8)}
    )
    assert len(set(found)) == k


def test_merging_by_hand():
    """Of three communities the two whose weight between them is greatest for their degrees; the small one first."""
    weights = np.zeros((8, 8))
    for a, b, w in [(0, 1, 4), (2, 3, 4), (4, 5, 9), (1, 2, 1), (3, 4, 2), (6, 7, 5), (7, 0, 0.1)]:
        weights[a, b] = weights[b, a] = w
    labels = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    # e_01 = 1 of degrees 9.1 and 11: 0.0100; e_12 = 2 of 11 and 20: 0.0091; e_03 = 0.1 of 9.1 and 10.1
    assert merged(sparse.csr_matrix(weights), labels, 3).tolist() == [0, 0, 0, 0, 1, 1, 2, 2]
    alone = np.array([0, 0, 1, 1, 2, 3, 4, 4])  # cells 4 and 5 are too few to be a community
    assert merged(sparse.csr_matrix(weights), alone, 4).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_unconnected_communities_are_not_merged():
    weights = np.kron(np.eye(3), np.ones((4, 4)) - np.eye(4))
    assert Communities(sparse.csr_matrix(weights)).into(2) is None
    assert len(set(Communities(sparse.csr_matrix(weights)).into(3))) == 3
