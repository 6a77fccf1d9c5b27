"""What figures and reports need of a clustered sample, read once from its AnnData and metrics."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
from anndata import AnnData

from ..downstream.annotation import TITLES
from ..errors import InputError
from ..io.record import QualityControl, Record
from ..io.validate import quoted
from .gene_values import GeneValues, read_gene_values

LAYOUTS = {"X_umap": "UMAP", "X_tsne": "t-SNE"}
# Maps that no clusters went into; the second one serves where there is no first one.
UNTRAINED_LAYOUTS = {"X_umap_pca": "UMAP of principal components", "X_pca": "Principal components 1 and 2"}
QC_VALUES = {
    "counts": "cicl_qc_counts",
    "genes": "cicl_qc_genes",
    "mito": "cicl_qc_mito",
    "doublet_score": "cicl_qc_doublet_score",
}
# Of a cluster this many cells stay when points are left out.
KEPT_PER_CLUSTER = 50
HISTORY = ("loss", "instance_loss", "cluster_loss", "label_change")


@dataclass(frozen=True)
class Categories:
    """A column of categories: `codes` (cells,) index `names`, -1 where the value is missing."""

    column: str
    names: list[str]
    codes: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        """Cells per category, shape (names,)."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.names))


def overlap_of(clusters: Categories, others: Categories) -> np.ndarray:
    """Cells per cluster and other category, shape (clusters, others)."""
    table = np.zeros((len(clusters.names), len(others.names)), dtype=int)
    known = (clusters.codes >= 0) & (others.codes >= 0)
    np.add.at(table, (clusters.codes[known], others.codes[known]), 1)
    return table


@dataclass(frozen=True)
class ClusteredSample:
    """One clustered sample; what the file does not hold is None or empty, and so is a batch that all cells share."""

    id: str
    barcodes: np.ndarray
    n_genes: int
    clusters: Categories
    confidence: np.ndarray | None = None
    labels: Categories | None = None
    batches: Categories | None = None
    layouts: dict[str, np.ndarray] = field(default_factory=dict)
    history: dict[str, np.ndarray] = field(default_factory=dict)
    k: dict[str, Any] = field(default_factory=dict)
    record: Record = field(default_factory=Record)
    metrics: dict[str, Any] = field(default_factory=dict)
    # Labels of the clusters by each way of annotation, under its title
    annotations: dict[str, Categories] = field(default_factory=dict)
    # The same cells at other numbers of clusters
    clusterings: list[Categories] = field(default_factory=list)
    # Clusters, (cells, numbers), at the numbers in `record.partitions`
    partitions: np.ndarray | None = None
    markers: pd.DataFrame | None = None
    genes: GeneValues | None = None
    # Indices of the cells that a page draws, in its order
    drawn: np.ndarray | None = None
    untrained: dict[str, np.ndarray] = field(default_factory=dict)
    # Values of quality control by the names in `QC_VALUES`, each (cells,)
    qc_values: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return len(self.barcodes)

    @property
    def k_given(self) -> bool | None:
        """Whether the user gave the number of clusters; None if the file does not say."""
        given = self.metrics.get("k_given", self.k.get("given"))
        return None if given is None else bool(given)

    @property
    def k_evidence(self) -> tuple[np.ndarray, np.ndarray, str] | None:
        """Candidate numbers of clusters, their scores and the name of the criterion, if they were compared."""
        x, y = (np.atleast_1d(self.k.get(key, [])) for key in ("candidates", "score"))
        if len(x) < 2 or len(x) != len(y):
            return None
        order = np.argsort(x)
        return x[order].astype(int), y[order].astype(float), str(self.k.get("criterion", "score"))

    @property
    def k_explained(self) -> str:
        """How the estimate of the number of clusters came about; empty where the file does not say."""
        if "separable" not in self.k:
            return ""
        separable = int(self.k["separable"])
        if "communities" not in self.k:
            found = f"support {separable} clusters, but no better than in cells that differ by chance only"
            found = "do not separate even two clusters" if separable == 1 else found
            genes = "genes that were not used for clustering"
            return f"No clusters were found: {genes} {found}. All cells are in one cluster."
        communities = " and ".join(str(int(n)) for n in np.atleast_1d(self.k["communities"]))
        return (
            f"Genes that were not used for clustering support {separable} clusters. Communities of shared-neighbour "
            f"graphs: {communities}. The estimate is the median of the three counts."
        )

    @property
    def mean_confidence(self) -> np.ndarray | None:
        """Mean confidence of each cluster, shape (clusters,); NaN for an empty one."""
        if self.confidence is None:
            return None
        inside = self.clusters.codes >= 0
        codes, n = self.clusters.codes[inside], len(self.clusters.names)
        total = np.bincount(codes, weights=self.confidence[inside], minlength=n)
        return np.divide(total, self.clusters.counts, out=np.full(n, np.nan), where=self.clusters.counts > 0)

    @property
    def stability(self) -> np.ndarray | None:
        """How often each cluster is found again in resampled cells, 0 to 1, shape (clusters,); None if not computed."""
        found = self.metrics.get("stability")
        found = self.record.stability if found is None else found
        if found is None:
            return None
        if isinstance(found, dict):
            found = [found.get(name, np.nan) for name in self.clusters.names]
        values = np.array([np.nan if value is None else value for value in np.atleast_1d(found)], dtype=float)
        return values if len(values) == len(self.clusters.names) else None

    @property
    def qc(self) -> QualityControl | None:
        """What quality control took away, and why; None where there was none."""
        found = {**self.record.qc, **dict(self.metrics.get("qc") or {})}
        return QualityControl.from_uns(found) if "cells_in" in found else None

    def markers_of(self, cluster: str, n: int) -> list[str]:
        """Symbols of the first markers of a cluster."""
        if self.markers is None:
            return []
        return list(self.markers.loc[self.markers["cluster"] == cluster, "symbol"].head(n).astype(str))

    def annotation_of(self, title: str) -> dict[str, dict[str, Any]]:
        """Label, share and confidence of each cluster by one way of annotation."""
        method = next(key for key, name in TITLES.items() if name == title)
        source = self.record.sources.get(method)
        if source is None or source.clusters is None:
            return {}
        return {str(row["cluster"]): row for row in source.clusters.to_dict("records")}

    @property
    def top_confidence(self) -> float:
        """Upper end of the colour scale of confidence: the first tenth that hardly any cell exceeds."""
        if self.confidence is None or not len(self.confidence):
            return 1.0
        return float(np.clip(np.ceil(10 * np.quantile(self.confidence, 0.99)) / 10, 0.1, 1))

    @property
    def overlap(self) -> np.ndarray | None:
        """Cells per cluster and label, shape (clusters, labels), or None without labels."""
        return None if self.labels is None else overlap_of(self.clusters, self.labels)

    @property
    def warnings(self) -> list[str]:
        """Warnings of all steps, each once."""
        found = [*_strings(self.record.warnings), *_strings(self.metrics.get("warnings"))]
        return list(dict.fromkeys(found))


