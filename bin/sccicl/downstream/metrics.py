"""How good the clusters are: against known labels, and without."""

import numpy as np
import pandas as pd
from sklearn.metrics import (
    adjusted_mutual_info_score,
    adjusted_rand_score,
    normalized_mutual_info_score,
    silhouette_score,
)

from ..numerics.neighbours import neighbour_indices

SILHOUETTE_CELLS = 5000


def agreement(labels: np.ndarray, clusters: np.ndarray) -> dict[str, float]:
    """ARI, NMI (arithmetic mean of the entropies) and AMI of `clusters` against known `labels`, (cells,) each.

    Cells without a label (missing) are left out.
    """
    known = ~pd.isna(labels)
    labels, clusters = np.asarray(labels)[known].astype(str), np.asarray(clusters)[known].astype(str)
    return {
        "ari": float(adjusted_rand_score(labels, clusters)),
        "nmi": float(normalized_mutual_info_score(labels, clusters)),
        "ami": float(adjusted_mutual_info_score(labels, clusters)),
    }


def silhouette(embedding: np.ndarray, clusters: np.ndarray, *, seed: int = 0) -> float | None:
    """Mean silhouette of the clusters in the embedding, of at most 5,000 cells drawn at random.

    None where it is not defined: a single cluster, or as many as cells.
    """
    if len(clusters) > SILHOUETTE_CELLS:
        chosen = np.random.default_rng(seed).choice(len(clusters), SILHOUETTE_CELLS, replace=False)
        embedding, clusters = embedding[chosen], clusters[chosen]
    n_clusters = len(np.unique(clusters))
    if not 2 <= n_clusters < len(clusters):
        return None
    return float(silhouette_score(embedding, clusters))


PERPLEXITY = 30
NEIGHBOURS = 3 * PERPLEXITY
# Cells whose neighbours are compared at a time: 30 MB of an embedding of 20 features.
ILISI_CELLS = 4096


def ilisi(embedding: np.ndarray, batches: np.ndarray) -> float:
    """Effective number of batches near a cell, the median over all: 1 where none is mixed, at most that of the batches.

    Korsunsky et al. (2019), doi:10.1038/s41592-019-0619-0: the 90 nearest neighbours are weighted by a kernel whose
    width gives a perplexity of 30, and the inverse of the Simpson index of the batches' weights is taken.

    Parameters
    ----------
    embedding
        (cells, features).
    batches
        Names or codes, (cells,).
    """
    _, codes = np.unique(np.asarray(batches).astype(str), return_inverse=True)
    n_neighbours = min(NEIGHBOURS, len(embedding) - 1)
    nearest = neighbour_indices(np.ascontiguousarray(embedding, dtype=np.float32), n_neighbours)
    effective = []
    for start in range(0, len(embedding), ILISI_CELLS):
        near, cells = nearest[start : start + ILISI_CELLS], embedding[start : start + ILISI_CELLS]
        distance = np.linalg.norm(embedding[near] - cells[:, None], axis=2).astype(np.float64)
        weight = perplexity_weights(distance, min(PERPLEXITY, n_neighbours / 3))
        shares = np.stack([(weight * (codes[near] == code)).sum(1) for code in range(codes.max() + 1)], axis=1)
        effective.append(1 / (shares**2).sum(1))
    return float(np.median(np.concatenate(effective)))


def perplexity_weights(distance: np.ndarray, perplexity: float) -> np.ndarray:
    """Weights exp(-b d) of neighbours, (cells, neighbours), with a sum of 1 and the given perplexity in every row."""
    distance = distance - distance.min(1, keepdims=True)
    scale = np.maximum(distance.mean(1, keepdims=True), 1e-300)
    low, high = np.full_like(scale, 1e-6), np.full_like(scale, 1e6)
    target = np.log(max(perplexity, 1.0))
    for _ in range(60):
        beta = np.sqrt(low * high)
        weight = np.exp(-beta * distance / scale)
        weight /= weight.sum(1, keepdims=True)
        entropy = -(weight * np.log(np.maximum(weight, 1e-300))).sum(1, keepdims=True)
        too_wide = entropy > target
        low, high = np.where(too_wide, beta, low), np.where(too_wide, high, beta)
    return weight
