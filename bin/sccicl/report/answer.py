"""The answer of a sample: how many clusters, how reliable they are, which could be one, and what to do next."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from ..clustering.gaps import without_gap
from .sample import ClusteredSample

# A smaller cluster may be a rare cell type or an artefact.
FEW_CELLS = 10
# A cluster that reappears in less than this share of resampled cells is not reliable (Hennig 2007: below 0.6 doubtful).
UNSTABLE = 0.6
# Doublet scores and mitochondrial shares are pointed out from this multiple of the median cluster's on.
CONSPICUOUS = 2.0
HIGH_MITO = 10.0
MOST_NAMED = 8
SHARED_MARKERS = 50


@dataclass(frozen=True)
class Merge:
    """Clusters that could be one: why, and what merging them would give."""

    clusters: list[str]
    evidence: str
    result: str


@dataclass(frozen=True)
class Answer:
    """What a reader asks first.

    `sentence` is one line of plain text; `details` is the part of it after the numbers of cells and of reliable
    clusters. `reasons` maps each cluster that needs a check to why; it is None where
    reliability was not computed. `checks` and `next_steps` are sentences.
    """

    sentence: str
    details: str
    reasons: dict[str, list[str]] | None
    merges: list[Merge]
    checks: list[str]
    next_steps: list[str]

    @property
    def doubtful(self) -> list[str]:
        """Clusters that need a check."""
        return [name for name, why in (self.reasons or {}).items() if why]


def answer(result: ClusteredSample) -> Answer:
    """What was found in a clustered sample, from what its steps computed; known labels are not used."""
    merges = _merges(result)
    reasons = _reasons(result, merges)
    details = _details(result, merges)
    return Answer(
        sentence=" ".join([_sentence(result, reasons), *details]),
        details=" ".join(details),
        reasons=reasons,
        merges=merges,
        checks=[_advice(merge) for merge in merges] + _checks(result),
        next_steps=_next_steps(result, reasons, merges),
    )


def _sentence(result: ClusteredSample, reasons: dict[str, list[str]] | None) -> str:
    n = len(result.clusters.names)
    cells = f"{result.n_cells:,} cells"
    if n == 1:
        found = "no clusters found" if result.k_given is False else "1 cluster"
        return f"{result.id}: {cells}, {found}."
    how = {True: f" (you set {n})", False: " (number estimated from the data)", None: ""}[result.k_given]
    parts = [f"{result.id}: {cells}, {n} clusters{how}."]
    if reasons is not None:
        good = [name for name, why in reasons.items() if not why]
        doubtful = [name for name, why in reasons.items() if why]
        if doubtful:
            are, need = ("is" if len(good) == 1 else "are"), ("needs" if len(doubtful) == 1 else "need")
            parts.append(f"{len(good)} {are} reliable, {len(doubtful)} {need} a check ({_names(doubtful)}).")
        else:
            parts.append(f"All {n} are reliable.")
    return " ".join(parts)


def _details(result: ClusteredSample, merges: list[Merge]) -> list[str]:
    """Sentences on clusters that could be one, and on cell types; none where there is one cluster only."""
    found = []
    if merges:
        found.append(f"Could be one: {', '.join(' + '.join(merge.clusters) for merge in merges[:4])}.")
    if len(result.clusters.names) > 1 and (named := _cell_types(result)):
        found.append(f"Cell types: {_names(named, 6)}.")
    return found


def _names(names: list[str], most: int = MOST_NAMED) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _cell_types(result: ClusteredSample) -> list[str]:
    """Cell types of the clusters by the first way of annotation, those of most cells first."""
    for title in result.annotations:
        rows, size = result.annotation_of(title), {}
        for name, count in zip(result.clusters.names, result.clusters.counts, strict=True):
            label = str(rows.get(name, {}).get("label", "unknown"))
            if label != "unknown":
                size[label] = size.get(label, 0) + count
        return sorted(size, key=lambda label: -size[label])
    return []


def _pairs(result: ClusteredSample) -> list[tuple[int, int, float]]:
    valley = result.record.valley
    if valley is None:
        return []
    density = np.atleast_2d(valley)
    if len(density) != len(result.clusters.names):
        return []
    return [(i, j, float(density[i, j])) for i, j in without_gap(density)]


def _merges(result: ClusteredSample) -> list[Merge]:
    """Groups of clusters that are connected by pairs without a gap."""
    pairs, names, counts = _pairs(result), result.clusters.names, result.clusters.counts
    if not pairs:
        return []
    rows, columns = zip(*[(i, j) for i, j, _ in pairs], strict=True)
    graph = sparse.coo_matrix((np.ones(len(pairs)), (rows, columns)), shape=(len(names), len(names)))
    group = connected_components(graph, directed=False)[1]
    found = []
    for code in np.unique(group):
        members = [int(i) for i in np.flatnonzero(group == code)]
        if len(members) < 2:
            continue
        inside = [(i, j, value) for i, j, value in pairs if i in members]
        gaps = ", ".join(f"{100 * value:.0f}\u00a0% ({names[i]} and {names[j]})" for i, j, value in inside[:4])
        more = f" and {len(inside) - 4} more pairs" if len(inside) > 4 else ""
        evidence = f"half-way between their centres, cells are {gaps}{more} as dense as at the centres"
        if shared := _shared_markers(result, [names[i] for i in members]):
            evidence += f"; {shared}"
        n = len(names) - len(members) + 1
        cells = int(counts[members].sum())
        found.append(
            Merge(
                [names[i] for i in members],
                evidence,
                f"{n} clusters, one of them with {cells:,} cells" if n > 1 else "one cluster of all cells",
            )
        )
    return found


def _shared_markers(result: ClusteredSample, clusters: list[str]) -> str:
    if result.markers is None or len(clusters) != 2:
        return ""
    first, second = (set(result.markers_of(cluster, SHARED_MARKERS)) for cluster in clusters)
    least = min(len(first), len(second))
    return f"they share {len(first & second)} of {least} marker genes" if least else ""


def _reasons(result: ClusteredSample, merges: list[Merge]) -> dict[str, list[str]] | None:
    """Why each cluster needs a check; empty lists for the reliable ones. None where nothing was computed."""
    stability, names = result.stability, result.clusters.names
    if len(names) == 1 or (stability is None and result.record.valley is None):
        return None
    reasons: dict[str, list[str]] = {name: [] for name in names}
    for i, (name, size) in enumerate(zip(names, map(int, result.clusters.counts), strict=True)):
        if stability is not None and stability[i] < UNSTABLE:
            reasons[name].append(f"unstable ({stability[i]:.2f})")
        if size < _least(result):
            reasons[name].append(f"only {size} cell{'s' * (size != 1)}")
    for merge in merges:
        for name in merge.clusters:
            others = [other for other in merge.clusters if other != name]
            reasons[name].append("no gap to " + _names(others, 3))
    return reasons


def _least(result: ClusteredSample) -> float:
    """Cells that a cluster has at least without being called small; in a small sample clusters may be smaller."""
    return min(FEW_CELLS, result.n_cells / len(result.clusters.names) / 2)


def _advice(merge: Merge) -> str:
    which = " + ".join(merge.clusters)
    return f"Clusters {which} could be one. Evidence: {merge.evidence}. Merged: {merge.result}."


def _checks(result: ClusteredSample) -> list[str]:
    found, stability = [], result.stability
    names, several = np.array(result.clusters.names), len(result.clusters.names) > 1
    if several and stability is not None and (stability < UNSTABLE).any():
        found.append(
            f"Unstable clusters (stability below {UNSTABLE:g}): {_names(list(names[stability < UNSTABLE]))}. They did "
            "not reappear reliably when cells were resampled, and may be fragments of larger clusters."
        )
    small = [i for i, size in enumerate(result.clusters.counts) if several and size < _least(result)]
    if small:
        size = int(result.clusters.counts[small[0]])
        which = f"Cluster {names[small[0]]} has only {size} cell{'s' * (size != 1)}"
        if len(small) > 1:
            which = f"Clusters {_names(list(names[small]))} have fewer than {FEW_CELLS} cells"
        found.append(f"{which}. Check markers and doublet scores: a rare cell type or an artefact.")
    medians = {name: _cluster_values(result, name) for name in ("doublet_score", "mito")}
    for name, (values, typical) in ((name, pair) for name, pair in medians.items() if pair is not None):
        least = max(CONSPICUOUS * typical, HIGH_MITO if name == "mito" else 0.05)
        high = [i for i in np.flatnonzero(values >= least) if result.clusters.counts[i] < result.n_cells / 4]
        if not high or len(result.clusters.names) == 1:
            continue
        shown = ", ".join(
            f"{result.clusters.names[i]} ({values[i]:.2f})"
            if name == "doublet_score"
            else f"{result.clusters.names[i]} ({values[i]:.0f}\u00a0%)"
            for i in high[:MOST_NAMED]
        )
        many = "s" * (len(high) > 1)
        if name == "doublet_score":
            found.append(
                f"High mean doublet score in cluster{many} {shown}; typical is {typical:.2f}. Markers of two cell "
                "types in one cluster suggest doublets; cycling and progenitor cells score high as well."
            )
        else:
            found.append(
                f"High mitochondrial share in cluster{many} {shown}; typical is {typical:.0f}\u00a0%. "
                "These may be damaged cells."
            )
    return found


def _cluster_values(result: ClusteredSample, name: str) -> tuple[np.ndarray, float] | None:
    """Mean value of each cluster, and the median of these means."""
    values = result.qc_values.get(name)
    if values is None or not np.isfinite(values).any():
        return None
    codes, k = result.clusters.codes, len(result.clusters.names)
    inside = (codes >= 0) & np.isfinite(values)
    total = np.bincount(codes[inside], weights=values[inside], minlength=k)
    means = total / np.maximum(np.bincount(codes[inside], minlength=k), 1)
    return means, float(np.median(means))


def _next_steps(result: ClusteredSample, reasons: dict[str, list[str]] | None, merges: list[Merge]) -> list[str]:
    steps, n = [], len(result.clusters.names)
    if merges:
        which = " + ".join(merges[0].clusters)
        steps.append(
            f"Compare the markers of clusters {which}. If they are one cell type, give them the same name below."
        )
    doubtful = [name for name, why in (reasons or {}).items() if why]
    if result.k_given and n > 2 and len(doubtful) * 3 >= n:
        steps.append("Let CICL estimate the number of clusters: leave out `n_clusters`, or set it to `auto`.")
    if not result.annotations:
        steps.append("Name the cell types: add `--marker_list` or `--celltypist_model`, or type names into the table.")
    else:
        steps.append("Check the suggested cell types against the marker genes, and correct them in the table.")
    steps.append(f"Continue in scanpy, Seurat or CELLxGENE with `{result.id}.h5ad`.")
    return steps
