"""Where the cells of a sample come from, as the report tells it: reads, cell calling, quality control."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..io.record import QualityControl
from .sample import ClusteredSample

REASONS = {
    "few_counts": "too few counts",
    "few_genes": "too few genes",
    "high_mito": "a high mitochondrial share",
    "doublets": "being doublets",
}
HISTOGRAMS = {
    "counts": "Counts per cell",
    "genes": "Genes per cell",
    "mito": "Mitochondrial share (%)",
    "doublet_score": "Doublet score",
}
LIMITS = {
    "min_counts": "Counts per cell, at least",
    "min_genes": "Genes per cell, at least",
    "max_mito": "Mitochondrial share (%), at most",
    "doublet_score": "Doublet score, at most",
    "min_cells": "Cells per gene, at least",
}
# Numbers of STARsolo's Summary.csv, in its order
READS = (
    "Number of Reads",
    "Reads With Valid Barcodes",
    "Q30 Bases in CB+UMI",
    "Q30 Bases in RNA read",
    "Reads Mapped to Genome: Unique+Multiple",
    "Reads Mapped to Genome: Unique",
    "Reads Mapped to Gene: Unique Gene",
    "Reads Mapped to GeneFull: Unique GeneFull",
    "Sequencing Saturation",
)
# Limits of counts, which are whole numbers
WHOLE = ("min_counts", "min_genes", "min_cells")
LOGARITHMIC = ("counts", "genes")


QUALITY = {
    "counts": "Median counts",
    "genes": "Median genes",
    "mito": "Median mitochondrial %",
    "doublet_score": "Mean doublet score",
}


def cluster_quality(result: ClusteredSample) -> dict[str, Any]:
    """Quality of each cluster: `titles` of the columns, `rows` of cluster, cells and values as text."""
    there = {name: title for name, title in QUALITY.items() if name in result.qc_values}
    rows = []
    for code, (cluster, size) in enumerate(zip(result.clusters.names, result.clusters.counts, strict=True)):
        inside = result.clusters.codes == code
        values = []
        for name in there:
            found = result.qc_values[name][inside]
            found = found[np.isfinite(found)]
            centre = np.mean if name == "doublet_score" else np.median
            digits = {"doublet_score": 3, "mito": 1}.get(name, 0)
            values.append(f"{centre(found):,.{digits}f}" if len(found) else "–")
        rows.append([cluster, f"{size:,}", *values])
    return {"titles": list(there.values()), "rows": rows if there else []}


def origin(result: ClusteredSample) -> dict[str, Any]:
    """Rows and numbers for the page: `reads`, `cells` and `qc`, each empty where that step was not done."""
    return {"reads": _reads(result), "cells": _cells(result), "qc": _qc(result)}


def origin_data(result: ClusteredSample) -> dict[str, Any]:
    """What the page draws: `ranks` of the barcodes, and `histograms` of quality control by name."""
    return {"ranks": _ranks(result), "histograms": _histograms(result)}


def _reads(result: ClusteredSample) -> list[tuple[str, str]]:
    reads = dict(result.record.reads)
    summary = dict(reads.pop("summary", {}))
    rows = [("Chemistry", str(reads["protocol"]))] if "protocol" in reads else []
    return rows + [(name, _count_or_share(name, value)) for name, value in _in_order(summary, READS)]


def _count_or_share(name: str, value: Any) -> str:
    is_share = name.startswith(("Reads", "Q30", "Sequencing", "Fraction")) and 0 <= float(value) <= 1
    return f"{float(value):.1%}" if is_share else _number(value)


def _number(value: Any) -> str:
    value = float(value)
    return f"{value:,.0f}" if value == round(value) else f"{value:,.4g}"


def _cells(result: ClusteredSample) -> dict[str, Any]:
    cells = {**result.record.cells, **dict(result.metrics.get("cells") or {})}
    return cells if {"barcodes", "cells"} <= set(cells) else {}


def _ranks(result: ClusteredSample) -> dict[str, Any] | None:
    cells = result.record.cells
    rank, umis = (np.ravel(cells.get(name, [])).astype(float) for name in ("rank", "umis"))
    if len(rank) < 2 or len(rank) != len(umis):
        return None
    return {"rank": rank.tolist(), "umis": umis.tolist(), "cells": int(cells.get("cells", 0))}


def _qc(result: ClusteredSample) -> dict[str, Any]:
    qc = result.qc
    if qc is None:
        return {}
    removed = {REASONS.get(str(reason), str(reason)): int(n) for reason, n in _in_order(qc.removed, REASONS)}
    return {
        "cells_in": qc.cells_in,
        "removed": removed,
        # Doublets that were only marked; removed ones are among the reasons.
        "doublets": qc.doublets if REASONS["doublets"] not in removed else None,
        "genes_removed": qc.genes_in - qc.genes_out,
        "limits": [_limit(name, value, "doublets" in qc.removed) for name, value in _limits(qc).items()],
        "histograms": {name: HISTOGRAMS.get(name, name) for name in _histograms(result)},
    }


def _limit(name: str, value: float, doublets_removed: bool) -> tuple[str, str]:
    """Title and value of a limit; counts are whole numbers, and doublets may only be marked."""
    if name == "doublet_score":
        title = "Doublets removed above a score of" if doublets_removed else "Doublets flagged above (not removed)"
        return title, f"{value:.3g}"
    if name == "max_mito":
        return LIMITS[name], f"{value:.3g}"
    return LIMITS.get(name, name), f"{np.ceil(value):,.0f}" if name in WHOLE else _number(value)


def _limits(qc: QualityControl) -> dict[str, float]:
    return {str(name): float(value) for name, value in _in_order(qc.thresholds, LIMITS)}


def _in_order(table: Any, names: Iterable[str]) -> list[tuple[str, Any]]:
    """Entries as `names` orders them, others last: a stored h5ad has them by their names."""
    order = list(names)
    return sorted(dict(table).items(), key=lambda item: order.index(item[0]) if item[0] in order else len(order))


def _histograms(result: ClusteredSample) -> dict[str, Any]:
    """Numbers of cells `kept` and `removed` between the `edges`, with the limits as `lines`, by name."""
    if result.qc is None:
        return {}
    found = {}
    limits = {key: float(np.ceil(v)) if key in WHOLE else v for key, v in _limits(result.qc).items()}
    for name, table in _in_order(result.qc.histograms, HISTOGRAMS):
        edges, every, kept = (np.ravel(table.get(key, [])).astype(float) for key in ("edges", "all", "kept"))
        if not len(edges) - 1 == len(every) == len(kept) > 0:
            continue
        lines = [limits[key] for key in (f"min_{name}", f"max_{name}", name) if key in limits]
        series = {"kept": kept.tolist(), "removed": (every - kept).tolist()}
        found[str(name)] = {"edges": edges.tolist(), "series": series, "lines": lines, "log": name in LOGARITHMIC}
    return found
