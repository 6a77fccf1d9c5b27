"""One self-contained HTML page for a run: an overview of the samples, then every sample in detail."""

import base64
import json
import math
import os
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .clustering.gaps import continuum_note
from .downstream.annotation import TITLES
from .downstream.palette import MISSING, colours, matched_colours
from .methods import methods_text, references
from .origin import origin, origin_data
from .result import Categories, Result, overlap_of, read_result
from .runtime.files import atomic_path
from .shown_genes import MOST_COLOURED

if TYPE_CHECKING:
    from anndata import AnnData


# A browser draws this many points without stutter; a run of many samples shares a total that keeps the file near 25 MB.
MAX_POINTS = 100_000
MAX_POINTS_RUN = 400_000
MIN_POINTS = 2_000
# Of a cluster this many cells stay when points are left out.
KEPT_PER_CLUSTER = 50
# A cluster this small is pointed out.
FEW_CELLS = 10
# Training is called unsettled when more than this share of the pseudo-labels changed in its last epoch.
UNSETTLED = 0.05
# A cluster that is found again in less than this share of resampled cells is pointed out.
UNSTABLE = 0.6
MARKERS_IN_TABLE = 10


def write_report(
    samples: Iterable[tuple["AnnData | str | os.PathLike", dict[str, Any]]],
    path: str | os.PathLike,
    title: str = "CICL report",
    *,
    label_col: str | None = None,
    batch_col: str | None = None,
) -> Path:
    """Write the report of a run as one HTML file that loads nothing from anywhere.

    Parameters
    ----------
    samples
        AnnData or h5ad file of each sample and the contents of its metrics file. Only `obs["cicl"]` is required; the
        page leaves out what a sample does not hold. Layouts are those in `obsm["X_umap"]` and `obsm["X_tsne"]`.
    path
        The HTML file.
    title
        Heading of the page.
    label_col, batch_col
        Columns of `obs` for every sample; default: as each sample's metrics say (see `result.read_result`).

    Returns
    -------
    The file written. Above 100,000 cells per sample, or 400,000 per run, a seeded random part of the cells is drawn,
    and the page says so; all numbers are of all cells.

    Raises
    ------
    InputError
        If a sample has no clusters or a column does not exist.
    """
    import jinja2
    from plotly.offline import get_plotlyjs

    results = [
        read_result(source, metrics, label_col=label_col, batch_col=batch_col, n_coloured=MOST_COLOURED)
        for source, metrics in samples
    ]
    limit = int(min(MAX_POINTS, max(MIN_POINTS, MAX_POINTS_RUN // max(len(results), 1))))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(str(_templates())), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["number"] = _number
    page = environment.get_template("report.html").render(
        title=title,
        samples=[_sample(index, result, limit) for index, result in enumerate(results)],
        any_labels=any(result.metrics.get("ari") is not None for result in results),
        methods=methods_text(results),
        references=references(results),
        style=_source("report.css"),
        script=_source("report.js"),
        # The one thing that would end the element early.
        plotly=_markup(get_plotlyjs().replace("</script", "<\\/script")),
    )
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return Path(path)


def _templates() -> Path:
    return Path(str(files("sccicl") / "templates"))


def _markup(text: str) -> Any:
    from markupsafe import Markup

    return Markup(text)


def _source(name: str) -> Any:
    return _markup((_templates() / name).read_text(encoding="utf-8"))


def embed(value: Any) -> str:
    """JSON that can stand within a `script` element: no string in it can end or open an element."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _number(value: Any, digits: int = 3) -> str:
    return "–" if _unknown(value) else f"{float(value):.{digits}f}"


def _unknown(value: Any) -> bool:
    return value is None or not math.isfinite(value)


def _sample(index: int, result: Result, limit: int) -> dict[str, Any]:
    """What the template says about a sample; `data` is what the script draws."""
    metrics, uns = result.metrics, result.uns
    stages = uns.get("stages", {})
    seconds = metrics.get("seconds") or {name: stage.get("seconds") for name, stage in stages.items()}
    memory = metrics.get("peak_memory_mb") or {name: stage.get("peak_memory_mb") for name, stage in stages.items()}
    shown = _drawn_cells(result, limit)
    return {
        "anchor": f"sample-{index}",
        "id": result.id,
        "n_cells": result.n_cells,
        "n_genes": result.n_genes,
        "n_clusters": len(result.clusters.names),
        "k_source": {True: "given", False: "estimated", None: ""}[result.k_given],
        "k_explained": result.k_explained,
        "scores": {name: metrics.get(name) for name in ("ari", "nmi", "ami", "silhouette")},
        "label_col": result.labels.column if result.labels else None,
        "seconds": {name: value for name, value in seconds.items() if not _unknown(value)},
        "memory": {name: value for name, value in memory.items() if not _unknown(value)},
        "duration": _duration(sum(value for value in seconds.values() if not _unknown(value))),
        "device": metrics.get("device") or uns.get("device") or "–",
        "notes": [*result.warnings, *_observations(result)],
        "strip": _strip(result.clusters),
        "clusters": _cluster_rows(result),
        "n_drawn": len(shown),
        "overlap_height": max(19, 5 + 1.4 * len(result.labels.names)) if result.labels is not None else 0,
        "layouts": list(result.layouts),
        "colourings": [item["title"] for item in _colourings(result)],
        "genes": _gene_options(result),
        "origin": origin(result),
        "ilisi": metrics.get("ilisi"),
        "annotations": _annotation_sources(result),
        "has_stability": result.stability is not None,
        "markers": _marker_rows(result),
        "marker_height": max(19, 6 + 1.5 * len(result.clusters.names)),
        "has": {
            "history": any(key != "label_change" for key in result.history),
            "change": "label_change" in result.history,
            "evidence": result.k_evidence[2] if result.k_evidence else None,
            "agreement": result.k_agreement is not None,
            "labels": result.labels is not None,
            "ranks": origin_data(result)["ranks"] is not None,
        },
        "parameters": {**_flat(uns.get("prepare", {})), **_flat(uns.get("params", {})), **_flat(_seed(uns))},
        "versions": _flat(metrics.get("versions") or uns.get("versions") or {}),
        "data": _markup(embed(_data(result, shown))),
    }


def _seed(uns: dict[str, Any]) -> dict[str, Any]:
    return {"seed": uns["seed"]} if "seed" in uns else {}


def _flat(values: dict[str, Any]) -> dict[str, str]:
    return {str(key): f"{value:g}" if isinstance(value, float) else str(value) for key, value in values.items()}


def _duration(seconds: float) -> str:
    if seconds <= 0:
        return "–"
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _observations(result: Result) -> list[str]:
    """What a reader should know and no step has said."""
    notes = [result.k_explained] if len(result.clusters.names) == 1 and result.k_explained else []
    small = [
        name
        for name, size in zip(result.clusters.names, result.clusters.counts, strict=True)
        if size < min(FEW_CELLS, result.n_cells / len(result.clusters.names) / 2)
    ]
    if small:
        which = f"Cluster {small[0]} has" if len(small) == 1 else f"Clusters {', '.join(small)} have"
        notes.append(f"{which} fewer than {FEW_CELLS} cells: look whether they are a rare cell type or an artefact.")
    if result.stability is not None and (result.stability < UNSTABLE).any():
        names = ", ".join(np.array(result.clusters.names)[result.stability < UNSTABLE])
        notes.append(
            f"Found again in few of the resampled cells (stability below {UNSTABLE:g}): cluster {names}. Such clusters "
            "may be parts of others."
        )
    notes += continuum_note(result.uns.get("valley"))
    change = result.history.get("label_change")
    if change is not None and np.isfinite(change[-1]) and change[-1] > UNSETTLED:
        notes.append(
            f"In the last epoch {change[-1]:.0%} of the pseudo-labels still changed: training had not settled, "
            "and more epochs may give clearer clusters."
        )
    if result.labels is not None and (missing := int((result.labels.codes < 0).sum())):
        notes.append(
            f"{missing:,} cells have no value in '{result.labels.column}'; they are left out of ARI, NMI and AMI."
        )
    return notes


def _strip(clusters: Categories) -> list[dict[str, Any]]:
    total = max(clusters.counts.sum(), 1)
    shades = colours(len(clusters.names))
    return [
        {"name": name, "size": int(size), "width": f"{100 * size / total:.3f}", "colour": shade}
        for name, size, shade in zip(clusters.names, clusters.counts, shades, strict=True)
    ]


def _cluster_rows(result: Result) -> list[dict[str, Any]]:
    confidence, overlap, stability = result.mean_confidence, result.overlap, result.stability
    rows = []
    for i, item in enumerate(_strip(result.clusters)):
        row = {
            **item,
            "share": f"{float(item['width']):.1f}",
            "confidence": None if confidence is None else confidence[i],
            "stability": None if stability is None else stability[i],
            "annotations": [_label_of(result, title, item["name"]) for title in result.annotations],
            "markers": ", ".join(result.markers_of(item["name"], 5)),
        }
        if overlap is not None and overlap[i].sum():
            best = int(overlap[i].argmax())
            row["label"] = result.labels.names[best]
            row["label_share"] = f"{100 * overlap[i, best] / overlap[i].sum():.0f}"
        rows.append(row)
    return rows


def _label_of(result: Result, title: str, cluster: str) -> dict[str, Any]:
    row = result.annotation_of(title).get(cluster)
    return {"label": "–", "share": ""} if row is None else {"label": row["label"], "share": f"{100 * row['share']:.0f}"}


def _colourings(result: Result) -> list[dict[str, Any]]:
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


def _gene_options(result: Result) -> list[dict[str, Any]]:
    """Clusters with the genes that the map can be coloured by: places in the data's list of levels."""
    if result.genes is None:
        return []
    groups: dict[str, list[dict[str, Any]]] = {}
    for place, gene in enumerate(result.genes.coloured):
        groups.setdefault(result.genes.clusters[gene], []).append(
            {"place": place, "symbol": result.genes.symbols[gene]}
        )
    return [{"cluster": cluster, "genes": genes} for cluster, genes in groups.items()]


def _marker_rows(result: Result) -> list[dict[str, Any]]:
    """The first markers of each cluster, for the table."""
    if result.markers is None:
        return []
    first = result.markers[result.markers["rank"].astype(int) <= MARKERS_IN_TABLE]
    return first.to_dict("records")


def _annotation_sources(result: Result) -> list[dict[str, str]]:
    """A sentence on where the labels of each way of annotation come from."""
    found = []
    for method, title in TITLES.items():
        source = result.uns.get("annotation", {}).get(method)
        if source is None:
            continue
        genes = "{file} ({n_types} cell types), of whose {n_features} genes {n_genes} are in the sample"
        told = {
            "celltypist": f"model {genes}; a cluster takes the label of most of its cells",
            "marker_list": f"list {genes}; a cluster takes the type with the best mean score",
            "reference": "model {file}, {n_cells} cells with {n_types} labels ({column}); {n_unknown} cells below a "
            "confidence of {min_confidence} are unknown",
        }[method]
        try:
            found.append({"title": title, "text": told.format_map(source)})
        except KeyError:
            continue
    return found


def _drawn_cells(result: Result, limit: int) -> np.ndarray:
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


def _data(result: Result, shown: np.ndarray) -> dict[str, Any]:
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


def _gene_data(result: Result, shown: np.ndarray) -> dict[str, Any] | None:
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


def _overlap(result: Result, overlap: np.ndarray) -> dict[str, Any]:
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
