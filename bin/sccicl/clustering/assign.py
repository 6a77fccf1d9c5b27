"""The clustering phase: final clusters of the embedded cells, and how sure each cell is."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..model.kmeans import assign, kmeans, means
from ..model.pseudo_labels import student_t


class Clusters(NamedTuple):
    """`labels` (cells,), 0 for the biggest cluster; `confidence` (cells,) in [0, 1]; `centroids` (k, features)."""

    labels: np.ndarray
    confidence: np.ndarray
    centroids: np.ndarray


def cluster(h: Tensor, k: int, *, start: Tensor | None = None, student_df: float = 1.0, seed: int = 0) -> Clusters:
    """Clusters of the embedded cells (paper Algorithm 1, clustering phase); fewer than k where cells are identical.

    K-means, the best of 20 random starts, or, where there are pseudo-labels of all cells, the nearest of their means.

    The confidence of a cell is q_ij of its own cluster, rescaled so that an even share 1/k is 0.

    Parameters
    ----------
    h
        Embedded cells, (cells, features).
    start
        Pseudo-labels (cells,) that the encoder was trained with.
    """
    if start is None:
        found = kmeans(h, k, seed=seed, n_init=20)
        centroids, labels = found.centroids, found.labels
    else:
        centroids = means(h, start, k)[0]
        labels = assign(h, centroids)[0]
    # Of centroids that lie within rounding of each other the first gets the cells of all, which changes the sizes.
    for _ in range(2 * k):
        size = torch.bincount(labels, minlength=len(centroids))
        order = size.argsort(descending=True, stable=True)
        centroids = centroids[order[: int((size > 0).sum())]]
        found, confidence = assign_clusters(h, centroids, student_df)
        size = np.bincount(found, minlength=len(centroids))
        if (size > 0).all() and (np.diff(size) <= 0).all():
            break
        labels = torch.from_numpy(found).to(h.device)
    return Clusters(found, confidence, centroids.cpu().numpy())


def assign_clusters(h: Tensor, centroids: Tensor, student_df: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Cluster (cells,) and confidence (cells,) of embedded cells, new ones too, by the nearest centroid."""
    q, labels = student_t(h, centroids, student_df).max(1)
    k = len(centroids)
    confidence = ((q - 1 / k) / (1 - 1 / k)).clamp(0, 1) if k > 1 else torch.ones_like(q)
    return labels.cpu().numpy(), confidence.float().cpu().numpy()


def by_size(labels: np.ndarray) -> np.ndarray:
    """The same clusters, numbered by size: 0 is the biggest, (cells,)."""
    _, found, size = np.unique(labels, return_inverse=True, return_counts=True)
    rank = np.empty(len(size), dtype=np.int64)
    rank[np.argsort(-size, kind="stable")] = np.arange(len(size))
    return rank[found]
