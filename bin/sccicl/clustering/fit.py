"""Fit and cluster prepared cells: what the commands and the Python API share."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..config import Config
from ..model.checkpoint import Checkpoint
from ..model.distributed import World
from ..model.encoder import Encoder, PCAEncoder, encode
from ..model.train import train
from ..numerics.pca import principal_components
from .ensemble import labels_of_all
from .features import Features
from .initial import Initial, find_initial


class Fit(NamedTuple):
    """A trained encoder, and the embedding (cells, features) and pseudo-labels (cells,) of its cells.

    The pseudo-labels are None where every minibatch had its own. `others` are partitions into further numbers of
    clusters, number -> (cells,). `history` is that of `model.train.train`, `k` the
    choice of the number of clusters of `choose_k`, `snapshots` are those of `model.train.train`.
    """

    encoder: Encoder | PCAEncoder
    embedding: Tensor
    pseudo_labels: Tensor | None
    history: dict[str, list[float]]
    k: dict[str, Any]
    others: dict[int, Tensor]
    snapshots: dict[str, Any] | None


def fit(
    x: np.ndarray,
    features: Features,
    n_clusters: int | str,
    config: Config,
    *,
    seed: int,
    device: torch.device,
    others: Sequence[int] = (),
    checkpoint: Checkpoint | None = None,
    evolution: bool = False,
    quiet: bool = False,
    batches: np.ndarray | None = None,
    initial: Initial | None = None,
) -> Fit:
    """Choose k, find the pseudo-labels, train.

    Parameters
    ----------
    x
        Prepared cells, (cells, genes), float32.
    features
        The same cells with all that is known of them, for k and the initial pseudo-labels.
    n_clusters
        Number of clusters, or `auto`.
    others
        Further numbers of clusters to cut the ensemble into; nothing is trained for them.
    checkpoint
        Where each part of the result is kept as soon as it is there, and taken from where it is.
    evolution
        Whether snapshots of the training are kept.
    batches
        Codes of the batches of the cells, (cells,), where these are integrated: `x` and `features` have their
        shifts taken out already, positives are also of other batches, and minibatches hold every batch.
    initial
        What `find_initial` returned for the same cells and parameters; by default it is called here.
    """
    checkpoint, world = checkpoint or Checkpoint(None), World()

    def found(name: str, make: Callable[[], Any]) -> Any:
        return world.once(lambda: checkpoint.remember(name, make))

    cells = torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))
    by_ensemble = config.pseudo_labels == "ensemble"
    settings = {"seed": seed, "others": others, "checkpoint": checkpoint}
    k, labels = world.once(lambda: initial or find_initial(features, n_clusters, config, **settings))
    pseudo_labels = neighbours = None
    if labels or config.neighbours:
        scores = found(
            "scores", lambda: torch.from_numpy(principal_components(x, 20, seed=seed, device=device))
        ).numpy()

    def labels_of(n: int) -> Tensor:
        return found(
            f"pseudo_labels {n}", lambda: torch.from_numpy(labels_of_all(labels[n].numpy(), scores, seed=seed))
        )

    if by_ensemble:
        pseudo_labels = labels_of(k["n_clusters"])
        if (n_found := int(pseudo_labels.max()) + 1) < k["n_clusters"]:
            k = {**k, "requested": k["n_clusters"], "n_clusters": n_found}
    further = {n: labels_of(n) for n in others}
    if config.neighbours:
        neighbours = found(
            "neighbours", lambda: torch.from_numpy(features.neighbours(scores, config.neighbours, device=device))
        )
    trained = train(
        cells,
        k["n_clusters"],
        config,
        pseudo_labels=pseudo_labels,
        neighbours=neighbours,
        batches=None if batches is None else torch.from_numpy(batches),
        seed=seed,
        device=device,
        checkpoint=checkpoint,
        evolution=evolution,
        quiet=quiet,
    )
    embedding = encode(trained.encoder, cells)
    if config.distance == "cosine":
        trained.encoder.keep_directions(embedding)
        embedding = trained.encoder.on_sphere(embedding)
    embedding = embedding.cpu()
    last = None if pseudo_labels is None else trained.pseudo_labels
    return Fit(trained.encoder, embedding, last, trained.history, k, further, trained.snapshots)
