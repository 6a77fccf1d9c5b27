"""Files that MultiQC shows: a row of general statistics per sample, cluster sizes and training curves."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..downstream.palette import colours
from ..runtime.files import write_json
from .answer import answer
from .sample import ClusteredSample, read_sample

if TYPE_CHECKING:
    from anndata import AnnData


SUFFIX = "_mqc.json"
MAX_CLUSTERS = 200
MAX_SCATTER = 2_000
PARENT = {
    "parent_id": "cicl",
    "parent_name": "CICL",
    "parent_description": "clusters single cells by cluster-aware iterative contrastive learning.",
}
# MultiQC takes the settings of the last file it reads for all of them: every file holds all columns, and those that no
# sample fills are not shown.
COLUMNS: dict[str, dict[str, Any]] = {
    "cells": {"title": "Cells", "description": "Cells that were clustered", "format": "{:,d}", "scale": "Blues"},
    "clusters": {"title": "Clusters", "description": "Number of clusters", "format": "{:,d}", "scale": False},
    "k": {"title": "k", "description": "Whether the number of clusters was given or estimated", "hidden": True},
    "ari": {"title": "ARI", "description": "Adjusted Rand index against the known labels", "max": 1, "scale": "Greens"},
    "nmi": {"title": "NMI", "description": "Normalised mutual information with the known labels", "max": 1, "min": 0},
    "ami": {
        "title": "AMI",
        "description": "Adjusted mutual information with the known labels",
        "max": 1,
        "hidden": True,
    },
    "silhouette": {"title": "Silhouette", "description": "Mean silhouette of the clusters in the embedding", "max": 1},
    "confidence": {"title": "Confidence", "description": "Mean confidence of the cells", "min": 0, "max": 1},
    "reliable": {"title": "Reliable", "description": "Clusters that are stable, separated by a gap and not small"},
    "removed": {
        "title": "Removed",
        "description": "Cells that quality control removed",
        "format": "{:,d}",
        "scale": "Reds",
    },
    "median_counts": {
        "title": "Counts",
        "description": "Median counts per cell",
        "format": "{:,.0f}",
        "scale": "Blues",
    },
    "median_genes": {"title": "Genes", "description": "Median genes per cell", "format": "{:,.0f}", "scale": "Blues"},
    "seconds": {"title": "Seconds", "description": "Time of all steps", "format": "{:,.0f}", "scale": "Oranges"},
}
for _column in ("ari", "nmi", "ami", "silhouette", "confidence"):
    COLUMNS[_column] |= {"format": "{:,.3f}"}
CLUSTER_COLUMNS: dict[str, dict[str, Any]] = {
    "cells": {"title": "Cells", "format": "{:,d}", "scale": "Blues"},
    "confidence": {"title": "Confidence", "min": 0, "max": 1, "format": "{:,.2f}", "scale": "Greens"},
    "stability": {"title": "Stability", "min": 0, "max": 1, "format": "{:,.2f}", "scale": "Greens"},
    "your_names": {"title": "Your names", "scale": False},
    "celltypist": {"title": "CellTypist", "scale": False},
    "marker_list": {"title": "Marker list", "scale": False},
    "reference": {"title": "Reference", "scale": False},
    "markers": {"title": "Top markers", "scale": False},
}


def write_multiqc(adata: "AnnData", metrics: dict[str, Any], path: str | os.PathLike) -> list[Path]:
    """Write what MultiQC shows of a clustered sample.

    One file of MultiQC's custom content holds one kind of thing, so there are up to five: `<id>_mqc.json` (general
    statistics), `<id>.sizes_mqc.json` (bar graph of the clusters' sizes), `<id>.clusters_mqc.json` (table of the
    clusters: cells, confidence, stability, cell types, markers), `<id>.umap_mqc.json` (scatter plot of at most 2,000
    cells) and `<id>.training_mqc.json` (line graph of the loss, if the sample has a history). Files of several samples
    merge into one of each kind, but for the scatter plots.

    Parameters
    ----------
    adata
        Clustered sample, see `result.read_sample`.
    metrics
        Contents of its metrics file.
    path
        Path of the first file, which ends in `_mqc.json`; the others are named after it.

    Returns
    -------
    The files written.

    Raises
    ------
    ValueError
        If `path` does not end in `_mqc.json`, by which MultiQC finds the file.
    InputError
        If the sample has no clusters.
    """
    path = Path(path)
    if not path.name.endswith(SUFFIX):
        raise ValueError(f"MultiQC finds files that end in {SUFFIX}, and {path.name} does not")
    result = read_sample(adata, metrics)
    stem = path.name.removesuffix(SUFFIX)
    contents = {"": _statistics(result), ".sizes": _sizes(result), ".clusters": _clusters(result)}
    if "UMAP" in result.layouts:
        contents[".umap"] = _umap(result)
    if "loss" in result.history:
        contents[".training"] = _training(result)
    written = [path.with_name(f"{stem}{kind}{SUFFIX}") for kind in contents]
    for target, content in zip(written, contents.values(), strict=True):
        write_json(content, target)
    return written


def _statistics(result: ClusteredSample) -> dict[str, Any]:
    metrics, seconds = result.metrics, result.metrics.get("seconds") or {}
    values = {
        "cells": result.n_cells,
        "clusters": len(result.clusters.names),
        "k": {True: "given", False: "estimated"}.get(result.k_given),
        **{name: metrics.get(name) for name in ("ari", "nmi", "ami", "silhouette")},
        "confidence": None if result.confidence is None else float(np.mean(result.confidence)),
        "seconds": sum(seconds.values()) or None,
        "removed": None if result.qc is None else sum(map(int, result.qc.removed.values())),
    }
    found = answer(result)
    if found.reasons is not None:
        values["reliable"] = len(found.reasons) - len(found.doubtful)
    for name, key in (("median_counts", "counts"), ("median_genes", "genes")):
        if key in result.qc_values:
            values[name] = float(np.nanmedian(result.qc_values[key]))
    return {
        "id": "cicl_general_statistics",
        "plot_type": "generalstats",
        "namespace": "CICL",
        "headers": [{name: settings} for name, settings in COLUMNS.items()],
        "data": {result.id: {name: value for name, value in values.items() if value is not None}},
    }


def _sizes(result: ClusteredSample) -> dict[str, Any]:
    sizes = zip(result.clusters.names, result.clusters.counts.tolist(), strict=True)
    shades = colours(max(MAX_CLUSTERS, len(result.clusters.names)))
    return {
        **PARENT,
        "id": "cicl_cluster_sizes",
        "section_name": "Cluster sizes",
        "description": "Cells in each cluster; cluster 0 is the biggest of its sample.",
        "plot_type": "bargraph",
        "pconfig": {"id": "cicl_cluster_sizes_plot", "title": "CICL: cluster sizes", "ylab": "Cells", "tt_decimals": 0},
        # As with the columns above: all that any sample may have, in the colours of the report.
        "categories": {
            f"Cluster {name}": {"name": f"Cluster {name}", "color": shade} for name, shade in enumerate(shades)
        },
        "data": {result.id: {f"Cluster {name}": size for name, size in sizes}},
    }


def _clusters(result: ClusteredSample) -> dict[str, Any]:
    confidence, stability, rows = result.mean_confidence, result.stability, {}
    for i, (name, size) in enumerate(zip(result.clusters.names, result.clusters.counts.tolist(), strict=True)):
        types = {title: result.annotation_of(title).get(name, {}).get("label") for title in result.annotations}
        values = {
            "cells": size,
            "confidence": None if confidence is None or not np.isfinite(confidence[i]) else float(confidence[i]),
            "stability": None if stability is None or not np.isfinite(stability[i]) else float(stability[i]),
            **{title.lower().replace(" ", "_"): label for title, label in types.items()},
            "markers": ", ".join(result.markers_of(name, 5)) or None,
        }
        rows[f"{result.id}, cluster {name}"] = {key: value for key, value in values.items() if value is not None}
    return {
        **PARENT,
        "id": "cicl_clusters",
        "section_name": "Clusters",
        "description": "How sure each cluster is, what its cells are and which genes mark it.",
        "plot_type": "table",
        "pconfig": {
            "id": "cicl_clusters_table",
            "title": "CICL: clusters",
            "col1_header": "Cluster",
            "no_violin": True,
        },
        "headers": CLUSTER_COLUMNS,
        "data": rows,
    }


def _umap(result: ClusteredSample) -> dict[str, Any]:
    xy = result.layouts["UMAP"]
    cells = np.sort(np.random.default_rng(0).permutation(len(xy))[:MAX_SCATTER])
    shades, points = colours(len(result.clusters.names)), {}
    for code, name in enumerate(result.clusters.names):
        inside = cells[result.clusters.codes[cells] == code]
        points[f"Cluster {name}"] = [
            {"x": round(float(x), 3), "y": round(float(y), 3), "color": shades[code]} for x, y in xy[inside]
        ]
    drawn = f"{len(cells):,} of {len(xy):,} cells, chosen at random" if len(cells) < len(xy) else f"{len(xy):,} cells"
    stem = re.sub(r"[^A-Za-z0-9_]", "_", result.id)
    return {
        **PARENT,
        "id": f"cicl_umap_{stem}",
        "section_name": f"UMAP: {result.id}",
        "description": f"{drawn}, coloured by cluster. The run's HTML report has more of them, and more colourings.",
        "plot_type": "scatter",
        "pconfig": {
            "id": f"cicl_umap_{stem}_plot",
            "title": f"CICL: UMAP of {result.id}",
            "xlab": "UMAP 1",
            "ylab": "UMAP 2",
            "marker_size": 4,
        },
        "data": points,
    }


def _training(result: ClusteredSample) -> dict[str, Any]:
    # Pairs, because the keys of a JSON object are strings and MultiQC would sort 10 before 2.
    loss = [[epoch, float(value)] for epoch, value in enumerate(result.history["loss"], 1) if np.isfinite(value)]
    return {
        **PARENT,
        "id": "cicl_training",
        "section_name": "Training",
        "description": "Contrastive loss by epoch.",
        "plot_type": "linegraph",
        "pconfig": {"id": "cicl_training_plot", "title": "CICL: training loss", "xlab": "Epoch", "ylab": "Loss"},
        "data": {result.id: loss},
    }
