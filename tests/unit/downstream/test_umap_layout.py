"""The layout of UMAP: its curve and forces against their definition, its quality against umap-learn."""

import numpy as np
import pytest
import torch
from sccicl.downstream import umap_layout, umap_tsne
from sccicl.downstream.umap_layout import A, B, _pull, _push, lay_out
from sccicl.downstream.umap_tsne import umap
from scipy import optimize, sparse
from sklearn.datasets import load_digits
from sklearn.manifold import trustworthiness


def test_curve_is_the_least_squares_fit():
    d = np.linspace(0, 3, 300)
    target = np.where(d < 0.5, 1, np.exp(-(d - 0.5)))
    (a, b), _ = optimize.curve_fit(lambda x, a, b: 1 / (1 + a * x ** (2 * b)), d, target)
    assert pytest.approx((a, b), rel=1e-3) == (A, B)


def test_pull_is_the_gradient_of_the_cross_entropy():
    rng = np.random.default_rng(0)
    xy = rng.normal(size=(6, 2)).astype(np.float32)
    first, second = np.array([0, 0, 2]), np.array([1, 4, 5])
    weight = np.array([1.0, 0.5, 0.25], dtype=np.float32)
    places = torch.tensor(xy, dtype=torch.float64, requires_grad=True)
    square = (places[first] - places[second]).square().sum(1)
    # Each edge is drawn from both of its ends.
    (2 * torch.from_numpy(weight).double() * -torch.log(1 / (1 + A * square**B))).sum().backward()
    np.testing.assert_allclose(_pull(xy, first, second, weight), -places.grad.numpy(), rtol=1e-4, atol=1e-6)


def test_push_of_all_others_is_the_gradient_of_the_cross_entropy():
    # Far enough apart that neither the limit of a push nor the least distance matters
    xy = (np.random.default_rng(1).permutation(25)[:8, None] // [5, 1] % 5 * 3.0).astype(np.float32)
    places = torch.tensor(xy, dtype=torch.float64, requires_grad=True)
    square = (places[:, None] - places).square().sum(2)[~np.eye(8, dtype=bool)]
    # Each pair stands here twice, once for either cell's push; the gradient moves both cells of each.
    (-torch.log(1 - 1 / (1 + A * square**B))).sum().backward()
    np.testing.assert_allclose(2 * _push(xy, 7, np.random.default_rng(0)), -places.grad.numpy(), rtol=2e-3, atol=1e-5)


def test_neighbours_are_kept_as_by_umap_learn():
    from umap import UMAP

    x = load_digits().data[:1000].astype(np.float32)
    theirs = UMAP(n_neighbors=15, min_dist=0.5, init=umap_tsne._start(x, 0), random_state=0, n_jobs=1).fit_transform(x)
    kept, kept_by_theirs = (trustworthiness(x, xy, n_neighbors=15) for xy in (umap(x[:, x.std(0) > 1]), theirs))
    assert kept > kept_by_theirs - 0.01


def test_others_are_placed_where_their_neighbours_are(monkeypatch):
    x = load_digits().data[:900].astype(np.float32)
    monkeypatch.setattr(umap_tsne, "MOST_LAID_OUT", 450)
    found = umap(x)
    assert found.shape == (900, 2) and np.isfinite(found).all()
    assert trustworthiness(x, found, n_neighbors=15) > 0.95


def test_an_identical_cell_is_placed_at_its_twin(monkeypatch):
    x = np.repeat(np.random.default_rng(0).normal(size=(30, 4)), 2, axis=0).astype(np.float32)
    laid_out = np.random.default_rng(1).normal(size=(30, 2)).astype(np.float32)
    found = umap_tsne._placed(x, np.arange(0, 60, 2), laid_out)
    np.testing.assert_allclose(found[1::2], laid_out, atol=1e-5)


def test_no_edges_and_many_cells(monkeypatch):
    start = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    assert np.isfinite(lay_out(sparse.csr_matrix((50, 50)), start)).all()
    monkeypatch.setattr(umap_layout, "FEW_CELLS", 10)
    ring = sparse.diags([np.ones(49)] * 2, [1, -1]).tocsr()
    assert np.isfinite(lay_out(ring, start)).all()
