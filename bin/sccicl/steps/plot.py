"""Step plot: UMAP, t-SNE and figures of a sample."""

from pathlib import Path
from typing import Any


def plot_to_files(
    adata: Any, outdir: Path, sample: str, label_col: str | None, batch_col: str | None, metrics: dict | None
) -> None:
    """Compute UMAP and t-SNE, draw the figures, and write the final h5ad and, with `metrics`, the MultiQC file."""
    from ..downstream import umap_tsne
    from ..io.write_h5ad import write_h5ad
    from ..numerics.ordering import canonical_order, inverse
    from ..report.figures import plot_sample
    from ..report.multiqc import write_multiqc
    from ..runtime.profiling import stage

    stages: dict[str, dict[str, float]] = {}
    with stage("plot", stages):
        seed = int(adata.uns["cicl"]["seed"])
        order = canonical_order(adata.obs_names)
        embedding, back = adata.obsm["X_cicl"][order], inverse(order)
        adata.obsm["X_umap"] = umap_tsne.umap(embedding, seed)[back]
        if (tsne := umap_tsne.tsne(embedding, seed)) is not None:
            adata.obsm["X_tsne"] = tsne[back]
        plot_sample(adata, outdir, sample, label_col=label_col, batch_col=batch_col, metrics=metrics)
    adata.uns["cicl"]["stages"] = {**adata.uns["cicl"]["stages"], **stages}
    if metrics is not None:
        for quantity in ("seconds", "peak_memory_mb"):
            metrics.setdefault(quantity, {})["plot"] = stages["plot"][quantity]
        write_multiqc(adata, metrics, outdir / f"{sample}_mqc.json")
    write_h5ad(adata, outdir / f"{sample}.h5ad")
