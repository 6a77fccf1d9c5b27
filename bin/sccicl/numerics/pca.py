"""Principal components of prepared cells."""

import numpy as np


def principal_components(x: np.ndarray, n_components: int, *, seed: int = 0) -> np.ndarray:
    """Scores on the leading principal components: (cells, features) -> (cells, components), float32.

    Found by a randomised decomposition (Halko et al. 2011), so that wide matrices cost little.
    """
    from sklearn.utils.extmath import randomized_svd

    x = x - x.mean(0)
    # Centred cells span one dimension less than there are of them; a single gene spans one all the same.
    rank = max(1, min(n_components, min(x.shape) - 1))
    # Runs that count on from the seed may pass the largest that scikit-learn takes.
    u, s, _ = randomized_svd(x, rank, n_iter=6, random_state=seed % 2**32)
    return (u * s).astype(np.float32)


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
