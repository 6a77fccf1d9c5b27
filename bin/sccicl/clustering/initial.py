"""Number of clusters and initial pseudo-labels: what is found before an encoder is trained, on CPU cores."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..config import Config
from ..model.checkpoint import Checkpoint
from .ensemble import Ensemble
from .features import Features
from .n_clusters import choose_k


class Initial(NamedTuple):
    """The choice of the number of clusters, and labels of the cells of the ensemble.

    `k` is that of `choose_k`, as `uns["cicl"]["k"]` holds it. `labels`: number of clusters -> (cells of the ensemble,).
    """

    k: dict[str, Any]
    labels: dict[int, Tensor]


def find_initial(
    features: Features,
    n_clusters: int | str,
    config: Config,
    *,
    seed: int,
    others: Sequence[int] = (),
    checkpoint: Checkpoint | None = None,
) -> Initial:
    """Choose k, and cut the ensemble into so many clusters and into `others`.

    Where every minibatch has pseudo-labels of its own (preset paper) there are labels for `others` only.

    Parameters
    ----------
    features
        The cells with all that is known of them.
    n_clusters
        Number of clusters, or `auto`.
    checkpoint
        Where each part of the result is kept as soon as it is there, and taken from where it is.
    """
    checkpoint = checkpoint or Checkpoint(None)
    ensemble = Ensemble(features, seed=seed, checkpoint=checkpoint)
    k = checkpoint.remember("k", lambda: choose_k(features, n_clusters, ensemble, seed=seed).to_uns())
    numbers = [k["n_clusters"], *others] if config.pseudo_labels == "ensemble" else others

    def labels_of(n: int) -> Tensor:
        return checkpoint.remember(f"initial labels {n}", lambda: torch.from_numpy(ensemble.labels(n)))

    return Initial(k, {n: labels_of(n) for n in numbers})
