"""Scores of a partition against the known cell types."""

import numpy as np

SCORES = ("ari", "nmi", "ami", "acc", "n_clusters")


def clustering_accuracy(types: np.ndarray, clusters: np.ndarray) -> float:
    """Share of the cells whose cluster is paired with their type, under the best one-to-one pairing (ACC).

    The pairing is the maximum-weight matching of the contingency table (Kuhn 1955); clusters and types that stay
    without a partner count as wrong.

    Parameters
    ----------
    types, clusters
        (cells,) each, of any kind of value.
    """
    from scipy.optimize import linear_sum_assignment

    _, type_codes = np.unique(types, return_inverse=True)
    _, cluster_codes = np.unique(clusters, return_inverse=True)
    table = np.zeros((type_codes.max() + 1, cluster_codes.max() + 1), dtype=np.int64)
    np.add.at(table, (type_codes, cluster_codes), 1)
    return float(table[linear_sum_assignment(table, maximize=True)].sum() / len(types))


def score(types: np.ndarray, clusters: np.ndarray) -> dict[str, float]:
    """ARI, NMI, AMI and ACC of the cells whose type is known, and the number of clusters of all cells."""
    import pandas as pd

    from ..downstream.metrics import agreement

    known = ~pd.isna(types)
    accuracy = clustering_accuracy(np.asarray(types)[known].astype(str), np.asarray(clusters)[known].astype(str))
    return {**agreement(types, clusters), "acc": accuracy, "n_clusters": len(np.unique(clusters))}
