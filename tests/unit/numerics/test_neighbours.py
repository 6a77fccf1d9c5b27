"""Nearest neighbours against all distances."""

import numpy as np
import pytest
from sccicl.numerics import neighbours
from sccicl.numerics.neighbours import neighbour_indices, shared_neighbour_graph


def by_distance(x, n):
    distance = np.square(x[:, None].astype(np.float64) - x).sum(2)
    np.fill_diagonal(distance, np.inf)
    return distance.argsort(1, kind="stable")[:, :n]


@pytest.mark.parametrize("entries", [1, 1000, 1 << 22])
def test_all_distances(entries, monkeypatch):
    monkeypatch.setattr(neighbours, "CPU_ENTRIES", entries)
    x = np.random.default_rng(0).normal(size=(150, 6)).astype(np.float32)
    np.testing.assert_array_equal(neighbour_indices(x, 7), by_distance(x, 7))


def test_far_from_the_origin():
    """|x|^2 - 2 x y + |y|^2 in float32 has no digit left of distances that are a thousandth of the lengths."""
    x = (1000 + np.random.default_rng(1).normal(size=(200, 5))).astype(np.float32)
    np.testing.assert_array_equal(neighbour_indices(x, 4), by_distance(x, 4))


def test_no_cell_is_its_own_neighbour_where_cells_are_identical():
    found = neighbour_indices(np.ones((6, 3), dtype=np.float32), 3)
    assert found.tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2], [0, 1, 2], [0, 1, 2]]


def test_fewer_cells_than_neighbours():
    assert neighbour_indices(np.arange(3, dtype=np.float32)[:, None], 10).tolist() == [[1, 2], [0, 2], [1, 0]]


@pytest.mark.slow  # numba compiles
def test_many_cells_approximately(monkeypatch):
    x = np.random.default_rng(0).normal(size=(400, 4)).astype(np.float32)
    exact = neighbour_indices(x, 8)
    monkeypatch.setattr(neighbours, "EXACT_NEIGHBOURS_CELLS", 100)
    found = neighbour_indices(x, 8)
    assert found.shape == exact.shape and not (found == np.arange(400)[:, None]).any()
    assert np.mean([len(np.intersect1d(a, b)) for a, b in zip(found, exact, strict=True)]) > 0.95 * 8


def test_the_cell_itself_may_be_missing_in_approximate_neighbours():
    found = np.array([[0, 1, 2], [0, 2, 3], [1, 2, 0], [3, 0, 1]])
    assert neighbours._without_itself(found).tolist() == [[1, 2], [0, 2], [1, 0], [0, 1]]


def test_weights_are_jaccard_indices():
    x = np.random.default_rng(3).normal(size=(60, 3)).astype(np.float32)
    near = [{i, *row} for i, row in enumerate(by_distance(x, 5).tolist())]
    graph = shared_neighbour_graph(x).toarray()
    for i in range(60):
        for j in range(60):
            linked = i != j and (j in near[i] or i in near[j])
            expected = len(near[i] & near[j]) / len(near[i] | near[j]) if linked else 0
            assert graph[i, j] == pytest.approx(expected)


def test_nearest_of_other_cells():
    rng = np.random.default_rng(0)
    x, reference = (rng.normal(size=(n, 4)).astype(np.float32) + 50 for n in (30, 40))
    distances = np.square(x[:, None].astype(np.float64) - reference).sum(2)
    np.testing.assert_array_equal(neighbours.nearest_of(x, reference, 5), np.argsort(distances, axis=1)[:, :5])
