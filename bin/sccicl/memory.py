"""What to do when the device has no memory left."""

import torch


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocator raised `error`: CUDA's has a type of its own, that of the CPU is known by its words."""
    return isinstance(error, torch.OutOfMemoryError) or "not enough memory: you tried to allocate" in str(error)