def read_sample(
    source: AnnData | str | os.PathLike,
    metrics: dict[str, Any] | None = None,
    *,
    sample_id: str | None = None,
    label_col: str | None = None,
    batch_col: str | None = None,
    drawn: int = 0,
    room: int = 0,
) -> ClusteredSample:
    """Read a clustered sample from an AnnData or its file; counts are not loaded as a whole.

    Parameters
    ----------
    source
        AnnData or h5ad file with `obs["cicl"]`; `obs["cicl_confidence"]`, `obsm["X_umap"]`, `obsm["X_tsne"]` and
        `uns["cicl"]` are used if there.
    metrics
        Contents of the sample's metrics file.
    sample_id
        Default: the id in `metrics`, then in `uns["cicl"]`, then the file's stem.
    label_col, batch_col
        Columns of `obs`. Defaults: those in `metrics`; for the batch also `obs["sample"]` where it holds two or more
        values.
    drawn
        Most cells that a page draws; 0 reads no expression at all.
    room
        Most bytes of gene values of these cells, see `gene_values.read_gene_values`.

    Raises
    ------
    InputError
        If the sample has no clusters or a column does not exist.
    """
    if not isinstance(source, str | os.PathLike):
        return _from_adata(source, metrics or {}, sample_id, label_col, batch_col, "sample", drawn, room)
    adata = anndata.read_h5ad(source, backed="r")
    try:
        return _from_adata(adata, metrics or {}, sample_id, label_col, batch_col, Path(source).stem, drawn, room)
    finally:
        adata.file.close()


