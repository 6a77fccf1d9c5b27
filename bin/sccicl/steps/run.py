"""Step run: all steps of a sample after its training."""

from pathlib import Path
from typing import Any

from ..downstream.annotation import attach_annotation
from ..downstream.markers import attach_markers, find_markers
from ..report.answer import answer
from ..report.page import write_report
from ..report.sample import read_sample
from ..runtime.files import write_json
from .annotate import save_annotation
from .cluster import write_clusters
from .markers import save_markers
from .plot import plot_to_files
from .score import score_sample

# Options that name what cell types come from
SOURCES = ("celltypist_model", "marker_list", "reference_model", "cluster_names")


def write_sample(
    adata: Any,
    model: dict[str, Any],
    outdir: Path,
    sample: str,
    label_col: str | None,
    batch_col: str | None,
    annotation: dict[str, Any],
    *,
    with_tsne: bool = False,
) -> str:
    """Score, describe and draw the clustered sample, write all its files and the report; returns what was found."""
    write_clusters(adata, model, outdir, sample, label_col)
    metrics = score_sample(adata, label_col=label_col)
    describe_clusters(adata, outdir, sample, **annotation)
    plot_to_files(adata, outdir, sample, label_col, batch_col, metrics, with_tsne=with_tsne)
    write_json(metrics, outdir / f"{sample}.metrics.json")
    write_report([(adata, metrics)], outdir / "cicl_report.html", title=f"CICL: {sample}", files_at="./")
    return answer(read_sample(adata, metrics)).sentence


def describe_clusters(adata: Any, outdir: Path, sample: str, **annotation: Any) -> None:
    """Markers, and annotation where asked for: files written, and what was found put into `adata`."""
    attach_markers(adata, save_markers(adata, find_markers(adata), outdir, sample))
    if any(annotation.get(name) for name in SOURCES):
        attach_annotation(adata, save_annotation(adata, outdir, sample, **annotation))
