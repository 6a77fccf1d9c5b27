"""Step score: metrics of the clusters."""

from typing import Any

import numpy as np
from anndata import AnnData

from ..clustering.gaps import without_gap
from ..downstream.metrics import agreement, ilisi, silhouette
from ..io.read import check_columns
from ..io.record import Preparation

# Of the records of earlier steps, what the metrics hold: numbers, no curves
CELL_NUMBERS = ("barcodes", "cells", "by_size", "by_profile", "threshold", "umis_in_cells", "median_umis")
QC_NUMBERS = ("cells_in", "cells_out", "genes_in", "genes_out", "removed", "thresholds", "doublets")


def score_sample(adata: AnnData, *, label_col: str | None = None) -> dict[str, Any]:
    """The content of `<id>.metrics.json`: agreement with `obs[label_col]` where given, silhouette, seconds, memory."""
    check_columns(adata, label_col=label_col)
    record = adata.uns["cicl"]
    clusters = adata.obs["cicl"].to_numpy()
    embedding = adata.obsm["X_cicl"]
    metrics: dict[str, Any] = {
        "id": record["id"],
        "n_cells": adata.n_obs,
        "n_genes": adata.n_vars,
        "n_clusters": len(adata.obs["cicl"].cat.categories),
        "k_given": bool(record["k"]["given"]),
        "k": dict(record["k"]),
    }
    if label_col is not None:
        metrics["label_col"] = label_col
        metrics.update(agreement(adata.obs[label_col].to_numpy(), clusters))
    made = Preparation.of(adata)
    if made.batch_col is not None:
        metrics["batch_col"] = made.batch_col
        metrics["ilisi"] = ilisi(embedding, adata.obs[metrics["batch_col"]].to_numpy())
    for section, kept in (("cells", CELL_NUMBERS), ("qc", QC_NUMBERS)):
        if section in record:
            metrics[section] = {name: record[section][name] for name in kept if name in record[section]}
    metrics["silhouette"] = silhouette(embedding, clusters)
    if "stability" in record:
        stability = np.atleast_1d(record["stability"])
        metrics["stability"] = [None if np.isnan(value) else float(value) for value in stability]
    if "valley" in record:
        metrics["without_gap"] = [list(map(str, pair)) for pair in without_gap(record["valley"])]
    metrics["cluster_sizes"] = {name: int(n) for name, n in adata.obs["cicl"].value_counts(sort=False).items()}
    for quantity in ("seconds", "peak_memory_mb", "peak_gpu_memory_mb"):
        found = {name: float(values[quantity]) for name, values in record["stages"].items() if quantity in values}
        if found:
            metrics[quantity] = found
    metrics["device"] = record["device"]
    metrics["hardware"] = dict(record["hardware"])
    metrics["input_sha256"] = made.input_sha256
    metrics["versions"] = dict(record["versions"])
    metrics["warnings"] = [str(warning) for warning in record.get("warnings", [])]
    return metrics
