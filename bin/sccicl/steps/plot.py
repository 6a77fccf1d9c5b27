"""Step plot: UMAP and figures of a sample, t-SNE on request."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..clustering.assign import cluster
from ..downstream import umap_tsne
from ..downstream.scanpy_slots import add_colours, add_neighbours
from ..io.write_h5ad import write_h5ad
from ..numerics.ordering import in_input_order
from ..report.figures import plot_sample
from ..report.multiqc import write_multiqc
from ..runtime.profiling import stage

# A UMAP of principal components takes as long as that of the embedding; above, the report shows two components.
MOST_CELLS_OF_A_SECOND_UMAP = 50_000
# Where k was estimated, numbers that differ by at most this are shown as a tree.
NEAR_NUMBERS = 3


def plot_to_files(
    adata: Any,
    outdir: Path,
    sample: str,
    label_col: str | None,
    batch_col: str | None,
    metrics: dict | None,
    *,
    with_tsne: bool = False,
) -> None:
    """Compute UMAP, t-SNE if asked for, draw the figures, write the h5ad and, with `metrics`, the MultiQC file."""
    stages: dict[str, dict[str, float]] = {}
    with stage("plot", stages):
        seed = int(adata.uns["cicl"]["seed"])
        embedding = adata.obsm["X_cicl"]
        adata.obsm["X_umap"] = umap_tsne.umap(embedding, seed, graph=add_neighbours(adata, seed=seed))
        adata.obsm.pop("X_tsne", None)
        if with_tsne and (tsne := umap_tsne.tsne(embedding, seed)) is not None:
            adata.obsm["X_tsne"] = tsne
        if "X_pca" in adata.obsm and adata.n_obs <= MOST_CELLS_OF_A_SECOND_UMAP:
            adata.obsm["X_umap_pca"] = umap_tsne.umap(adata.obsm["X_pca"], seed)
        _add_partitions(adata, seed)
        add_colours(adata)
        plot_sample(adata, outdir, sample, label_col=label_col, batch_col=batch_col, metrics=metrics)
    adata.uns["cicl"]["stages"] = {**adata.uns["cicl"]["stages"], **stages}
    if metrics is not None:
        for quantity in ("seconds", "peak_memory_mb"):
            metrics.setdefault(quantity, {})["plot"] = stages["plot"][quantity]
        write_multiqc(adata, metrics, outdir / f"{sample}_mqc.json")
    write_h5ad(in_input_order(adata), outdir / f"{sample}.h5ad")


def _add_partitions(adata: Any, seed: int) -> None:
    """Divide the cells into numbers of clusters near an estimated one.

    Sets `obsm["cicl_partitions"]`, (cells, numbers), and `uns["cicl"]["partitions"]`, the numbers.
    """
    record = adata.uns["cicl"]
    record.pop("partitions", None)
    adata.obsm.pop("cicl_partitions", None)
    chosen = len(adata.obs["cicl"].cat.categories)
    if chosen < 2 or record.get("k", {}).get("given", True):
        return
    near = range(max(2, chosen - NEAR_NUMBERS), min(chosen + NEAR_NUMBERS + 1, adata.n_obs))
    numbers = [k for k in near if k != chosen]
    h = torch.from_numpy(np.ascontiguousarray(adata.obsm["X_cicl"]))
    found = [cluster(h, k, seed=seed).labels for k in numbers]
    # Fewer clusters than asked for come of identical cells: such a partition repeats another one.
    kept = [i for i, labels in enumerate(found) if labels.max() + 1 == numbers[i]]
    if kept:
        labels = np.column_stack([found[i] for i in kept]).astype(np.uint8 if numbers[-1] < 256 else np.uint16)
        record["partitions"] = np.array([numbers[i] for i in kept])
        adata.obsm["cicl_partitions"] = labels
