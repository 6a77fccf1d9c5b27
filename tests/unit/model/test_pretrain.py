"""Pretraining on cells whose types are known."""

import numpy as np
import pytest
import torch
from sccicl.config import preset_config
from sccicl.model import pretrain
from sccicl.model.pretrain import pretrained_embedding
from sccicl.numerics.neighbours import neighbour_indices
from sccicl.numerics.pca import principal_components

CONFIG = preset_config("default")


@pytest.fixture(scope="module")
def cells():
    """Two types that differ in 20 of 120 genes by as much as a gene varies by chance."""
    rng = np.random.default_rng(0)
    types = np.repeat([0, 1], [140, 60])
    x = rng.normal(size=(200, 120))
    x[:, :20] += types[:, None]
    x = (x - x.mean(0)) / x.std(0)
    return torch.tensor(x, dtype=torch.float32), types


def between(h, types):
    """Share of the variance that lies between the types."""
    means = np.stack([h[types == t].mean(0) for t in types])
    return np.square(means - h.mean(0)).sum() / np.square(h - h.mean(0)).sum()


def test_types_come_apart_without_a_label(cells):
    x, types = cells
    scores = principal_components(x.numpy(), CONFIG.embedding_size)
    neighbours = torch.from_numpy(neighbour_indices(scores, 5).astype(np.int64))
    h = pretrained_embedding(x, CONFIG, neighbours, seed=0, device="cpu")
    assert h.shape == (200, CONFIG.embedding_size) and np.isfinite(h).all()
    assert between(h, types) > 1.2 * between(scores, types)
    np.testing.assert_array_equal(h, pretrained_embedding(x, CONFIG, neighbours, seed=0, device="cpu"))


def test_no_cluster_takes_part(cells, monkeypatch):
    seen = {}

    def spy(x, n_clusters, config, *, pseudo_labels, **options):
        seen.update(n_clusters=n_clusters, config=config, labels=pseudo_labels)
        return train(x, n_clusters, config, pseudo_labels=pseudo_labels, **options)

    train = pretrain.train
    monkeypatch.setattr(pretrain, "train", spy)
    monkeypatch.setattr(pretrain, "STEPS", 3)
    pretrained_embedding(cells[0], CONFIG, None, seed=1, device="cpu")
    assert seen["n_clusters"] == 1 and (seen["labels"] == 0).all()
    config = seen["config"]
    assert (config.cluster_loss_weight, config.instance_loss_weight, config.min_steps, config.epochs) == (0, 1, 3, 1)
