"""Kernels of the contrastive losses for CUDA: similarities are made, turned into exponentials and used in one place.

What `loss_symmetric` does tile by tile from the host, one launch does here: the first kernel sums the exponentials of
each row up, the second weighs them for the gradient and leaves a block of rows of the weights, in the short type, for
the one product that follows. A block has a fixed number of entries, so memory is linear in the batch.

Features are counted when a kernel is compiled, rows when it is started: every sample has minibatches of another size.

With TRITON_INTERPRET=1 the kernels run on a CPU, which is how they are tested without a GPU.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
import triton
import triton.language as tl
from torch import Tensor

# Entries of the block of weights: 256 MB in bfloat16.
BLOCK_ENTRIES = 1 << 27
# Blocks of rows times parts of the columns: two for each multiprocessor of a big GPU, and the same sums on every other.
SUMS_PROGRAMS = 256
MOST_BLOCKS = 16
# Rows of sums start at a multiple of so many bytes, or Triton compiles a kernel for each alignment.
ALIGNED_ENTRIES = 4
SIZES = ("first_row", "last_row", "n_rows")


@triton.jit
def _tile(
    z,
    pseudo_labels,
    rows,
    columns,
    scale,
    n_rows,
    n_features: tl.constexpr,
    BLOCK_ROWS: tl.constexpr,
    BLOCK_COLUMNS: tl.constexpr,
    STEP: tl.constexpr,
):
    """exp((s_ij - 1) / t) of a tile, 0 on the diagonal and past the end, and whether i and j share a label.

    `z` holds z_i / sqrt(t).
    """
    product = tl.zeros((BLOCK_ROWS, BLOCK_COLUMNS), dtype=tl.float32)
    for start in range(0, n_features, STEP):
        features = start + tl.arange(0, STEP)
        within = features < n_features
        left = tl.load(
            z + rows[:, None] * n_features + features[None, :],
            mask=(rows[:, None] < n_rows) & within[None, :],
            other=0.0,
        )
        right = tl.load(
            z + columns[None, :] * n_features + features[:, None],
            mask=(columns[None, :] < n_rows) & within[:, None],
            other=0.0,
        )
        product += tl.dot(left, right, input_precision="ieee")
    kept = (rows[:, None] != columns[None, :]) & (rows[:, None] < n_rows) & (columns[None, :] < n_rows)
    own = tl.load(pseudo_labels + rows, mask=rows < n_rows, other=-1)
    theirs = tl.load(pseudo_labels + columns, mask=columns < n_rows, other=-2)
    return tl.where(kept, tl.exp(product - scale), 0.0), own[:, None] == theirs[None, :]


@triton.jit
def _of_both(rate, rows, columns, n_rows):
    """rate_i + rate_j of a tile."""
    own = tl.load(rate + rows, mask=rows < n_rows, other=0.0)
    theirs = tl.load(rate + columns, mask=columns < n_rows, other=0.0)
    return own[:, None] + theirs[None, :]


@triton.jit(do_not_specialize=[*SIZES, "stride"])
def _sums_kernel(
    z,
    pseudo_labels,
    sums,
    first_row,
    last_row,
    scale,
    n_rows,
    stride,
    n_features: tl.constexpr,
    N_BLOCKS: tl.constexpr,
    BLOCK_ROWS: tl.constexpr,
    BLOCK_COLUMNS: tl.constexpr,
    STEP: tl.constexpr,
):
    """Sums over `N_BLOCKS` blocks of columns of a block of rows, into (parts of the columns, 2, stride)."""
    rows = first_row + tl.program_id(0).to(tl.int64) * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    part = tl.program_id(1).to(tl.int64)
    sum_all = tl.zeros((BLOCK_ROWS,), dtype=tl.float32)
    sum_same = tl.zeros((BLOCK_ROWS,), dtype=tl.float32)
    for block in range(0, N_BLOCKS):
        columns = (part * N_BLOCKS + block) * BLOCK_COLUMNS + tl.arange(0, BLOCK_COLUMNS).to(tl.int64)
        e, is_same = _tile(z, pseudo_labels, rows, columns, scale, n_rows, n_features, BLOCK_ROWS, BLOCK_COLUMNS, STEP)
        sum_all += tl.sum(e, 1)
        sum_same += tl.sum(tl.where(is_same, e, 0.0), 1)
    tl.store(sums + 2 * part * stride + rows, sum_all, mask=rows < last_row)
    tl.store(sums + (2 * part + 1) * stride + rows, sum_same, mask=rows < last_row)


@triton.jit(do_not_specialize=[*SIZES])
def _weights_kernel(
    z,
    pseudo_labels,
    all_rate,
    same_rate,
    weights,
    first_row,
    last_row,
    scale,
    n_rows,
    n_features: tl.constexpr,
    BLOCK_ROWS: tl.constexpr,
    BLOCK_COLUMNS: tl.constexpr,
    STEP: tl.constexpr,
):
    rows = first_row + tl.program_id(0).to(tl.int64) * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    columns = tl.program_id(1).to(tl.int64) * BLOCK_COLUMNS + tl.arange(0, BLOCK_COLUMNS)
    e, is_same = _tile(z, pseudo_labels, rows, columns, scale, n_rows, n_features, BLOCK_ROWS, BLOCK_COLUMNS, STEP)
    rate_same = tl.where(is_same, _of_both(same_rate, rows, columns, n_rows), 0.0)
    w = e * (_of_both(all_rate, rows, columns, n_rows) + rate_same)
    place = weights + (rows - first_row)[:, None] * n_rows + columns[None, :]
    tl.store(place, w.to(weights.dtype.element_ty), mask=(rows[:, None] < last_row) & (columns[None, :] < n_rows))


class TritonBackend:
    """Sums and gradient over the pairs of the rows `own` with all rows; the same two methods as `TileBackend`.

    Parameters
    ----------
    low
        z_i / sqrt(t) in the type of the products, (2N, features).
    pseudo_labels
        (2N,).
    scale
        1 / t.
    own
        Rows of this process.
    block_entries
        Weights that are held at a time.
    """

    def __init__(
        self, low: Tensor, pseudo_labels: Tensor, scale: float, own: slice, block_entries: int = BLOCK_ENTRIES
    ):
        self._low, self._pseudo_labels, self._scale, self._own = low.contiguous(), pseudo_labels, scale, own
        # Blocks of about the same size
        n_own = own.stop - own.start
        n_blocks = triton.cdiv(n_own, max(1, block_entries // len(low)))
        self._block_rows = triton.cdiv(n_own, n_blocks)
        is_small = low.dtype == torch.float32
        self._sizes = {"BLOCK_ROWS": 64 if is_small else 128, "BLOCK_COLUMNS": 64 if is_small else 128, "STEP": 32}
        self._launch = {"num_warps": 4 if is_small else 8, "num_stages": 3}

    def _on_device(self) -> AbstractContextManager:
        # Triton starts kernels on the current GPU, whichever the tensors are on.
        device = self._low.device
        return torch.cuda.device(device) if device.type == "cuda" else nullcontext()

    def sums(self) -> Tensor:
        """Sums of exponentials of every own row over all others, and over those of its cluster: (2, 2N) float32."""
        n_rows, n_features = self._low.shape
        n_blocks = triton.cdiv(self._own.stop - self._own.start, self._sizes["BLOCK_ROWS"])
        block_columns = self._sizes["BLOCK_COLUMNS"]
        # Small batches have fewer blocks of rows than a GPU has multiprocessors. A part has 1, 2, 4, 8 or 16 blocks of
        # columns, as a kernel is compiled for each number of them.
        n_column_blocks = triton.cdiv(n_rows, block_columns)
        wanted = triton.cdiv(n_column_blocks, max(1, SUMS_PROGRAMS // n_blocks))
        n_of_part = min(MOST_BLOCKS, 1 << (wanted.bit_length() - 1))
        n_parts = triton.cdiv(n_column_blocks, n_of_part)
        stride = triton.cdiv(n_rows, ALIGNED_ENTRIES) * ALIGNED_ENTRIES
        sums = torch.zeros(n_parts, 2, stride, dtype=torch.float32, device=self._low.device)
        with self._on_device():
            _sums_kernel[n_blocks, n_parts](
                *(self._low, self._pseudo_labels, sums, self._own.start, self._own.stop),
                *(self._scale, n_rows, stride, n_features, n_of_part),
                **self._sizes,
                **self._launch,
            )
        return sums.sum(0)[:, :n_rows].contiguous()

    def gradient(self, all_rate: Tensor, same_rate: Tensor | None) -> Tensor:
        """Sum over j of w_ij z_j / sqrt(t) for every own row i, (2N, features) float32."""
        n_rows, n_features = self._low.shape
        gradient = torch.zeros(n_rows, n_features, dtype=torch.float32, device=self._low.device)
        same_rate = torch.zeros_like(all_rate) if same_rate is None else same_rate
        rows = min(self._block_rows, self._own.stop - self._own.start)
        weights = torch.empty(rows, n_rows, dtype=self._low.dtype, device=self._low.device)
        for first in range(self._own.start, self._own.stop, rows):
            last = min(first + rows, self._own.stop)
            grid = (
                triton.cdiv(last - first, self._sizes["BLOCK_ROWS"]),
                triton.cdiv(n_rows, self._sizes["BLOCK_COLUMNS"]),
            )
            with self._on_device():
                _weights_kernel[grid](
                    *(self._low, self._pseudo_labels, all_rate.float(), same_rate.float(), weights, first, last),
                    *(self._scale, n_rows, n_features),
                    **self._sizes,
                    **self._launch,
                )
            gradient[first:last] = torch.mm(weights[: last - first], self._low)
        return gradient
