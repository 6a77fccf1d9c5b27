"""Minibatches: random splits of the cells."""

import torch
from torch import Tensor


def balanced_minibatches(batches: Tensor, batch_size: int, generator: torch.Generator) -> list[Tensor]:
    """A random split into minibatches that hold every batch in the share that it has of all cells."""
    n_cells = len(batches)
    order = torch.randperm(n_cells, generator=generator, device=generator.device)
    # Every batch is spread evenly over 0 to 1, and the minibatches are pieces of that.
    place = torch.empty(n_cells, dtype=torch.float64, device=generator.device)
    for batch in batches.unique():
        cells = order[batches[order] == batch]
        place[cells] = (torch.arange(len(cells), dtype=torch.float64, device=generator.device) + 0.5) / len(cells)
    return list(place.argsort(stable=True).tensor_split(n_minibatches(n_cells, batch_size)))


def minibatches(n_cells: int, batch_size: int, generator: torch.Generator) -> list[Tensor]:
    """A random split into minibatches of nearly equal size, at most `batch_size` and never below 2 cells.

    Equal sizes keep the last minibatch from having one cell, or fewer cells than clusters.
    """
    order = torch.randperm(n_cells, generator=generator, device=generator.device)
    return list(order.tensor_split(n_minibatches(n_cells, batch_size)))


def n_minibatches(n_cells: int, batch_size: int) -> int:
    """Minibatches of at most `batch_size` cells that it takes, if none may have fewer than 2."""
    return max(1, min(-(-n_cells // batch_size), n_cells // 2))
