"""One self-contained HTML page for a run: an overview of the samples, then every sample in detail."""

import json
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..downstream.annotation import TITLES
from ..downstream.palette import colours
from ..runtime.files import atomic_path
from .marker_expression import MOST_COLOURED
from .methods_text import methods_text, references
from .notes import _observations
from .page_data import _colourings, _data, _drawn_cells
from .qc_section import origin, origin_data
from .sample import Categories, ClusteredSample, read_sample

if TYPE_CHECKING:
    from anndata import AnnData


# A browser draws this many points without stutter; a run of many samples shares a total that keeps the file near 25 MB.
MAX_POINTS = 100_000
MAX_POINTS_RUN = 400_000
MIN_POINTS = 2_000
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
        Columns of `obs` for every sample; default: as each sample's metrics say (see `result.read_sample`).

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
        read_sample(source, metrics, label_col=label_col, batch_col=batch_col, n_coloured=MOST_COLOURED)
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
    return Path(__file__).parent / "templates"


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


def _sample(index: int, result: ClusteredSample, limit: int) -> dict[str, Any]:
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


def _strip(clusters: Categories) -> list[dict[str, Any]]:
    total = max(clusters.counts.sum(), 1)
    shades = colours(len(clusters.names))
    return [
        {"name": name, "size": int(size), "width": f"{100 * size / total:.3f}", "colour": shade}
        for name, size, shade in zip(clusters.names, clusters.counts, shades, strict=True)
    ]


def _cluster_rows(result: ClusteredSample) -> list[dict[str, Any]]:
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


def _label_of(result: ClusteredSample, title: str, cluster: str) -> dict[str, Any]:
    row = result.annotation_of(title).get(cluster)
    return {"label": "–", "share": ""} if row is None else {"label": row["label"], "share": f"{100 * row['share']:.0f}"}


def _gene_options(result: ClusteredSample) -> list[dict[str, Any]]:
    """Clusters with the genes that the map can be coloured by: places in the data's list of levels."""
    if result.genes is None:
        return []
    groups: dict[str, list[dict[str, Any]]] = {}
    for place, gene in enumerate(result.genes.coloured):
        groups.setdefault(result.genes.clusters[gene], []).append(
            {"place": place, "symbol": result.genes.symbols[gene]}
        )
    return [{"cluster": cluster, "genes": genes} for cluster, genes in groups.items()]


def _marker_rows(result: ClusteredSample) -> list[dict[str, Any]]:
    """The first markers of each cluster, for the table."""
    if result.markers is None:
        return []
    first = result.markers[result.markers["rank"].astype(int) <= MARKERS_IN_TABLE]
    return first.to_dict("records")


def _annotation_sources(result: ClusteredSample) -> list[dict[str, str]]:
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
