"""Principal components of prepared cells, in chunks of cells, on a CPU or a GPU."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

# Rows or columns up to which all eigenvectors of the Gram matrix are found: a few tenths of a second on one core.
DIRECT = 400
OVERSAMPLING = 10
# Products with the covariance matrix. Each adds its result to the space in which the components are looked for.
PASSES = 4
CHUNK_BYTES = {"cpu": 1 << 23}
ACCELERATOR_CHUNK_BYTES = 1 << 28


def principal_components(
    x: np.ndarray, n_components: int, *, seed: int = 0, device: torch.device | str = "cpu"
) -> np.ndarray:
    """Scores on the leading principal components: (cells, features) -> (cells, components), float32.

    See `principal_axes`. The cells are sent to `device` a chunk at a time.
    """
    # Centred cells span one dimension less than there are of them; a single gene spans one all the same.
    rank = max(1, min(n_components, min(x.shape) - 1))
    cells = torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))
    mean, axes, _ = principal_axes(cells, rank, seed=seed, device=device)
    shift = mean @ axes
    return torch.cat([(chunk @ axes - shift).cpu() for chunk in _chunks(cells, axes.device)]).numpy()


def principal_axes(
    x: Tensor, n: int, *, seed: int = 0, device: torch.device | str | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, leading principal axes and the variance along them: (features,), (features, n), (n,), float32 on `device`.

    `x`, (cells, features), is read in chunks, and no centred copy of it is made. Of few cells or features all
    eigenvectors of a Gram matrix are found. Of more, the components are those of the covariance matrix C in the space
    of V, CV, C^2 V, ... for random V (block Lanczos; Musco and Musco 2015, arXiv:1504.05477, algorithm 2). What stands
    out of the noise is exact then; of noise, which has no components, the variances are up to 6 % too small. The
    largest entry of each axis is positive.

    Parameters
    ----------
    n
        At most the smaller of cells and features.
    device
        By default that of `x`.
    """
    device = x.device if device is None else torch.device(device)
    n_cells, n_features = x.shape
    mean = sum(chunk.double().sum(0) for chunk in _chunks(x, device)) / n_cells
    if n_features <= DIRECT:
        values, vectors = torch.linalg.eigh(_covariance_in(x, torch.eye(n_features, device=device), mean))
        axes = vectors.flip(1)[:, :n]
    elif n_cells <= DIRECT:
        centred = x.to(device).double() - mean
        values, vectors = torch.linalg.eigh(centred @ centred.T / max(n_cells - 1, 1))
        # Axes of no variance have no direction: they are left 0.
        axes = centred.T @ vectors.flip(1)[:, :n]
        axes = axes / axes.norm(dim=0).clamp(min=1e-6)
    else:
        space = _krylov_space(x, n + OVERSAMPLING, mean, seed)
        values, vectors = torch.linalg.eigh(_covariance_in(x, space, mean))
        axes = space.double() @ vectors.flip(1)[:, :n]
    largest = axes.gather(0, axes.abs().argmax(0, keepdim=True))
    axes = axes * torch.where(largest < 0, -1.0, 1.0)
    return mean.float(), axes.float(), values.flip(0)[:n].clamp(min=0).float()


def _krylov_space(x: Tensor, width: int, mean: Tensor, seed: int) -> Tensor:
    """An orthonormal basis of what `PASSES` products with the covariance matrix make of random vectors."""
    width = min(width, min(x.shape) // (PASSES + 1))
    # Drawn on the host, so that one seed means one start on every device.
    start = torch.randn(x.shape[1], width, generator=torch.Generator().manual_seed(seed % 2**63), dtype=torch.float64)
    blocks = [torch.linalg.qr(start.to(mean.device))[0]]
    for _ in range(PASSES):
        last = blocks[-1].float()
        shift = mean.float() @ last
        product = sum((chunk.T @ (chunk @ last - shift)).double() for chunk in _chunks(x, mean.device))
        basis = torch.cat(blocks, 1)
        for _again in range(2):  # twice is enough for orthogonality (Giraud et al. 2005)
            product = product - basis @ (basis.T @ product)
        blocks.append(torch.linalg.qr(product)[0])
    return torch.linalg.qr(torch.cat(blocks, 1))[0].float()


def _covariance_in(x: Tensor, basis: Tensor, mean: Tensor) -> Tensor:
    """Covariance of the cells in the coordinates of a basis (features, size): (size, size), float64."""
    shift = mean.float() @ basis
    found = torch.zeros(basis.shape[1], basis.shape[1], dtype=torch.float64, device=basis.device)
    for chunk in _chunks(x, basis.device):
        scores = chunk @ basis - shift
        found += (scores.T @ scores).double()
    return found / max(len(x) - 1, 1)


def _chunks(x: Tensor, device: torch.device) -> Iterator[Tensor]:
    size = CHUNK_BYTES.get(device.type, ACCELERATOR_CHUNK_BYTES)
    for rows in x.split(max(1, size // (x.element_size() * x.shape[1]))):
        yield rows.to(device)


def joined_components(blocks: list[np.ndarray], n_components: int) -> np.ndarray:
    """Principal components of several sets of scores together, each with the same total variance: float32.

    (cells, features) each -> (cells, components).
    """
    scaled = []
    for block in blocks:
        block = block.astype(np.float64) - block.mean(0)
        scaled.append(block / max(np.sqrt(np.square(block).sum() / len(block)), 1e-12))
    joined = np.hstack(scaled)
    values, axes = np.linalg.eigh(joined.T @ joined)
    rank = max(1, min(n_components, joined.shape[0] - 1, joined.shape[1]))
    axes = axes[:, np.argsort(-values, kind="stable")[:rank]]
    # The sign of an axis is free: its largest entry is positive, whatever the library computes.
    axes *= np.sign(axes[np.abs(axes).argmax(0), np.arange(rank)])
    return np.ascontiguousarray(joined @ axes, dtype=np.float32)