def _from_adata(
    adata: AnnData,
    metrics: dict[str, Any],
    sample_id: str | None,
    label_col: str | None,
    batch_col: str | None,
    default_id: str,
    drawn: int,
    room: int,
) -> ClusteredSample:
    record = Record.of(adata)
    name = str(sample_id or metrics.get("id") or record.id or default_id)
    if "cicl" not in adata.obs:
        raise InputError(f"{name} has no clusters (no column 'cicl' in obs); run the clustering step first")
    label_col, batch_col = label_col or metrics.get("label_col"), batch_col or metrics.get("batch_col")
    if batch_col is None and "sample" in adata.obs and adata.obs["sample"].nunique() > 1:
        batch_col = "sample"
    batches = _categories(adata.obs, batch_col, name) if batch_col else None
    markers = record.found_markers.table if record.found_markers else None
    clusters = _categories(adata.obs, "cicl", name)
    cells = drawn_cells(clusters, drawn) if drawn else None
    genes = None
    if cells is not None and adata.n_vars and adata.X is not None:
        genes = read_gene_values(adata, clusters.codes, len(clusters.names), cells, markers, room)
    qc_values = {key: adata.obs[column].to_numpy(float) for key, column in QC_VALUES.items() if column in adata.obs}
    if genes is not None and genes.counts is not None:
        qc_values = {"counts": genes.counts, "genes": genes.detected, **qc_values}
    return ClusteredSample(
        id=name,
        barcodes=adata.obs_names.to_numpy(dtype=str),
        n_genes=int(metrics.get("n_genes") or adata.n_vars),
        clusters=clusters,
        confidence=adata.obs["cicl_confidence"].to_numpy(np.float64) if "cicl_confidence" in adata.obs else None,
        labels=_categories(adata.obs, label_col, name) if label_col else None,
        batches=batches if batches and len(batches.names) > 1 else None,
        layouts={
            title: np.asarray(adata.obsm[key], dtype=np.float32)[:, :2]
            for key, title in LAYOUTS.items()
            if key in adata.obsm
        },
        history={
            key: np.atleast_1d(record.history[key]).astype(float)
            for key in HISTORY
            if np.size(record.history.get(key, []))
        },
        k=record.k,
        record=record,
        metrics=dict(metrics),
        annotations={
            title: _categories(adata.obs, f"cicl_{key}", name)
            for key, title in TITLES.items()
            if f"cicl_{key}" in adata.obs
        },
        clusterings=[_categories(adata.obs, column, name) for column in _other_clusterings(adata.obs)],
        partitions=np.asarray(adata.obsm["cicl_partitions"]) if "cicl_partitions" in adata.obsm else None,
        markers=markers,
        genes=genes,
        drawn=cells,
        untrained=_untrained(adata),
        qc_values=qc_values,
    )


def _untrained(adata: AnnData) -> dict[str, np.ndarray]:
    for key, title in UNTRAINED_LAYOUTS.items():
        if key in adata.obsm and adata.obsm[key].shape[1] > 1:
            return {title: np.asarray(adata.obsm[key], dtype=np.float32)[:, :2]}
    return {}


def drawn_cells(clusters: Categories, limit: int) -> np.ndarray:
    """Indices of the cells to draw, in random order so that no cluster covers another; small clusters stay whole."""
    order = np.random.default_rng(0).permutation(len(clusters.codes))
    if len(order) <= limit:
        return order
    codes = clusters.codes[order]
    first = np.zeros(len(order), dtype=bool)
    for code in np.unique(codes):
        first[np.flatnonzero(codes == code)[:KEPT_PER_CLUSTER]] = True
    kept = np.concatenate([np.flatnonzero(first), np.flatnonzero(~first)])[:limit]
    return order[np.sort(kept)]


def _other_clusterings(obs: pd.DataFrame) -> list[str]:
    """Columns `cicl_5`, `cicl_8`: the cells at other numbers of clusters, fewest first."""
    return sorted((name for name in obs if re.fullmatch(r"cicl_\d+", str(name))), key=lambda name: int(name[5:]))


def _categories(obs: pd.DataFrame, column: str, name: str) -> Categories:
    if column not in obs:
        raise InputError(f"{name} has no column '{column}' in obs: name one of {quoted(obs.columns)}")
    values = obs[column]
    if not isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype("string").astype("category")
    values = values.cat.remove_unused_categories()
    return Categories(column, [str(value) for value in values.cat.categories], values.cat.codes.to_numpy().astype(int))


def _strings(value: Any) -> list[str]:
    return [str(item) for item in np.atleast_1d(value)] if value is not None else []
