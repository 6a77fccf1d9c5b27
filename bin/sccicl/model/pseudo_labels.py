"""The clustering head: Student's t assignment of cells to centroids (paper 2.2.3)."""

import torch
from torch import Tensor

from .kmeans import assign, chunk_rows, squared_distances


def student_t(x: Tensor, centroids: Tensor, df: float = 1.0) -> Tensor:
    """Probability q_ij that cell i belongs to cluster j (equation 8): (cells, k), rows sum to 1.

    q_ij ~ (1 + |h_i - mu_j|^2 / a)^(-(a + 1) / 2) with a = `df` degrees of freedom.
    """
    parts = []
    for chunk in x.split(chunk_rows(x)):
        log_q = torch.log1p(squared_distances(chunk, centroids) / df).mul_(-(df + 1) / 2)
        parts.append(log_q.softmax(1))
    return torch.cat(parts)


def kmeans_pseudo_labels(x: Tensor, centroids: Tensor) -> Tensor:
    """y_i = argmax_j q_ij (equation 9), (cells,): the nearest centroid, whatever the degrees of freedom."""
    return assign(x, centroids)[0]
