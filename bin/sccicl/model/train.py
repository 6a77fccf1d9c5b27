"""The training phase (paper Algorithm 1)."""

import math
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..config import Config
from ..errors import InputError
from ..runtime.progress import log, progress
from .cell_loader import CellLoader
from .checkpoint import Checkpoint, Progress
from .distributed import World
from .encoder import Encoder, PCAEncoder, ProjectionHead, new_encoder
from .kmeans import kmeans, refine
from .minibatches import balanced_minibatches, minibatches, n_minibatches
from .optimiser import Adam
from .pseudo_labels import kmeans_pseudo_labels
from .snapshots import snapshot_cells, snapshot_epochs
from .train_graph import GraphedSteps
from .train_state import QUANTITIES, TrainingState
from .train_step import Stepper
from .views import mask, noise, unit_noise

# Of K-means, from the centroids of the minibatch before.
WARM_ITERATIONS = 8


class Trained(NamedTuple):
    """`pseudo_labels` are the last pseudo-labels, (cells,).

    `history` has one value per epoch under epoch, loss, instance_loss, cluster_loss and label_change. `snapshots`,
    where they were asked for, have `cells`, and under `epoch`, `embedding` and `pseudo_labels` one entry each.
    """

    encoder: Encoder | PCAEncoder
    pseudo_labels: Tensor
    history: dict[str, list[float]]
    snapshots: dict[str, Any] | None


def draw_view(x: Tensor, config: Config, generator: torch.Generator) -> Tensor:
    """One augmented view of a minibatch, (cells, genes)."""
    if config.view == "mask":
        return mask(x, generator, fraction=config.mask_fraction)
    if config.view == "noise":
        return noise(x, generator, sd=config.noise_sd, fraction=config.noise_fraction)
    return unit_noise(x, generator)


