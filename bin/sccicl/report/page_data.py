"""Data of the report's page: maps, colourings and gene values as JSON."""

import base64
import math
from typing import Any

import numpy as np

from ..downstream.palette import MISSING, colours, matched_colours
from .qc_section import origin_data
from .sample import Categories, ClusteredSample, overlap_of

# Of a cluster this many cells stay when points are left out.
KEPT_PER_CLUSTER = 50


def _colourings(result: ClusteredSample) -> list[dict[str, Any]]:
    """What the map can be coloured by, in the order of the buttons; `values` is None for the confidence."""
    before = [
        *result.annotations.items(),
        *([(result.labels.column, result.labels)] if result.labels is not None else []),
    ]
    after = [(f"{len(item.names)} clusters", item) for item in result.clusterings]

    def alike(title: str, values: Categories) -> dict[str, Any]:
        shades = matched_colours(overlap_of(result.clusters, values))
        return {"title": title, "values": values, "colours": shades}

    batch = result.batches
    return [
        {"title": "Cluster", "values": result.clusters, "colours": colours(len(result.clusters.names))},
        *(alike(title, values) for title, values in before),
        *([{"title": "Confidence", "values": None}] if result.confidence is not None else []),
        *(alike(title, values) for title, values in after),
        *([{"title": batch.column, "values": batch, "colours": colours(len(batch.names))}] if batch else []),
    ]


def _drawn_cells(result: ClusteredSample, limit: int) -> np.ndarray:
    """Indices of the cells to draw, in random order so that no cluster covers another; small clusters stay whole."""
    order = np.random.default_rng(0).permutation(result.n_cells)
    if result.n_cells <= limit:
        return order
    codes = result.clusters.codes[order]
    first = np.zeros(len(order), dtype=bool)
    for code in np.unique(codes):
        first[np.flatnonzero(codes == code)[:KEPT_PER_CLUSTER]] = True
    kept = np.concatenate([np.flatnonzero(first), np.flatnonzero(~first)])[:limit]
    return order[np.sort(kept)]


def _packed(values: np.ndarray, dtype: str) -> str:
    # Little-endian, which is what the typed arrays of every present browser read.
    return base64.b64encode(np.ascontiguousarray(values, dtype=dtype).tobytes()).decode("ascii")


def _data(result: ClusteredSample, shown: np.ndarray) -> dict[str, Any]:
    confidence, evidence, overlap = result.mean_confidence, result.k_evidence, result.overlap
    agreement = result.k_agreement
    return {
        "id": result.id,
        "barcodes": "\n".join(barcode.replace("\n", " ") for barcode in result.barcodes[shown]),
        "layouts": {
            name: [_packed(xy[shown, 0], "<f4"), _packed(xy[shown, 1], "<f4")] for name, xy in result.layouts.items()
        },
        "confidence": None if result.confidence is None else _packed(result.confidence[shown], "<f4"),
        "colourings": [
            {"title": item["title"]}
            if item["values"] is None
            else _colouring(item["title"], item["values"], item["colours"], shown)
            for item in _colourings(result)
        ],
        "genes": _gene_data(result, shown),
        **origin_data(result),
        "missing": MISSING,
        "top": result.top_confidence,
        "sizes": {
            "names": result.clusters.names,
            "counts": result.clusters.counts.tolist(),
            "confidence": None if confidence is None else _finite(confidence),
        },
        "history": {key: _finite(values) for key, values in result.history.items()},
        "evidence": None
        if evidence is None
        else {
            "candidates": evidence[0].tolist(),
            "scores": _finite(evidence[1]),
            "compared": [] if agreement is None else agreement[0].tolist(),
            "agreement": [] if agreement is None else _finite(agreement[1]),
            "chosen": len(result.clusters.names),
        },
        "overlap": None if overlap is None else _overlap(result, overlap),
    }


def _colouring(title: str, categories: Categories, shades: list[str], shown: np.ndarray) -> dict[str, Any]:
    return {
        "title": title or categories.column,
        "names": categories.names,
        "colours": shades,
        "counts": categories.counts.tolist(),
        "unknown": int((categories.codes < 0).sum()),
        "codes": _packed(categories.codes[shown], "<i4"),
    }


def _gene_data(result: ClusteredSample, shown: np.ndarray) -> dict[str, Any] | None:
    genes = result.genes
    if genes is None:
        return None
    return {
        "symbols": genes.symbols,
        "clusters": genes.clusters,
        "mean": [_finite(row) for row in genes.mean],
        "fraction": [_finite(row) for row in genes.fraction],
        "coloured": genes.coloured,
        "top": _finite(genes.top),
        "levels": [_packed(column, "u1") for column in genes.levels[shown].T],
    }


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


def _finite(values: np.ndarray) -> list[float | None]:
    return [float(f"{value:.5g}") if math.isfinite(value) else None for value in values]
