"""The training loop: what it learns, that it repeats, and what it never sees."""

import dataclasses

import pytest
import torch
from sccicl.config import PRESETS, Config
from sccicl.errors import InputError
from sccicl.model.minibatches import minibatches
from sccicl.model.train import label_change, one_of, train

SMALL = Config(n_layers=2, feed_forward=32, projection_hidden=32, projection_size=16, epochs=3, batch_size=40)


@pytest.fixture(scope="module")
def x():
    return torch.randn(90, 12, generator=torch.Generator().manual_seed(0))


def test_same_seed_same_weights_and_history(x):
    first, second = (train(x, 4, SMALL, seed=7, quiet=True) for _ in range(2))
    assert first.history == second.history
    for a, b in zip(first.encoder.parameters(), second.encoder.parameters(), strict=True):
        assert torch.equal(a, b)
    other = train(x, 4, SMALL, seed=8, quiet=True)
    assert other.history["loss"] != first.history["loss"]


def test_loss_falls_and_is_the_weighted_sum(x):
    config = dataclasses.replace(SMALL, epochs=30, learning_rate=1e-3, head_learning_rate=1e-3, cluster_loss_weight=0.5)
    history = train(x, 4, config, quiet=True).history
    assert history["loss"][-1] < history["loss"][0]
    for total, instance, cluster in zip(
        history["loss"], history["instance_loss"], history["cluster_loss"], strict=True
    ):
        assert total == pytest.approx(instance + 0.5 * cluster, rel=1e-5)
    assert history["label_change"][0] == 1 and all(0 <= value <= 1 for value in history["label_change"])


@pytest.mark.parametrize(("n_cells", "batch_size"), [(2, 2), (3, 2), (41, 40), (81, 40), (6001, 6000), (10, 100)])
def test_minibatches_cover_all_cells_and_never_hold_one(n_cells, batch_size):
    parts = minibatches(n_cells, batch_size, torch.Generator().manual_seed(0))
    assert torch.equal(torch.cat(parts).sort().values, torch.arange(n_cells))
    assert min(map(len, parts)) >= 2
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_fewer_cells_in_a_batch_than_clusters(x):
    history = train(x[:10], 8, dataclasses.replace(SMALL, batch_size=4), quiet=True).history
    assert len(history["loss"]) == 3


def test_label_change():
    before = torch.tensor([0, 0, 0, 1, 1, 2])
    assert label_change(before, torch.tensor([2, 2, 2, 0, 0, 1])) == 0
    assert label_change(before, torch.tensor([2, 2, 0, 0, 0, 1])) == pytest.approx(1 / 6)


def test_paper_preset_is_the_published_setup():
    paper = PRESETS["paper"]
    assert (paper.n_genes, paper.n_layers, paper.feed_forward) == (500, 4, 1024)
    assert (paper.projection_hidden, paper.projection_size) == (1024, 512)
    assert (paper.batch_size, paper.epochs) == (6000, 1000)
    assert (paper.cluster_loss_weight, paper.student_df, paper.temperature) == (0.1, 1, 0.5)
    assert (paper.view, paper.cluster_loss) == ("unit-noise", "ratio")


@pytest.mark.parametrize(
    ("field", "value", "told"), [("epochs", 0, "at least 1"), ("dropout", 1.5, "at most"), ("view", "blur", "one of")]
)
def test_values_out_of_range(field, value, told):
    with pytest.raises(InputError, match=f"--{field} must be {told}"):
        Config(**{field: value})


def test_a_training_that_diverges_is_ended(x, monkeypatch):
    monkeypatch.setattr("sccicl.config.LARGEST", float("inf"))
    with pytest.raises(InputError, match="the loss of epoch 2 is not a number: give a smaller --learning-rate"):
        train(x, 3, Config(epochs=5, weight_decay=float("inf")), quiet=True)


def test_names_of_clusters_stay_from_batch_to_batch(x, device):
    """Minibatches of two far groups: a group keeps its name, so from the second epoch on no label changes."""
    apart = x + 30 * torch.eye(12)[torch.arange(90) % 2]
    history = train(
        apart, 2, dataclasses.replace(SMALL, view="noise", noise_sd=0.01), device=device, quiet=True
    ).history
    assert history["label_change"][1:] == [0, 0]


def test_given_pseudo_labels_and_neighbours(x, device):
    """Separate clusters stay what they are, and the second view is drawn from the neighbours."""
    truth = torch.arange(90) % 3
    apart = x + 20 * torch.eye(12)[truth]
    config = Config(
        encoder="pca", embedding_size=6, n_layers=1, feed_forward=8, projection_hidden=16, projection_size=8,
        view="mask", mask_fraction=0.2, epochs=2, min_steps=11, batch_size=32, cluster_loss="supcon",
    )  # fmt: skip
    neighbours = torch.stack([(torch.arange(90) + 3) % 90, (torch.arange(90) + 6) % 90], 1)
    trained = train(apart, 3, config, pseudo_labels=truth, neighbours=neighbours, device=device, quiet=True)
    assert torch.equal(trained.pseudo_labels, truth)
    unequal = (torch.arange(90) >= 85).long()  # K-means would rather have the three even clusters
    kept = train(apart, 2, config, pseudo_labels=unequal, neighbours=neighbours, device=device, quiet=True)
    assert torch.equal(kept.pseudo_labels, unequal)
    assert len(trained.history["epoch"]) == 4  # 3 minibatches an epoch, at least 11 steps


def test_one_of_draws_from_its_row():
    drawn = one_of(torch.tensor([[0, 1], [2, 3]]).repeat(100, 1), torch.Generator().manual_seed(0))
    assert set(drawn[::2].tolist()) == {0, 1} and set(drawn[1::2].tolist()) == {2, 3}
