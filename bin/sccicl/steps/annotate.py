"""Step annotate: cell types of the clusters."""

from pathlib import Path
from typing import Any

import click

from ..downstream.annotate_celltypist import annotate_by_celltypist, load_celltypist_model
from ..downstream.annotate_marker_list import annotate_by_marker_list
from ..downstream.annotate_names import annotate_by_names
from ..downstream.annotate_reference import annotate_by_reference, load_reference, read_labels
from ..downstream.annotation import annotation_record, write_annotation
from ..downstream.marker_list import read_marker_list
from ..runtime.device import use_device


def check_annotation(
    celltypist_model: Path | None,
    marker_list: Path | None,
    reference_model: Path | None,
    cluster_names: Path | None = None,
    **_: Any,
) -> None:
    """Raise InputError where a file for the annotation cannot be read: before the training, not after it."""
    if celltypist_model:
        load_celltypist_model(celltypist_model)
    if marker_list:
        read_marker_list(marker_list)
    if reference_model:
        load_reference(reference_model)
    if cluster_names:
        read_labels(cluster_names)


def save_annotation(
    adata: Any,
    outdir: Path,
    sample: str,
    *,
    celltypist_model: Path | None = None,
    marker_list: Path | None = None,
    reference_model: Path | None = None,
    cluster_names: Path | None = None,
    min_confidence: float = 0.5,
    device: str = "auto",
) -> dict[str, Any]:
    """Annotate by every way that is asked for and write what was found; returns the record."""
    found = []
    if cluster_names:
        found.append(annotate_by_names(adata, cluster_names))
    if celltypist_model:
        found.append(annotate_by_celltypist(adata, celltypist_model))
    if marker_list:
        found.append(annotate_by_marker_list(adata, marker_list, seed=int(adata.uns["cicl"]["seed"])))
    if reference_model:
        found.append(
            annotate_by_reference(
                adata, reference_model, device=use_device(device, None), min_confidence=min_confidence
            )
        )
    record = annotation_record(adata, found, sample)
    for warning in record["warnings"]:
        click.echo(f"WARNING: {warning}", err=True)
    write_annotation(adata, record, outdir / f"{sample}.annotation.csv")
    return record
