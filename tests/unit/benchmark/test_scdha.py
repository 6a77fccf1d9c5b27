"""scDHA written anew: its steps against what they are defined as."""

import numpy as np
import pytest
import torch
from sccicl.benchmark import scdha
from sccicl.benchmark.rivals import read_cells
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from simulate import simulate_cells
from sklearn.metrics import adjusted_rand_score


def test_cells_are_scaled_from_0_to_1_and_large_values_by_their_logarithm():
    small = np.array([[0, 5, 10], [2, 4, 3]])
    np.testing.assert_allclose(scdha.scaled(small), [[0, 0.5, 1], [0, 1, 0.5]])
    large = np.array([[0, 1, 1023], [0, 0, 7]])
    np.testing.assert_allclose(scdha.scaled(large), [[0, 0.1, 1], [0, 0, 1]], rtol=1e-6)
    assert (scdha.scaled(np.ones((2, 3))) == 0).all()


def test_genes_that_vary_score_above_constant_and_rare_ones():
    rng = np.random.default_rng(0)
    x = np.zeros((100, 60), dtype=np.float32)
    x[:, :20] = (np.arange(100) % 4 == np.arange(20)[:, None] % 4).T * 0.8 + rng.random((100, 20)) * 0.1
    x[:, 20:40] = 0.5
    x[np.arange(20), np.arange(40, 60)] = 0.3  # one cell each
    scores = scdha.gene_scores(torch.from_numpy(x), 0)
    assert set(scores.topk(20).indices.tolist()) == set(range(20))
    assert (scores == scdha.gene_scores(torch.from_numpy(x), 0)).all()


def test_divergence_is_that_of_torch():
    mean, log_variance = torch.randn(20, 5), torch.randn(20, 5)
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(normal(mean, (log_variance / 2).exp()), normal(0.0, 1.0)).mean()
    assert scdha.divergence(mean, log_variance).item() == pytest.approx(expected.item(), rel=1e-5)


def test_neighbours_are_those_by_pearson_correlation():
    x = np.random.default_rng(0).normal(size=(30, 8)) * 5 + 3
    rows = scdha.unit_rows(x)
    np.testing.assert_allclose(rows @ rows.T, np.corrcoef(x), atol=1e-12)


@pytest.mark.parametrize("n", [90, 600])  # dense and sparse eigenvectors
def test_spectral_clustering_parts_directions_that_kmeans_cannot(n):
    rng = np.random.default_rng(0)
    types = np.arange(n) % 3
    direction = rng.normal(size=(3, 12))
    # Of any length: correlation is the same, distances are not.
    x = direction[types] * rng.uniform(0.2, 20, n)[:, None] + rng.normal(size=(n, 12)) * 0.01
    assert adjusted_rand_score(types, scdha.spectral(x, 3, 0)) > 0.95


def test_above_5000_cells_the_others_vote(monkeypatch):
    monkeypatch.setattr(scdha, "MANY_CELLS", 300)
    monkeypatch.setattr(scdha, "N_CLUSTERED", 200)
    seen = []
    original = scdha.spectral
    monkeypatch.setattr(scdha, "spectral", lambda x, k, seed: seen.append(len(x)) or original(x, k, seed))
    rng = np.random.default_rng(0)
    types = np.arange(900) % 3
    x = rng.normal(size=(3, 12))[types] + rng.normal(size=(900, 12)) * 0.05
    assert adjusted_rand_score(types, scdha.cut(x, 3, 0)) == 1 and seen == [200]


def test_average_linkage_is_that_of_scipy():
    rng = np.random.default_rng(0)
    points = rng.random((25, 3))
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    for k in (1, 4, 9):
        found = scdha.average_linkage(distance, np.ones(25), k)
        expected = fcluster(linkage(squareform(distance, checks=False), "average"), k, "maxclust")
        assert adjusted_rand_score(found, expected) == 1


def test_partitions_are_joined_as_by_average_linkage_of_all_cells():
    rng = np.random.default_rng(1)
    true = np.repeat(np.arange(4), 20)
    partitions = np.stack([np.where(rng.random(80) < 0.2, rng.integers(4, size=80), true) for _ in range(9)], axis=1)
    apart = (partitions[:, None] != partitions[None]).mean(2)
    expected = fcluster(linkage(squareform(apart, checks=False), "average"), 4, "maxclust")
    found = scdha.joined(partitions, 4)
    assert len(set(found)) == 4 and adjusted_rand_score(true, found) > 0.95
    # Ties among so few shares may be broken otherwise: a cell or two.
    assert adjusted_rand_score(expected, found) > 0.9
    assert (scdha.joined(np.tile(true[:, None], 9), 4) == true).all()


def test_types_are_found_and_the_seed_decides(tmp_path, monkeypatch):
    monkeypatch.setattr(scdha, "N_BATCHES", 6)
    monkeypatch.setattr(scdha, "N_GENES", 200)
    simulate_cells(120, 3, n_genes=300, seed=1).write_h5ad(tmp_path / "x.h5ad")
    cells = read_cells(str(tmp_path / "x.h5ad"), "counts")
    found = scdha.embeddings(cells, 0)
    assert len(found) == 9 and {e.shape for e in found} == {(120, 15)}
    labels = scdha.consensus(found, 3, 0)
    assert adjusted_rand_score(np.arange(120) % 3, labels) > 0.9
    again = scdha.embeddings(cells, 0)
    assert all((a == b).all() for a, b in zip(found, again, strict=True))
    assert not (found[0] == scdha.embeddings(cells, 1)[0]).all()
