"""How the clusters came about: snapshots of the embedding and the pseudo-labels over the epochs of a training."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..numerics.pca import principal_components

SNAPSHOTS = 6
MAX_CELLS = 2_000
MAX_FEATURES = 20


def snapshot_epochs(n_epochs: int) -> list[int]:
    """Epochs done at each snapshot, from 0 to all of them: at equal steps of their logarithm, as most happens early."""
    steps = np.geomspace(1, n_epochs + 1, SNAPSHOTS) - 1
    return sorted({round(step) for step in steps})


def snapshot_cells(n_cells: int, seed: int) -> Tensor:
    """Rows of the cells that snapshots are of, (at most 2,000,), in their order."""
    chosen = np.random.default_rng(seed).permutation(n_cells)[:MAX_CELLS]
    return torch.from_numpy(np.sort(chosen))


def as_record(snapshots: dict[str, Any], clusters: np.ndarray) -> dict[str, np.ndarray]:
    """What `uns["cicl"]["evolution"]` holds of the snapshots of `train.train`.

    Parameters
    ----------
    snapshots
        `epoch` (list), `cells` (cells,), `embedding` and `pseudo_labels` (lists of (cells, features) and (cells,)).
    clusters
        Final clusters of all cells, (all cells,): a pseudo-label takes the name of the cluster that most of its cells
        are in at the end.

    Returns
    -------
    dict
        `epoch` (snapshots,), `cells` (cells,), `embedding` (snapshots, cells, features) float32, of more than 20
        features the principal components of all snapshots together, and `clusters` (snapshots, cells) int32.
    """
    h = torch.stack(snapshots["embedding"]).numpy()
    n_snapshots, n_cells, n_features = h.shape
    if n_features > MAX_FEATURES:
        h = principal_components(h.reshape(-1, n_features), MAX_FEATURES).reshape(n_snapshots, n_cells, -1)
    pseudo_labels = torch.stack(snapshots["pseudo_labels"]).numpy()
    cells = snapshots["cells"].numpy()
    together = np.zeros((pseudo_labels.max() + 1, clusters.max() + 1), dtype=np.int64)
    np.add.at(together, (pseudo_labels[-1], clusters[cells]), 1)
    return {
        "epoch": np.array(snapshots["epoch"]),
        "cells": cells,
        "embedding": h.astype(np.float32),
        "clusters": together.argmax(1)[pseudo_labels].astype(np.int32),
    }
