"""Prepared cells for the training: on the device where they fit, else sent there as they are needed."""

import torch
from torch import Tensor

from ..runtime.device import backend_of, is_accelerator

# The rest of the device's memory is for weights, activations and tiles.
MAX_SHARE = 0.5


class CellLoader:
    """Rows of a matrix (cells, genes) for work on `device`.

    Parameters
    ----------
    x
        On the host.
    max_bytes
        What may lie on the device; by default half of what is free there.
    """

    def __init__(self, x: Tensor, device: torch.device, *, max_bytes: int | None = None):
        self.device = device
        if max_bytes is None and is_accelerator(device):
            max_bytes = int(backend_of(device).mem_get_info(device)[0] * MAX_SHARE)
        self.is_resident = not is_accelerator(device) or x.nbytes <= max_bytes
        self.x = x.to(device) if self.is_resident else x

    def take(self, rows: Tensor) -> Tensor:
        """The cells `rows`, (rows,) on the device: (rows, genes) there.

        Cells that lie on the host are gathered there into pinned memory, from which they are copied while the device
        works; the host then has to wait for the row numbers, once for each call.
        """
        if self.is_resident:
            return self.x.index_select(0, rows)  # several times faster than indexing
        block = torch.empty(len(rows), self.x.shape[1], dtype=self.x.dtype, pin_memory=self.device.type == "cuda")
        torch.index_select(self.x, 0, rows.cpu(), out=block)
        return block.to(self.device, non_blocking=True)
