"""Notes of the report: what a reader should know of the clusters."""

import numpy as np
from scipy import sparse

from ..clustering.gaps import without_gap
from .sample import ClusteredSample

MOST_SHOWN = 6


def continuum_note(valley: np.ndarray | None) -> list[str]:
    """A sentence for the reader where clusters pass into each other, by the result of `gap_density`."""
    pairs = [] if valley is None else without_gap(np.atleast_2d(valley))
    if not pairs:
        return []
    n_clusters = len(np.atleast_2d(valley))
    if _n_connected(pairs, n_clusters) == 1:
        return [
            f"All {n_clusters} clusters pass into one another without a gap: they are cuts of a continuum, such as a "
            "trajectory, and where it is cut is arbitrary."
        ]
    shown = ", ".join(f"{i} and {j}" for i, j in pairs[:MOST_SHOWN])
    more = f" and {len(pairs) - MOST_SHOWN} more pairs" if len(pairs) > MOST_SHOWN else ""
    return [
        f"Clusters that pass into each other without a gap: {shown}{more}. Where these are separated may be a cut of a "
        "continuum rather than a border between cell types."
    ]


def _n_connected(pairs: list[tuple[int, int]], n_clusters: int) -> int:
    graph = sparse.coo_matrix((np.ones(len(pairs)), tuple(zip(*pairs, strict=True))), shape=(n_clusters, n_clusters))
    return sparse.csgraph.connected_components(graph, directed=False)[0]


# A cluster this small is pointed out.
FEW_CELLS = 10
# Training is called unsettled when more than this share of the pseudo-labels changed in its last epoch.
UNSETTLED = 0.05
# A cluster that is found again in less than this share of resampled cells is pointed out.
UNSTABLE = 0.6


def _observations(result: ClusteredSample) -> list[str]:
    """What a reader should know and no step has said."""
    notes = [result.k_explained] if len(result.clusters.names) == 1 and result.k_explained else []
    small = [
        name
        for name, size in zip(result.clusters.names, result.clusters.counts, strict=True)
        if size < min(FEW_CELLS, result.n_cells / len(result.clusters.names) / 2)
    ]
    if small:
        which = f"Cluster {small[0]} has" if len(small) == 1 else f"Clusters {', '.join(small)} have"
        notes.append(f"{which} fewer than {FEW_CELLS} cells: look whether they are a rare cell type or an artefact.")
    if result.stability is not None and (result.stability < UNSTABLE).any():
        names = ", ".join(np.array(result.clusters.names)[result.stability < UNSTABLE])
        notes.append(
            f"Found again in few of the resampled cells (stability below {UNSTABLE:g}): cluster {names}. Such clusters "
            "may be parts of others."
        )
    notes += continuum_note(result.uns.get("valley"))
    change = result.history.get("label_change")
    if change is not None and np.isfinite(change[-1]) and change[-1] > UNSETTLED:
        notes.append(
            f"In the last epoch {change[-1]:.0%} of the pseudo-labels still changed: training had not settled, "
            "and more epochs may give clearer clusters."
        )
    if result.labels is not None and (missing := int((result.labels.codes < 0).sum())):
        notes.append(
            f"{missing:,} cells have no value in '{result.labels.column}'; they are left out of ARI, NMI and AMI."
        )
    return notes
