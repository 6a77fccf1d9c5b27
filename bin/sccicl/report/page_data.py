"""Data of the report's page as JSON: maps, colourings, gene values, charts."""

import base64
import itertools
import json
import math
import zlib
from typing import Any

import numpy as np

from ..downstream.palette import MISSING, colours, matched_colours
from .answer import Answer
from .qc_section import LOGARITHMIC, origin_data
from .sample import Categories, ClusteredSample, overlap_of

TRAINED_NOTE = (
    "This map is drawn from the embedding that was trained on these clusters, so it exaggerates gaps: white space "
    "between two clusters is no evidence that they differ. Distances between far groups mean little."
)
UNTRAINED_NOTE = (
    "This map is drawn from principal components of the expression, which do not depend on the clusters. Where cells "
    "run from one cluster into another, there is no clear border. Distances between far groups mean little."
)
QC_TITLES = {
    "counts": ("Counts", "Counts per cell (logarithmic scale)."),
    "genes": ("Genes", "Genes detected per cell (logarithmic scale)."),
    "mito": (
        "Mitochondrial %",
        "Share of the counts that come from mitochondrial genes. High values suggest damaged cells.",
    ),
    "doublet_score": ("Doublet score", "Scrublet's score: high where a cell looks like two cells measured as one."),
}
CONFIDENCE_NOTE = (
    "How clearly a cell belongs to its cluster: 1 is certain, 0 is no closer to its own cluster than to the others."
)


def page_data(result: ClusteredSample, found: Answer) -> dict[str, Any]:
    """What the script of the page draws; large arrays are packed, see `packed` and `deflated`."""
    evidence, overlap = result.k_evidence, result.overlap
    return {
        "id": result.id,
        "barcodes": deflated(
            "\n".join(barcode.replace("\n", " ") for barcode in result.barcodes[result.drawn]).encode()
        ),
        "layouts": [_layout(title, xy[result.drawn]) for title, xy in layouts(result, found).items()],
        "colourings": [
            _coloured(item, result.drawn) if "values" in item else _categories(item, result.drawn)
            for item in colourings(result)
        ],
        "missing": MISSING,
        "clusters": {
            "names": result.clusters.names,
            "counts": result.clusters.counts.tolist(),
            "colours": colours(len(result.clusters.names)),
        },
        "types": _types(result),
        "genes": _dotplot(result),
        "search": _search(result),
        "markers": _markers(result),
        **origin_data(result),
        "history": {key: _finite(values) for key, values in result.history.items()},
        "evidence": None
        if evidence is None
        else {
            "candidates": evidence[0].tolist(),
            "scores": _finite(evidence[1]),
            "chosen": len(result.clusters.names),
        },
        "overlap": None if overlap is None else _overlap(result, overlap),
        "composition": _composition(result),
        "tree": tree(result),
    }


def _types(result: ClusteredSample) -> dict[str, str]:
    """Cell type of each cluster by the first way of annotation; without those that are unknown."""
    rows = next((result.annotation_of(title) for title in result.annotations), {})
    return {name: str(row["label"]) for name, row in rows.items() if row["label"] != "unknown"}


def layouts(result: ClusteredSample, found: Answer) -> dict[str, np.ndarray]:
    """Maps by title, the first one first: one that no clusters went into where clusters are not separated by a gap."""
    first, then = (result.untrained, result.layouts) if found.merges else (result.layouts, result.untrained)
    return {**first, **then}


def colourings(result: ClusteredSample) -> list[dict[str, Any]]:
    """What the map can be coloured by, in the order of the buttons: `categories`, or `values` of the cells."""
    before = [
        *result.annotations.items(),
        *([(result.labels.column, result.labels)] if result.labels is not None else []),
    ]
    after = [(f"{len(item.names)} clusters", item) for item in result.clusterings]

    def alike(title: str, values: Categories) -> dict[str, Any]:
        shades = matched_colours(overlap_of(result.clusters, values))
        # "unknown" is no cell type: it has the colour of what is not given, not that of a cluster.
        shades = [MISSING if name == "unknown" else shade for name, shade in zip(values.names, shades, strict=True)]
        return {"title": title, "categories": values, "colours": shades, "labelled": True}

    batch = result.batches
    return [
        {
            "title": "Cluster",
            "categories": result.clusters,
            "colours": colours(len(result.clusters.names)),
            "labelled": True,
        },
        *(alike(title, values) for title, values in before),
        *(alike(title, values) for title, values in after),
        *([{"title": batch.column, "categories": batch, "colours": colours(len(batch.names))}] if batch else []),
        *_values(result),
    ]


