"""Which number type the matrix products are made in."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

# Below this many cells in a minibatch the products are too small to gain from a shorter type.
MIN_CELLS = 1024
# From Ampere on. What torch itself is asked for (`is_bf16_supported`) is of the current GPU, which may be another.
BFLOAT16_CAPABILITY = (8, 0)


def products_type(device: torch.device, batch_size: int) -> torch.dtype | None:
    """bfloat16 where `device` multiplies it faster than float32 and minibatches are big, else None.

    Sums, normalisations, losses and weights stay float32 in any case.
    """
    if batch_size < MIN_CELLS:
        return None
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= BFLOAT16_CAPABILITY else None
    return torch.bfloat16 if _cpu_multiplies_bfloat16() else None


def _cpu_multiplies_bfloat16() -> bool:
    """Whether the CPU has instructions for products of bfloat16 (AVX512_BF16 or AMX)."""
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, check, lambda: False)() for check in checks)


@contextmanager
def tensor_core_products(device: torch.device) -> Iterator[None]:
    """Within it a GPU multiplies float32 matrices as TF32, with 10 bits of the mantissa; elsewhere nothing changes.

    Steps of small minibatches take a quarter less time (H200). Components, neighbours and K-means are found outside.
    """
    if device.type != "cuda":
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
