"""The graph that UMAP lays out, against umap-learn's."""

import numpy as np
import pytest
from sccicl.numerics.fuzzy_graph import fuzzy_simplicial_set, neighbour_distances
from sccicl.numerics.neighbours import neighbour_indices


def graph_of(x, n_neighbours=14):
    indices = neighbour_indices(x, n_neighbours)
    return fuzzy_simplicial_set(indices, neighbour_distances(x, indices))


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_weights_are_those_of_umap_learn(scale):
    from umap.umap_ import fuzzy_simplicial_set as reference

    x = (np.random.default_rng(0).normal(size=(200, 6)) * scale).astype(np.float32)
    x[:20] = x[0]  # identical cells
    x[20:23] = x[20]
    distances = np.sqrt(np.square(x[:, None].astype(np.float64) - x).sum(2))
    np.fill_diagonal(distances, -1)
    indices = np.argsort(distances, axis=1, kind="stable")[:, :15]
    distances = np.maximum(np.take_along_axis(distances, indices, 1), 0)
    theirs = reference(x, 15, 0, "euclidean", knn_indices=indices, knn_dists=distances.astype(np.float32))[0]
    ours = fuzzy_simplicial_set(indices[:, 1:], distances[:, 1:])
    np.testing.assert_allclose(ours.toarray(), theirs.toarray(), atol=2e-4)


def test_weights_add_up_to_the_logarithm_of_the_neighbours():
    x = np.random.default_rng(1).normal(size=(100, 5))
    indices = neighbour_indices(x, 14)
    distances = neighbour_distances(x, indices)
    graph = fuzzy_simplicial_set(indices, distances)
    assert abs(graph - graph.T).max() == 0
    assert graph.data.min() > 0 and graph.data.max() <= 1
    # The nearest neighbour has the weight 1 in one direction, so in both together.
    np.testing.assert_allclose(np.asarray(graph[np.arange(100), indices[:, 0]]).ravel(), 1)


def test_all_cells_alike():
    graph = graph_of(np.zeros((12, 3)), 5)
    assert np.isfinite(graph.data).all() and graph.data.max() == 1