def _values(result: ClusteredSample) -> list[dict[str, Any]]:
    found = []
    if result.confidence is not None:
        top = result.top_confidence
        found.append({"title": "Confidence", "values": result.confidence, "range": (0.0, top), "help": CONFIDENCE_NOTE})
    for name, (title, told) in QC_TITLES.items():
        values = result.qc_values.get(name)
        if values is None or not np.isfinite(values).any():
            continue
        finite = values[np.isfinite(values)]
        log = name in LOGARITHMIC
        high = float(np.quantile(finite, 0.99)) if not log else float(finite.max())
        low = float(max(finite.min(), 1)) if log else 0.0
        found.append(
            {"title": title, "values": values, "range": (low, max(high, low + 1e-9)), "log": log, "help": told}
        )
    return found


def packed(values: np.ndarray, dtype: str) -> str:
    """Base64 of the values, little-endian, which is what the typed arrays of every present browser read."""
    return base64.b64encode(np.ascontiguousarray(values, dtype=dtype).tobytes()).decode("ascii")


def deflated(data: bytes) -> str:
    """Base64 of the deflated bytes, for what the page looks up later."""
    return base64.b64encode(zlib.compress(data, 9)).decode("ascii")


def _layout(title: str, xy: np.ndarray) -> dict[str, Any]:
    low, high = (xy.min(axis=0), xy.max(axis=0)) if len(xy) else (np.zeros(2), np.ones(2))
    width = np.maximum(high - low, 1e-9)
    places = np.round((xy - low) / width * 65535)
    return {
        "name": title,
        "note": UNTRAINED_NOTE if "rincipal" in title else TRAINED_NOTE,
        "bounds": [float(low[0]), float(low[0] + width[0]), float(low[1]), float(low[1] + width[1])],
        "x": packed(places[:, 0], "<u2"),
        "y": packed(places[:, 1], "<u2"),
    }


def _categories(item: dict[str, Any], drawn: np.ndarray) -> dict[str, Any]:
    values: Categories = item["categories"]
    wide = len(values.names) > 254
    codes = np.where(values.codes < 0, len(values.names), values.codes)[drawn]
    return {
        "title": item["title"],
        "names": values.names,
        "colours": item["colours"],
        "counts": values.counts.tolist(),
        "unknown": int((values.codes < 0).sum()),
        "labelled": item.get("labelled", False),
        "wide": wide,
        "codes": packed(codes, "<u2" if wide else "u1"),
    }


def _coloured(item: dict[str, Any], drawn: np.ndarray) -> dict[str, Any]:
    low, high = item["range"]
    values = np.nan_to_num(item["values"][drawn].astype(float), nan=low)
    scale = (lambda v: np.log10(np.maximum(v, 1))) if item.get("log") else (lambda v: v)
    span = max(float(scale(high) - scale(low)), 1e-9)
    levels = np.clip(np.round((scale(values) - scale(low)) / span * 255), 0, 255)
    return {
        "title": item["title"],
        "z": deflated(levels.astype(np.uint8).tobytes()),
        "low": low,
        "high": high,
        "log": bool(item.get("log")),
        "help": item["help"],
    }


def _dotplot(result: ClusteredSample) -> dict[str, Any] | None:
    genes = result.genes
    if genes is None or not genes.dots:
        return None
    return {
        "symbols": [genes.symbols[i] for i in genes.dots],
        "clusters": genes.dot_clusters,
        "mean": [_finite(row) for row in genes.mean[genes.dots].T],
        "fraction": [_finite(row) for row in genes.fraction[genes.dots].T],
    }


