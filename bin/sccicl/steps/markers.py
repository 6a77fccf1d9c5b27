"""Step markers: marker genes of the clusters."""

from pathlib import Path
from typing import Any

from ..downstream.markers import markers_record, plot_markers, write_markers


def save_markers(adata: Any, table: Any, outdir: Path, sample: str) -> dict[str, Any]:
    """Write the table and the figures; returns the record."""
    write_markers(table, outdir / f"{sample}.markers.csv")
    plot_markers(adata, table, outdir, sample)
    return markers_record(table, sample)
