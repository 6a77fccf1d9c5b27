"""The training phase (paper Algorithm 1)."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from .batches import balanced_minibatches
from .config import Config
from .errors import InputError
from .kmeans import kmeans, lloyd, means, squared_distances
from .loss import contrastive_loss
from .model import Encoder, PCAEncoder, ProjectionHead, encode
from .progress import progress
from .pseudolabels import pseudo_labels
from .views import mask, noise, unit_noise


class Trained(NamedTuple):
    """`labels` are the last pseudo-labels, (cells,).

    `history` has one value per epoch under epoch, loss, instance_loss, cluster_loss and label_change.
    """

    encoder: Encoder | PCAEncoder
    labels: Tensor
    history: dict[str, list[float]]


def new_encoder(n_features: int, config: Config) -> Encoder | PCAEncoder:
    """The encoder f of `config` for cells of `n_features` genes, freshly initialised."""
    if config.encoder == "pca":
        return PCAEncoder(n_features, config.embedding_size, config.n_layers, config.feed_forward, config.dropout)
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
    return list(torch.randperm(n_cells, generator=generator).tensor_split(n_minibatches(n_cells, batch_size)))


def n_minibatches(n_cells: int, batch_size: int) -> int:
    """Minibatches of at most `batch_size` cells that it takes, if none may have fewer than 2."""
    return max(1, min(-(-n_cells // batch_size), n_cells // 2))


def train(
    x: Tensor,
    n_clusters: int,
    config: Config,
    *,
    labels: Tensor | None = None,
    neighbours: Tensor | None = None,
    batches: Tensor | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
    quiet: bool = False,
) -> Trained:
    """Train the encoder on prepared cells.

    For every minibatch: pseudo-labels, two views, the loss on their projections, one step of Adam. The pseudo-labels
    are from K-means on H = f(X) of the minibatch (the paper), or, where `labels` are given, from all cells at the start
    of every epoch, by one iteration of K-means from the centroids of the labels before. No label of a cell type is
    known here.

    Parameters
    ----------
    x
        Prepared cells, (cells, genes), float32.
    n_clusters
        k of the pseudo-labels.
    labels
        Pseudo-labels to start from, (cells,) 0..n_clusters-1.
    neighbours
        Nearest neighbours of every cell, (cells, neighbours); the second view of a cell is made of one of them. By
        default both are of the cell itself.
    batches
        Codes of the batches of the cells, (cells,): every minibatch holds each in the share that it has of all cells.

    Raises
    ------
    InputError
        When the loss is not finite: the parameters let the training diverge.
    """
    device = torch.device(device)
    torch.manual_seed(seed)
    x = x.to(device)
    encoder = new_encoder(x.shape[1], config).to(device)
    if isinstance(encoder, PCAEncoder):
        encoder.start_at_components(x)
    head = ProjectionHead(encoder.size, config.projection_hidden, config.projection_size).to(device)
    optimiser = torch.optim.Adam(
        [
            {"params": encoder.parameters(), "lr": config.learning_rate},
            {"params": head.parameters(), "lr": config.head_learning_rate},
        ],
        weight_decay=config.weight_decay,
    )
    on_host = torch.Generator().manual_seed(seed)
    on_device = torch.Generator(device).manual_seed(seed)
    per_minibatch = labels is None
    labels = torch.full((len(x),), -1, device=device) if per_minibatch else labels.to(device)
    neighbours = None if neighbours is None else neighbours.to(device)
    centroids = None
    history: dict[str, list[float]] = {
        name: [] for name in ("epoch", "loss", "instance_loss", "cluster_loss", "label_change")
    }
    n_epochs = max(config.epochs, -(-config.min_steps // n_minibatches(len(x), config.batch_size)))
    for epoch in progress(range(n_epochs), "training", n_epochs, quiet=quiet):
        sums = torch.zeros(3, device=device)
        previous = labels.clone()
        if not per_minibatch and epoch > 0:
            h = encode(encoder, x)
            labels = lloyd(h, means(h, labels, n_clusters)[0], max_iter=1).labels
        if batches is None:
            drawn = minibatches(len(x), config.batch_size, on_host)
        else:
            drawn = balanced_minibatches(batches, config.batch_size, on_host)
        for batch in drawn:
            batch = batch.to(device)
            cells = x[batch]
            if per_minibatch:
                h = encode(encoder, cells)
                found = kmeans(h, min(n_clusters, len(batch)), seed=seed, n_init=1).centroids
                centroids = found if centroids is None else same_names(found, centroids)
                labels[batch] = pseudo_labels(h, centroids, config.student_df)
            first = head(encoder(draw_view(cells, config, on_device)))
            others = cells if neighbours is None else x[one_of(neighbours[batch], on_device)]
            second = head(encoder(draw_view(others, config, on_device)))
            losses = contrastive_loss(
                first,
                second,
                labels[batch],
                temperature=config.temperature,
                weight=config.cluster_loss_weight,
                instance_weight=config.instance_loss_weight,
                form=config.cluster_loss,
            )
            optimiser.zero_grad()
            losses.total.backward()
            optimiser.step()
            sums += torch.stack(losses).detach() * len(batch)
        for name, value in zip(("loss", "instance_loss", "cluster_loss"), (sums / len(x)).tolist(), strict=True):
            history[name].append(value)
        if not math.isfinite(history["loss"][-1]):
            raise InputError(
                f"the loss of epoch {epoch + 1} is not a number: give a smaller --learning-rate than "
                f"{config.learning_rate:g}, or a higher --temperature than {config.temperature:g}"
            )
        history["epoch"].append(epoch + 1)
        history["label_change"].append(label_change(previous, labels))
    return Trained(encoder, labels.cpu(), history)


def one_of(choices: Tensor, generator: torch.Generator) -> Tensor:
    """One entry of every row drawn at random: (rows, choices) -> (rows,)."""
    n_rows, n_choices = choices.shape
    column = torch.randint(n_choices, (n_rows, 1), generator=generator, device=choices.device)
    return choices.gather(1, column).squeeze(1)


def same_names(centroids: Tensor, reference: Tensor) -> Tensor:
    """Reorder centroids so that the one closest to reference j is number j, pairs being taken from the closest up.

    K-means numbers its clusters at random; labels of cells in different minibatches are compared only after this.
    """
    if len(centroids) != len(reference):
        return centroids
    distance = squared_distances(reference, centroids)
    order = torch.empty(len(centroids), dtype=torch.long, device=centroids.device)
    for _ in range(len(centroids)):
        row, column = divmod(int(distance.argmin()), len(centroids))
        order[row] = column
        distance[row] = torch.inf
        distance[:, column] = torch.inf
    return centroids[order]


def label_change(before: Tensor, after: Tensor) -> float:
    """Share of the cells that left the company of their cluster, 0 to 1, whatever the clusters are called.

    Every old cluster is taken to live on in the new cluster that got most of its cells.
    """
    k = int(max(before.max(), after.max())) + 1
    if bool((before < 0).any()):
        return 1.0
    counts = torch.bincount(before * k + after, minlength=k * k).view(k, k)
    return 1.0 - counts.max(1).values.sum().item() / len(before)