def _search(result: ClusteredSample) -> dict[str, Any] | None:
    """Every gene with its mean in each cluster; `stored` are those whose values in the cells the page holds."""
    genes = result.genes
    if genes is None:
        return None
    top = np.maximum(genes.mean.max(axis=1), 1e-9)
    ends = np.cumsum([len(base64.b64encode(level)) for level in genes.levels])
    return {
        "symbols": deflated("\n".join(symbol.replace("\n", " ") for symbol in genes.symbols).encode()),
        "mean": deflated(np.round(genes.mean / top[:, None] * 255).astype(np.uint8).tobytes()),
        "fraction": deflated(np.round(genes.fraction * 255).astype(np.uint8).tobytes()),
        "top": deflated(top.astype("<f4").tobytes()),
        "stored": genes.stored,
        "ends": ends.astype(int).tolist(),
        "tops": _finite(genes.tops),
    }


def gene_text(result: ClusteredSample) -> str:
    """Values of the stored genes one after another, each deflated by itself; `ends` in the data says where."""
    return "".join(base64.b64encode(level).decode("ascii") for level in result.genes.levels) if result.genes else ""


def _markers(result: ClusteredSample) -> str | None:
    """All markers that the h5ad holds, by column."""
    if result.markers is None or not len(result.markers):
        return None
    table = result.markers
    columns = {
        "cluster": table["cluster"].astype(str).tolist(),
        "rank": table["rank"].astype(int).tolist(),
        "gene": table["gene"].astype(str).tolist(),
        "symbol": table["symbol"].astype(str).tolist(),
        "change": _finite(table["log2_fold_change"].to_numpy(float)),
        "p": _finite(table["p_adjusted"].to_numpy(float)),
        "inside": _finite(table["fraction_in"].to_numpy(float)),
        "outside": _finite(table["fraction_out"].to_numpy(float)),
    }
    return deflated(json.dumps(columns, allow_nan=False).encode())


def _overlap(result: ClusteredSample, overlap: np.ndarray) -> dict[str, Any]:
    # Labels in the order of the clusters that hold most of them, which brings agreement near the diagonal.
    share = overlap / np.maximum(overlap.sum(0, keepdims=True), 1)
    centre = (share * np.arange(len(overlap))[:, None]).sum(0)
    order = np.lexsort((centre, overlap.argmax(0)))
    return {
        "clusters": result.clusters.names,
        "labels": [result.labels.names[i] for i in order],
        "counts": overlap[:, order].T.tolist(),
    }


def _composition(result: ClusteredSample) -> dict[str, Any] | None:
    """Cells of each sample or batch in each cluster."""
    if result.batches is None:
        return None
    table = overlap_of(result.clusters, result.batches).T
    return {"rows": result.batches.names, "clusters": result.clusters.names, "counts": table.tolist()}


def tree(result: ClusteredSample) -> dict[str, Any] | None:
    """Partitions into several numbers of clusters, fewest first, and how many cells go from each cluster to the next.

    From the columns `cicl_8` that were asked for, or the partitions in `obsm["cicl_partitions"]`.
    """
    found = {len(item.names): item.codes for item in result.clusterings}
    if not found and result.partitions is not None:
        numbers = np.atleast_1d(result.record.partitions)
        found = {int(k): result.partitions[:, i].astype(int) for i, k in enumerate(numbers)}
    found[len(result.clusters.names)] = result.clusters.codes
    if len(found) < 2:
        return None
    numbers = sorted(found)
    sizes = [np.bincount(found[k][found[k] >= 0], minlength=k) for k in numbers]
    moves, order = [], [list(range(numbers[0]))]
    for fewer, more in itertools.pairwise(numbers):
        table = np.zeros((fewer, more), dtype=int)
        known = (found[fewer] >= 0) & (found[more] >= 0)
        np.add.at(table, (found[fewer][known], found[more][known]), 1)
        moves.append(table)
        # Each cluster stands below the one that most of its cells come from.
        above = {cluster: place for place, cluster in enumerate(order[-1])}
        centre = [
            (table[:, c] * [above[i] for i in range(fewer)]).sum() / max(table[:, c].sum(), 1) for c in range(more)
        ]
        order.append([int(c) for c in np.argsort(centre, kind="stable")])
    return {
        "numbers": numbers,
        "sizes": [size.tolist() for size in sizes],
        "moves": [table.tolist() for table in moves],
        "parents": order,
    }


def _finite(values: np.ndarray) -> list[float | None]:
    return [float(f"{value:.5g}") if math.isfinite(value) else None for value in values]
