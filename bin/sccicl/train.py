"""The training phase (paper Algorithm 1)."""

import math
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from .checkpoint import Checkpoint, Progress
from .config import Config
from .errors import InputError
from .kmeans import kmeans, lloyd, means, squared_distances
from .loss import contrastive_loss
from .model import Encoder, PCAEncoder, ProjectionHead, encode
from .progress import progress
from .pseudolabels import pseudo_labels
from .training_state import QUANTITIES, TrainingState
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
    seed: int = 0,
    device: torch.device | str = "cpu",
    checkpoint: Checkpoint | None = None,
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
    checkpoint
        Where the training is kept; it goes on from there to the same weights as if it had not been interrupted.

    Raises
    ------
    InputError
        When the loss is not finite: the parameters let the training diverge.
    """
    device = torch.device(device)
    checkpoint = checkpoint or Checkpoint(None)
    torch.manual_seed(seed)
    x = x.to(device)
    neighbours = None if neighbours is None else neighbours.to(device)
    per_minibatch = labels is None
    state = _start(x, labels, config, seed)
    encoder, head = state.modules["encoder"], state.modules["head"]
    first_epoch, first_batch = 0, 0
    if (reached := checkpoint.progress()) is not None:
        first_epoch, first_batch = reached.epoch, reached.batch
        state.restore(reached.state)
    n_epochs = max(config.epochs, -(-config.min_steps // n_minibatches(len(x), config.batch_size)))
    with checkpoint.training():
        for epoch in progress(range(first_epoch, n_epochs), "training", n_epochs, done=first_epoch, quiet=quiet):
            if first_batch == 0:
                state.sums = torch.zeros(3, device=device)
                state.previous = state.labels.clone()
                state.order = state.on_host.get_state()
                if not per_minibatch and epoch > 0:
                    h = encode(encoder, x)
                    state.labels = lloyd(h, means(h, state.labels, n_clusters)[0], max_iter=1).labels
            state.on_host.set_state(state.order)
            for number, batch in enumerate(minibatches(len(x), config.batch_size, state.on_host)):
                if number < first_batch:
                    continue
                batch = batch.to(device)
                cells = x[batch]
                if per_minibatch:
                    _label_minibatch(state, encode(encoder, cells), batch, n_clusters, config, seed)
                first = head(encoder(draw_view(cells, config, state.on_device)))
                others = cells if neighbours is None else x[one_of(neighbours[batch], state.on_device)]
                second = head(encoder(draw_view(others, config, state.on_device)))
                losses = contrastive_loss(
                    first,
                    second,
                    state.labels[batch],
                    temperature=config.temperature,
                    weight=config.cluster_loss_weight,
                    instance_weight=config.instance_loss_weight,
                    form=config.cluster_loss,
                )
                state.optimiser.zero_grad()
                losses.total.backward()
                state.optimiser.step()
                state.sums += torch.stack(losses).detach() * len(batch)
                checkpoint.step_done(partial(_progress, epoch, number + 1, state))
            first_batch = 0
            _close_epoch(state, epoch, config)
    return Trained(encoder, state.labels.cpu(), state.history)


def _start(x: Tensor, labels: Tensor | None, config: Config, seed: int) -> TrainingState:
    encoder = new_encoder(x.shape[1], config).to(x.device)
    if isinstance(encoder, PCAEncoder):
        encoder.start_at_components(x)
    head = ProjectionHead(encoder.size, config.projection_hidden, config.projection_size).to(x.device)
    optimiser = torch.optim.Adam(
        [
            {"params": encoder.parameters(), "lr": config.learning_rate},
            {"params": head.parameters(), "lr": config.head_learning_rate},
        ],
        weight_decay=config.weight_decay,
    )
    labels = torch.full((len(x),), -1, device=x.device) if labels is None else labels.to(x.device)
    on_host = torch.Generator().manual_seed(seed)
    return TrainingState(
        modules=torch.nn.ModuleDict({"encoder": encoder, "head": head}),
        optimiser=optimiser,
        on_host=on_host,
        on_device=torch.Generator(x.device).manual_seed(seed),
        labels=labels,
        previous=labels,
        sums=torch.zeros(3, device=x.device),
        centroids=None,
        history={name: [] for name in QUANTITIES},
        order=on_host.get_state(),
    )


def _progress(epoch: int, batch: int, state: TrainingState) -> Progress:
    return Progress(epoch, batch, state.snapshot())


def _label_minibatch(state: TrainingState, h: Tensor, batch: Tensor, k: int, config: Config, seed: int) -> None:
    """Pseudo-labels of a minibatch by K-means of its own."""
    found = kmeans(h, min(k, len(batch)), seed=seed, n_init=1).centroids
    state.centroids = found if state.centroids is None else same_names(found, state.centroids)
    state.labels[batch] = pseudo_labels(h, state.centroids, config.student_df)


def _close_epoch(state: TrainingState, epoch: int, config: Config) -> None:
    """Add the epoch to the history; the only time that the host waits for the device."""
    history = state.history
    means_of_losses = (state.sums / len(state.labels)).tolist()
    for name, value in zip(("loss", "instance_loss", "cluster_loss"), means_of_losses, strict=True):
        history[name].append(value)
    if not math.isfinite(history["loss"][-1]):
        raise InputError(
            f"the loss of epoch {epoch + 1} is not a number: give a smaller --learning-rate than "
            f"{config.learning_rate:g}, or a higher --temperature than {config.temperature:g}"
        )
    history["epoch"].append(epoch + 1)
    history["label_change"].append(label_change(state.previous, state.labels))


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
