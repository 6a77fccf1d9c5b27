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