def train(
    x: Tensor,
    n_clusters: int,
    config: Config,
    *,
    pseudo_labels: Tensor | None = None,
    neighbours: Tensor | None = None,
    batches: Tensor | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
    checkpoint: Checkpoint | None = None,
    world: World | None = None,
    evolution: bool = False,
    quiet: bool = False,
) -> Trained:
    """Train the encoder on prepared cells.

    For every minibatch: pseudo-labels, two views, the loss on their projections, one step of Adam. The pseudo-labels
    are from K-means on H = f(X) of the minibatch (the paper), or `pseudo_labels`, which stay as they are: K-means would
    divide big clusters and join small ones. No label of a cell type is known here.

    Parameters
    ----------
    x
        Prepared cells, (cells, genes), float32, on the host.
    n_clusters
        k of the pseudo-labels.
    pseudo_labels
        Pseudo-labels to learn from, (cells,) 0..n_clusters-1.
    neighbours
        Nearest neighbours of every cell, (cells, neighbours); the second view of a cell is made of one of them. By
        default both are of the cell itself.
    batches
        Codes of the batches of the cells, (cells,): every minibatch holds each in the share that it has of all cells.
    checkpoint
        Where the training is kept; it goes on from there to the same weights as if it had not been interrupted. With
        several processes, dropout after an interruption differs.
    world
        The processes that train together; by default all that `torchrun` has started.
    evolution
        Whether snapshots of some cells are taken at some epochs.

    Raises
    ------
    InputError
        When the loss is not finite: the parameters let the training diverge.
    """
    device = torch.device(device)
    checkpoint = checkpoint or Checkpoint(None)
    torch.manual_seed(seed)
    cells = CellLoader(x, device)
    neighbours = None if neighbours is None else neighbours.to(device)
    batches = None if batches is None else batches.to(device)
    per_minibatch = pseudo_labels is None
    state = _start(cells, pseudo_labels, config, seed)
    world = world or World()
    take_step = Stepper(state.modules, state.optimiser, config, device, world)
    n_batches = n_minibatches(len(x), config.batch_size)
    n_epochs = max(config.epochs, -(-config.min_steps // n_batches))
    # Minibatches that have pseudo-labels of their own have none before the first epoch.
    when = [n for n in snapshot_epochs(n_epochs) if evolution and (n or not per_minibatch)]
    first_epoch, first_batch = 0, 0
    if (reached := world.once(lambda: _reached(checkpoint, when))) is not None:
        first_epoch, first_batch = reached.epoch, reached.batch
        state.restore(reached.state)
    if not world.is_first:
        # Another dropout in every process, as each has other cells
        torch.manual_seed(seed + world.rank + world.size * first_epoch)
    seen = snapshot_cells(len(x), seed).to(device) if evolution else None

    def embedded(some: Tensor) -> Tensor:
        """Cells where K-means looks at them."""
        h = take_step.embed(some)
        return F.normalize(h) if config.distance == "cosine" else h

    def take_snapshot(n_done: int) -> None:
        if n_done in when and n_done not in state.snapshots["epoch"]:
            state.snapshots["epoch"].append(n_done)
            state.snapshots["embedding"].append(embedded(cells.take(seen)).cpu())
            state.snapshots["pseudo_labels"].append(state.pseudo_labels[seen].cpu())

    def on_minibatch(batch: Tensor) -> None:
        ours = others = cells.take(batch)
        if per_minibatch:
            _label_minibatch(state, take_step.embed(ours), batch, n_clusters, seed)
        first = draw_view(ours, config, state.drawing)
        if neighbours is not None:
            others = cells.take(one_of(neighbours[batch], state.drawing))
        views = torch.cat([first, draw_view(others, config, state.drawing)])
        losses = take_step(views, state.pseudo_labels[batch])
        state.sums += torch.stack(losses) * len(batch)

    # Several processes wait for each other, cells of the host for their rows, and parts of a step for the memory. With
    # fewer cells in a minibatch than clusters the centroids are new ones whenever the size changes, and a graph would
    # go on writing to those that it was made with, whose memory is free by then.
    has_lasting_centroids = not per_minibatch or len(x) // n_batches >= n_clusters
    may_capture = world.size == 1 and cells.is_resident and has_lasting_centroids
    take_graphed = GraphedSteps(on_minibatch, device, state.drawing, lambda: may_capture and take_step.is_whole)
    with checkpoint.training():
        for epoch in progress(range(first_epoch, n_epochs), "training", n_epochs, done=first_epoch, quiet=quiet):
            if first_batch == 0:
                take_snapshot(epoch)
                state.sums.zero_()
                state.previous = state.pseudo_labels.clone()
                state.order = state.shuffling.get_state()
            state.shuffling.set_state(state.order)
            if batches is None:
                drawn = minibatches(len(x), config.batch_size, state.shuffling)
            else:
                drawn = balanced_minibatches(batches, config.batch_size, state.shuffling)
            for number, batch in enumerate(drawn):
                if number < first_batch:
                    continue
                take_graphed(batch)
                checkpoint.step_done(partial(_progress, epoch, number + 1, state))
            first_batch = 0
            _close_epoch(state, epoch, config)
        take_snapshot(n_epochs)
        # A signal since the last step, as while the host waited for the device at the end of the epoch
        checkpoint.step_done(partial(_progress, n_epochs, 0, state))
    snapshots = {"cells": seen.cpu(), **state.snapshots} if evolution else None
    return Trained(state.modules["encoder"], state.pseudo_labels.cpu(), state.history, snapshots)


def _start(cells: CellLoader, pseudo_labels: Tensor | None, config: Config, seed: int) -> TrainingState:
    device = cells.device
    encoder = new_encoder(cells.x.shape[1], config).to(cells.x.device)
    if isinstance(encoder, PCAEncoder):
        encoder.start_at_components(cells.x)
    encoder.to(device)
    head = ProjectionHead(encoder.size, config.projection_hidden, config.projection_size).to(device)
    optimiser = Adam(
        [
            {"params": encoder.parameters(), "lr": config.learning_rate},
            {"params": head.parameters(), "lr": config.head_learning_rate},
        ],
        weight_decay=config.weight_decay,
        fused=True,
        capturable=device.type == "cuda",
    )
    pseudo_labels = (
        torch.full((len(cells.x),), -1, device=device)
        if pseudo_labels is None
        else pseudo_labels.to(device, copy=True)  # changed in place
    )
    shuffling = torch.Generator(device).manual_seed(seed)
    return TrainingState(
        modules=torch.nn.ModuleDict({"encoder": encoder, "head": head}),
        optimiser=optimiser,
        shuffling=shuffling,
        drawing=torch.Generator(device).manual_seed(seed),
        pseudo_labels=pseudo_labels,
        previous=pseudo_labels,
        sums=torch.zeros(3, device=device),
        centroids=None,
        history={name: [] for name in QUANTITIES},
        order=shuffling.get_state(),
        snapshots={"epoch": [], "embedding": [], "pseudo_labels": []},
    )


def _progress(epoch: int, batch: int, state: TrainingState) -> Progress:
    return Progress(epoch, batch, state.snapshot())


def _reached(checkpoint: Checkpoint, when: list[int]) -> Progress | None:
    """Where to go on; None where the checkpoint was made without the snapshots after `when` epochs: they are lost."""
    reached = checkpoint.progress()
    if reached is None:
        return None
    due = {n for n in when if n < reached.epoch or (n == reached.epoch and reached.batch > 0)}
    if due <= set(reached.state["snapshots"]["epoch"]):
        return reached
    log("WARNING: the checkpoint was written without --history, so the training starts again")
    return None


def _label_minibatch(state: TrainingState, h: Tensor, batch: Tensor, k: int, seed: int) -> None:
    """Pseudo-labels of a minibatch by K-means of its own, from the centroids of the minibatch before: names stay."""
    k = min(k, len(batch))
    if state.centroids is None or len(state.centroids) != k:
        state.centroids = kmeans(h, k, seed=seed, n_init=1).centroids
    else:
        state.centroids.copy_(refine(h, state.centroids, max_iter=WARM_ITERATIONS))
    state.pseudo_labels[batch] = kmeans_pseudo_labels(h, state.centroids)


def _close_epoch(state: TrainingState, epoch: int, config: Config) -> None:
    """Add the epoch to the history; the only time that the host waits for the device."""
    history = state.history
    means_of_losses = (state.sums / len(state.pseudo_labels)).tolist()
    for name, value in zip(("loss", "instance_loss", "cluster_loss"), means_of_losses, strict=True):
        history[name].append(value)
    if not math.isfinite(history["loss"][-1]):
        raise InputError(
            f"the loss of epoch {epoch + 1} is not a number: give a smaller --learning-rate than "
            f"{config.learning_rate:g}, or a higher --temperature than {config.temperature:g}"
        )
    history["epoch"].append(epoch + 1)
    history["label_change"].append(label_change(state.previous, state.pseudo_labels))


def one_of(choices: Tensor, generator: torch.Generator) -> Tensor:
    """One entry of every row drawn at random: (rows, choices) -> (rows,)."""
    n_rows, n_choices = choices.shape
    column = torch.randint(n_choices, (n_rows, 1), generator=generator, device=choices.device)
    return choices.gather(1, column).squeeze(1)


def label_change(before: Tensor, after: Tensor) -> float:
    """Share of the cells that left the company of their cluster, 0 to 1, whatever the clusters are called.

    Every old cluster is taken to live on in the new cluster that got most of its cells.
    """
    k = int(max(before.max(), after.max())) + 1
    if bool((before < 0).any()):
        return 1.0
    counts = torch.bincount(before * k + after, minlength=k * k).view(k, k)
    return 1.0 - counts.max(1).values.sum().item() / len(before)
