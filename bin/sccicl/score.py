"""How good the clusters are: against known labels, and without."""

import numpy as np
from sklearn.metrics import (
    adjusted_mutual_info_score,
    adjusted_rand_score,
    normalized_mutual_info_score,
    silhouette_score,
)

SILHOUETTE_CELLS = 5000


def agreement(labels: np.ndarray, clusters: np.ndarray) -> dict[str, float]:
    """ARI, NMI (arithmetic mean of the entropies) and AMI of `clusters` against known `labels`, (cells,) each.

    Cells without a label (missing) are left out.
    """
    import pandas as pd

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
