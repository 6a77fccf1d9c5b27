"""Euclidean distance or cosine similarity: whether the length of a cell's vector says anything of its type.

Far from the centre of an embedding lie types that express much of what others lack, and then length is worth keeping.
It also grows with sequencing depth and with chance, and then cells are better compared by their direction alone.
"""

import numpy as np

# Measures of distance, as powers for `cuts.shrunk_to_sphere`: 0 is Euclidean, 1 is cosine.
MEANINGFUL = (0.0, 0.25)
MIDDLE = 0.5
NOISY = (0.75, 1.0)


def length_noise(h: np.ndarray, labels: np.ndarray, log_depth: np.ndarray | None = None) -> float:
    """Share of the variance of the log length that clusters do not explain beyond what depth explains, 0 to 1.

    1 - (R^2 of clusters and depth - R^2 of depth alone); 1 where all lengths are the same.

    Parameters
    ----------
    h
        Embedded cells, (cells, features), around 0.
    labels
        A partition of them into clusters 0..k-1, (cells,).
    log_depth
        Logarithm of the cells' library sizes, (cells,), if they are known.
    """
    length = np.log(np.maximum(np.linalg.norm(h.astype(np.float64), axis=1), 1e-9))
    depth = np.empty((len(h), 0)) if log_depth is None else log_depth[:, None]
    member = np.eye(int(labels.max()) + 1)[labels]
    # The columns of `member` sum up to the intercept.
    explained = _explained(length, np.hstack([member, depth])) - _explained(length, depth)
    return float(np.clip(1 - explained, 0, 1))


def measures(noise: float) -> tuple[float, ...]:
    """Powers for `cuts.shrunk_to_sphere`, near Euclidean distance, or near cosine where lengths are mostly noise."""
    return NOISY if noise > 0.5 else MEANINGFUL


def _explained(y: np.ndarray, x: np.ndarray) -> float:
    """R^2 of the regression of y (cells,) on the columns of x (cells, columns) with an intercept."""
    y = y - y.mean()
    x = x - x.mean(0)
    total = y @ y
    if total <= 1e-12 * len(y) or not x.shape[1]:
        return 0.0
    residual = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    return float(1 - residual @ residual / total)
