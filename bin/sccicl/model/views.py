"""Augmented views of a minibatch of cells (paper 2.2.1)."""

import numpy as np
import torch
from torch import Tensor

from ..runtime.device import is_accelerator


def unit_noise(x: Tensor, generator: torch.Generator) -> Tensor:
    """X + e, e Gaussian noise mapped to [0, 1] by the linear transformation that takes its extremes there.

    One draw has the shape of the minibatch, (cells, genes).
    """
    noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
    low, high = noise.aminmax()
    return x + (noise - low) / (high - low)


def noise(x: Tensor, generator: torch.Generator, *, sd: float, fraction: float) -> Tensor:
    """X + N(0, sd) on a random `fraction` of the genes of each cell."""
    drawn = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype) * sd
    return x + drawn * (torch.rand(x.shape, generator=generator, device=x.device) < fraction)


def mask(x: Tensor, generator: torch.Generator, *, fraction: float) -> Tensor:
    """X with a random `fraction` of the genes of each cell set to 0, the mean of a z-scored gene."""
    if not is_accelerator(x.device):
        # 16 bits a gene from a generator that is several times as fast, started anew from each draw of the given one.
        start = int(torch.randint(2**63 - 1, (), generator=generator))
        bits = np.frombuffer(np.random.Generator(np.random.SFC64(start)).bytes(2 * x.numel()), dtype=np.uint16)
        is_kept = bits.reshape(x.shape) >= np.uint32(round(fraction * 2**16))
        return torch.from_numpy(np.multiply(x.numpy(), is_kept, dtype=x.numpy().dtype))
    # In place: 0 and 1 as numbers multiply several times faster than truth values.
    return torch.rand(x.shape, generator=generator, device=x.device, dtype=x.dtype).ge_(fraction).mul_(x)
