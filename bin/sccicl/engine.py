"""Fit and cluster prepared cells: what the commands and the Python API share."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .batches import neighbours_across
from .components import principal_components
from .config import Config
from .cuts import neighbour_indices
from .evidence import Evidence
from .kchoice import choose_k
from .model import Encoder, PCAEncoder, encode
from .pool import consensus_labels
from .train import train


class Fit(NamedTuple):
    """A trained encoder, and the embedding (cells, features) and last pseudo-labels (cells,) of its cells.

    The pseudo-labels are None where every minibatch had its own. `history` is that of `train.train`, `k` the choice of
    the number of clusters of `kchoice.choose_k`.
    """

    encoder: Encoder | PCAEncoder
    embedding: Tensor
    pseudo_labels: Tensor | None
    history: dict[str, list[float]]
    k: dict[str, Any]


def fit(
    x: np.ndarray,
    evidence: Evidence,
    n_clusters: int | str,
    config: Config,
    *,
    seed: int,
    device: torch.device,
    quiet: bool = False,
    batches: np.ndarray | None = None,
) -> Fit:
    """Choose k, find the first pseudo-labels, train.

    Parameters
    ----------
    x
        Prepared cells, (cells, genes), float32.
    evidence
        The same cells with all that is known of them, for k and pseudo-labels by consensus.
    n_clusters
        Number of clusters, or `auto`.
    batches
        Codes of the batches of the cells, (cells,), where these are clustered jointly: `x` and `evidence` have their
        shifts taken out already, positives are also of other batches, and minibatches hold every batch.
    """
    cells = torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))
    k = choose_k(evidence, n_clusters, seed=seed)
    labels = neighbours = None
    scores = (
        principal_components(x, 20, seed=seed) if config.pseudo_labels == "consensus" or config.neighbours else None
    )
    if config.pseudo_labels == "consensus":
        labels = torch.from_numpy(consensus_labels(evidence, k["n_clusters"], scores, seed=seed, quiet=quiet))
        if (found := int(labels.max()) + 1) < k["n_clusters"]:
            k.update(requested=k["n_clusters"], n_clusters=found)
    if config.neighbours and batches is not None:
        neighbours = torch.from_numpy(neighbours_across(scores, batches, config.neighbours))
    elif config.neighbours:
        neighbours = torch.from_numpy(neighbour_indices(scores, config.neighbours).astype(np.int64))
    trained = train(
        cells,
        k["n_clusters"],
        config,
        labels=labels,
        neighbours=neighbours,
        batches=None if batches is None else torch.from_numpy(batches),
        seed=seed,
        device=device,
        quiet=quiet,
    )
    embedding = encode(trained.encoder, cells.to(device)).cpu()
    return Fit(trained.encoder, embedding, None if labels is None else trained.labels, trained.history, k)
