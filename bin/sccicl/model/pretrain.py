"""Embeddings by the instance-wise loss alone: where the first pseudo-labels are looked for.

Before any cluster is known the encoder learns which cells are neighbours, under views with masked genes. What differs
between cells of one type by chance shrinks, and types that principal components leave side by side come apart.
"""

from collections.abc import Callable

import numpy as np
import torch

from ..config import Config
from ..numerics.pca import principal_components
from .distributed import World
from .encoder import encode
from .train import train

# A high temperature: the loss draws neighbours together rather than push all others apart, so that a big type is not
# spread over the sphere until it looks like many.
TEMPERATURE = 1.0
STEPS = 300
COMPONENTS = 20


def pretrained_embedding(
    x: np.ndarray,
    config: Config,
    neighbours_of: Callable[..., np.ndarray],
    *,
    seed: int,
    device: torch.device | str,
) -> np.ndarray:
    """Train an encoder of `config` on prepared cells (cells, genes) by the instance-wise loss; (cells, features).

    `neighbours_of` is `Features.neighbours` of these cells.
    """
    config = pretrain_config(config)
    cells = torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))
    neighbours = None
    if config.neighbours:
        scores = principal_components(x, COMPONENTS, seed=seed, device=device)
        neighbours = torch.from_numpy(neighbours_of(scores, config.neighbours, device=device))
    one_cluster = torch.zeros(len(x), dtype=torch.int64)
    found = train(
        cells,
        1,
        config,
        pseudo_labels=one_cluster,
        neighbours=neighbours,
        seed=seed,
        device=device,
        world=World(alone=True),  # the others wait for what the first process finds
        quiet=True,
    )
    return encode(found.encoder, cells).cpu().numpy()


def pretrain_config(config: Config) -> Config:
    """The parameters that an encoder is pretrained with which is trained with `config` afterwards."""
    return config.changed(
        temperature=TEMPERATURE, instance_loss_weight=1.0, cluster_loss_weight=0.0, epochs=1, min_steps=STEPS
    )
