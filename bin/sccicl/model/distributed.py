"""The processes that train one model together, each on its share of every minibatch."""

import importlib
import os
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ..runtime.device import of_this_process

T = TypeVar("T")


class World:
    """All processes of a training; a single one where `torchrun` has started no others.

    Every process holds all cells and draws the same minibatches and views. It encodes its share of the rows; the
    projections are gathered, so that a row meets all others whichever process it belongs to.

    Parameters
    ----------
    alone
        Only this process, whatever others there are.
    """

    def __init__(self, *, alone: bool = False) -> None:
        is_several = not alone and dist.is_available() and dist.is_initialized()
        self.rank, self.size = (dist.get_rank(), dist.get_world_size()) if is_several else (0, 1)

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def share_of(self, n_rows: int) -> slice:
        """Rows of this process: all shares together are all rows, and differ by one row at most."""
        return slice(n_rows * self.rank // self.size, n_rows * (self.rank + 1) // self.size)

    def gather(self, own_rows: Tensor, own: slice, n_rows: int) -> Tensor:
        """The rows of all processes, (n_rows, ...), from those of each."""
        if self.size == 1:
            return own_rows
        every = own_rows.new_zeros(n_rows, *own_rows.shape[1:])
        every[own] = own_rows
        return self.sum(every)

    def sum(self, tensor: Tensor) -> Tensor:
        """Sum over the processes, in place."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def once(self, make: Callable[[], T]) -> T:
        """What `make` returns in the first process, for all: tensors on the host, numbers, text, None, and lists."""
        if self.size == 1:
            return make()
        box = [make() if self.is_first else None]
        dist.broadcast_object_list(box, 0)
        return box[0]

    def sum_gradients(self, modules: nn.Module) -> None:
        """Add up the gradients of all parameters in one message."""
        if self.size == 1:
            return
        gradients = [parameter.grad for parameter in modules.parameters() if parameter.grad is not None]
        flat = self.sum(torch.cat([gradient.flatten() for gradient in gradients]))
        for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))


def join_world(device: torch.device) -> torch.device:
    """Meet the other processes that `torchrun` (or a launcher that sets the same variables) has started.

    Returns
    -------
    torch.device
        `device`, or this process's own GPU.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or dist.is_initialized():
        return device
    on_gpu = device.type == "cuda"
    if on_gpu:
        device = of_this_process(device)
        torch.cuda.set_device(device)
    # Optimizers import this module, and its default arguments hold the group that is there by then: after leaving, the
    # group's threads would live on into the end of Python and now and then abort the process there.
    importlib.import_module("torch.distributed.nn.functional")

    # The first process finds k and the pseudo-labels alone, for which the others wait.
    dist.init_process_group(
        "nccl" if on_gpu else "gloo", timeout=timedelta(days=2), device_id=device if on_gpu else None
    )
    return device


def leave_world() -> None:
    """Part from the other processes."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
