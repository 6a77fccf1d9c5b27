"""The training phase (paper Algorithm 1)."""

from typing import NamedTuple

import torch
from torch import Tensor

from .config import Config
from .kmeans import kmeans
from .loss import contrastive_loss
from .model import Encoder, ProjectionHead, encode
from .progress import progress
from .pseudolabels import pseudo_labels
from .views import mask, noise, unit_noise


class Trained(NamedTuple):
    """`history` has one value per epoch under epoch, loss, instance_loss, cluster_loss and label_change."""

    encoder: Encoder
    history: dict[str, list[float]]


def new_encoder(n_features: int, config: Config) -> Encoder:
    """The encoder f of `config` for cells of `n_features` genes, freshly initialised."""
    return Encoder(n_features, config.n_layers, config.value_size, config.feed_forward, config.dropout)


def draw_view(x: Tensor, config: Config, generator: torch.Generator) -> Tensor:
    """One augmented view of a minibatch, (cells, genes)."""
    if config.view == "mask":
        return mask(x, generator, fraction=config.mask_fraction)
    if config.view == "noise":
        return noise(x, generator, sd=config.noise_sd, fraction=config.noise_fraction)
    return unit_noise(x, generator)


def minibatches(n_cells: int, batch_size: int, generator: torch.Generator) -> list[Tensor]:
    """A random split into minibatches of nearly equal size, at most `batch_size` and never below 2 cells.

    Equal sizes keep the last minibatch from having one cell, or fewer cells than clusters.
    """
    n_batches = max(1, min(-(-n_cells // batch_size), n_cells // 2))
    return list(torch.randperm(n_cells, generator=generator).tensor_split(n_batches))


def train(
    x: Tensor,
    n_clusters: int,
    config: Config,
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
    quiet: bool = False,
) -> Trained:
    """Train the encoder on prepared cells.

    For every minibatch: two views, K-means on H = f(X) for the pseudo-labels, the loss on the projections of the views,
    one step of Adam. No label of a cell type is known here.

    Parameters
    ----------
    x
        Prepared cells, (cells, genes), float32.
    n_clusters
        k of the pseudo-labels.
    """
    device = torch.device(device)
    torch.manual_seed(seed)
    encoder = new_encoder(x.shape[1], config)
    head = ProjectionHead(x.shape[1], config.projection_hidden, config.projection_size)
    encoder.to(device), head.to(device)
    optimiser = torch.optim.Adam(
        [
            {"params": encoder.parameters(), "lr": config.learning_rate},
            {"params": head.parameters(), "lr": config.head_learning_rate},
        ],
        weight_decay=config.weight_decay,
    )
    on_host = torch.Generator().manual_seed(seed)
    on_device = torch.Generator(device).manual_seed(seed)
    x = x.to(device)
    labels = torch.full((len(x),), -1, device=device)
    history: dict[str, list[float]] = {
        name: [] for name in ("epoch", "loss", "instance_loss", "cluster_loss", "label_change")
    }
    for epoch in progress(range(config.epochs), "training", config.epochs, quiet=quiet):
        sums = torch.zeros(3, device=device)
        previous = labels.clone()
        for batch in minibatches(len(x), config.batch_size, on_host):
            batch = batch.to(device)
            cells = x[batch]
            h = encode(encoder, cells)
            centroids = kmeans(h, min(n_clusters, len(batch)), seed=seed, n_init=1).centroids
            labels[batch] = pseudo_labels(h, centroids, config.student_df)
            first, second = (head(encoder(draw_view(cells, config, on_device))) for _ in range(2))
            losses = contrastive_loss(
                first,
                second,
                labels[batch],
                temperature=config.temperature,
                weight=config.cluster_loss_weight,
                form=config.cluster_loss,
            )
            optimiser.zero_grad()
            losses.total.backward()
            optimiser.step()
            sums += torch.stack(losses).detach() * len(batch)
        for name, value in zip(("loss", "instance_loss", "cluster_loss"), (sums / len(x)).tolist(), strict=True):
            history[name].append(value)
        history["epoch"].append(epoch + 1)
        history["label_change"].append(label_change(previous, labels))
    return Trained(encoder, history)


def label_change(before: Tensor, after: Tensor) -> float:
    """Share of the cells that left the company of their cluster, 0 to 1, whatever the clusters are called.

    Every old cluster is taken to live on in the new cluster that got most of its cells.
    """
    k = int(max(before.max(), after.max())) + 1
    if bool((before < 0).any()):
        return 1.0
    counts = torch.bincount(before * k + after, minlength=k * k).view(k, k)
    return 1.0 - counts.max(1).values.sum().item() / len(before)
