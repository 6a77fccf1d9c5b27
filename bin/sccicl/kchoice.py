"""The number of clusters: given, or estimated from the prepared cells without a label."""

from typing import Any

import torch
from torch import Tensor

from .components import principal_components
from .kmeans import kmeans

MAX_CLUSTERS = 30


def choose_k(x: Tensor, n_clusters: int | str, *, seed: int = 0) -> dict[str, Any]:
    """Number of clusters and the evidence for it.

    Returns
    -------
    dict
        `given`, `n_clusters` and, where it was estimated, `criterion`, `candidates` and `score` (higher is better).

    Raises
    ------
    ValueError
        When `n_clusters` is neither `auto` nor within 1 and the number of cells.
    """
    if n_clusters != "auto":
        if not 1 <= int(n_clusters) <= len(x):
            raise ValueError(f"n_clusters must lie between 1 and the {len(x)} cells, not {n_clusters}")
        return {"given": True, "n_clusters": int(n_clusters)}
    candidates = list(range(2, min(MAX_CLUSTERS, len(x) // 3) + 1))
    components = torch.from_numpy(principal_components(x.numpy(), 20, seed=seed))
    score = [_calinski_harabasz(components, k, seed) for k in candidates]
    best = candidates[max(range(len(score)), key=score.__getitem__)]
    return {
        "given": False,
        "n_clusters": best,
        "criterion": "Calinski-Harabasz index of K-means on principal components",
        "candidates": candidates,
        "score": score,
    }


def _calinski_harabasz(x: Tensor, k: int, seed: int) -> float:
    within = kmeans(x, k, seed=seed, n_init=3).inertia
    total = (x - x.mean(0)).square().sum().item()
    return (total - within) / (k - 1) / (within / (len(x) - k))
