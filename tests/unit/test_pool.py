"""Cuts, components and the pool on clusters that are known."""

import numpy as np
import pytest
from sccicl import pool
from sccicl.components import principal_components
from sccicl.cuts import kmeans_cut, mixture_cut, neighbour_graph, neighbour_indices, shrunk_to_sphere, ward_cut
from sccicl.evidence import ArrayEvidence, CountEvidence
from sccicl.genes import discriminating_genes
from sccicl.pool import consensus_labels, first_partitions
from scipy import sparse
from simulate import simulate_cells
from sklearn.decomposition import PCA
from sklearn.feature_selection import f_classif
from sklearn.metrics import adjusted_rand_score


@pytest.fixture(scope="module")
def unequal():
    """A big, a middle and a small cluster, far apart."""
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], [300, 60, 15])
    return (rng.normal(size=(375, 5)) + 12 * np.eye(5)[truth]).astype(np.float32), truth


@pytest.mark.parametrize(
    "cut", [lambda x: kmeans_cut(x, 3, 0), lambda x: mixture_cut(x, 3, 0), lambda x: ward_cut(x, 3)]
)
def test_every_cut_finds_separate_clusters_of_unequal_size(unequal, cut):
    x, truth = unequal
    assert adjusted_rand_score(truth, cut(x)) == 1


def test_components_are_those_of_scikit_learn(unequal):
    x, _ = unequal
    theirs = PCA(3, svd_solver="full").fit_transform(x)
    ours = principal_components(x, 3)
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=1e-3)


def test_neighbours_by_brute_force(unequal):
    x = unequal[0][:50]
    distance = np.linalg.norm(x[:, None] - x, axis=2)
    np.fill_diagonal(distance, np.inf)
    np.testing.assert_array_equal(np.sort(neighbour_indices(x, 4)), np.sort(np.argsort(distance)[:, :4]))
    graph = neighbour_graph(x, 4).toarray()
    assert (graph == graph.T).all() and graph.diagonal().sum() == 0


def test_sphere():
    x = np.array([[3.0, 4.0], [0.0, 1.0], [10.0, 0.0]])
    np.testing.assert_allclose(np.linalg.norm(shrunk_to_sphere(x, 1.0), axis=1), 5)
    np.testing.assert_allclose(shrunk_to_sphere(x, 0.0), x)


def test_pool_of_counts_agrees_on_the_types():
    cells = simulate_cells()
    evidence = CountEvidence(cells.X)
    found = list(evidence.representations(0))
    # 120 genes are fewer than every gene set takes, so the sets are one and the same.
    assert [(one.genes, one.scaling, one.scores.shape[1]) for one in found] == [
        ("seurat 2000", "z", 10),
        ("seurat 2000", "z", 20),
        ("seurat 2000", "z", 30),
        ("seurat 2000", "root", 20),
    ]
    # Three cuts of each; two towards the sphere where there are 20 components; one into twice as many clusters of z.
    pool_of_all = first_partitions(found, 5, 0)
    assert len(pool_of_all) == 4 * 3 + 2 * 2 + 3 and all(len(labels) == cells.n_obs for labels in pool_of_all)
    labels = consensus_labels(evidence, 5, found[1].scores, quiet=True)
    assert adjusted_rand_score(cells.obs["cell_type"], labels) == 1


def test_reselected_genes_are_the_markers():
    """The 75 genes that differ between the five types come before the 45 that do not."""
    cells = simulate_cells(fold=8.0)
    log_values = sparse.csr_matrix(np.log1p(cells.X.toarray()))
    order = discriminating_genes(log_values, cells.obs["cell_type"].cat.codes.to_numpy())
    assert (order[:60] < 75).all()


def test_f_statistic_orders_as_scikit_learn():
    rng = np.random.default_rng(2)
    labels = np.arange(300) % 3
    x = rng.normal(size=(300, 40)) + np.linspace(0, 3, 40) * (labels[:, None] == 1) + 5
    ours = discriminating_genes(sparse.csr_matrix(x), labels)
    theirs = np.argsort(-f_classif(x, labels)[0])
    np.testing.assert_array_equal(ours[:25], theirs[:25])


def test_cells_outside_the_pool_are_labelled_too(unequal, monkeypatch):
    monkeypatch.setattr(pool, "POOL_CELLS", 200)
    x, truth = unequal
    assert adjusted_rand_score(truth, consensus_labels(ArrayEvidence(x), 3, x, quiet=True)) == 1
    assert (consensus_labels(ArrayEvidence(x), 1, x) == 0).all()
