"""Pretraining by the instance-wise loss alone: an embedding that knows no clusters yet."""

import numpy as np
import torch
from torch import Tensor

from ..config import Config
from .distributed import World
from .encoder import encode
from .train import train

# A high temperature: the loss draws neighbours together rather than push all others apart, so that a big type is not
# spread over the sphere until it looks like many.
TEMPERATURE = 1.0
STEPS = 150


def pretrained_embedding(
    x: Tensor, config: Config, neighbours: Tensor | None, *, seed: int, device: torch.device | str
) -> np.ndarray:
    """Embedding (cells, features) by an encoder that `STEPS` steps of the instance-wise loss have trained.

    Parameters
    ----------
    x
        Prepared cells, (cells, genes), float32, on the host.
    neighbours
        Nearest neighbours of every cell, (cells, neighbours), of one of which the second view is made.
    """
    one_cluster = torch.zeros(len(x), dtype=torch.int64)
    found = train(
        x,
        1,
        pretraining_config(config),
        pseudo_labels=one_cluster,
        neighbours=neighbours,
        seed=seed,
        device=device,
        world=World(alone=True),  # the others wait for what the first process finds
        quiet=True,
    )
    return encode(found.encoder, x).cpu().numpy()


def pretraining_config(config: Config) -> Config:
    """The parameters of the pretraining of an encoder of `config`."""
    return config.changed(
        temperature=TEMPERATURE, instance_loss_weight=1.0, cluster_loss_weight=0.0, epochs=1, min_steps=STEPS
    )
