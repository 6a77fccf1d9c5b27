"""One self-contained HTML page for a run: an overview of the samples, then every sample in detail."""

import json
import math
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np
from markupsafe import Markup, escape

from ..downstream.annotation import TITLES
from ..downstream.palette import colours, readable_colours
from ..errors import one_line
from ..io.record import Record
from ..runtime.files import atomic_path
from .answer import Answer, answer
from .methods_text import methods_text, references
from .notes import n_open, notes
from .page_data import colourings, gene_text, layouts, page_data, tree
from .qc_section import cluster_quality, origin, origin_data
from .sample import Categories, ClusteredSample, read_sample

if TYPE_CHECKING:
    from anndata import AnnData


# Points of a map, and of all maps of a run: these keep the file below some 40 MB, which browsers open in seconds.
MAX_POINTS = 200_000
MAX_POINTS_RUN = 400_000
MIN_POINTS = 2_000
# Bytes of gene values in single cells, of all samples of a run (a third more in the file, as base64)
MAX_GENE_BYTES = 16_000_000
MIN_GENE_BYTES = 200_000
SCRIPTS = ("core.js", "map.js", "charts.js", "sample.js", "page.js")
MARKERS_IN_TABLE = 10
MOST_WARNINGS = 5


def write_report(
    samples: Iterable[tuple["AnnData | str | os.PathLike", dict[str, Any]]],
    path: str | os.PathLike,
    title: str = "CICL report",
    *,
    label_col: str | None = None,
    batch_col: str | None = None,
    files_at: str = "",
    summary: str | os.PathLike | None = None,
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
        Columns of `obs` for every sample; default: as each sample's metrics say (see `sample.read_sample`).
    files_at
        Where the files of a sample lie, seen from the page, such as `../{id}/`; the page links to them.
    summary
        A text file to write as well: what was found, one line for each sample, then the warnings (`summary_text`).

    Returns
    -------
    The file written. Above 200,000 cells per sample, or 400,000 per run, a seeded random part of the cells is drawn,
    and the page says so; all numbers are of all cells.

    Raises
    ------
    InputError
        If a sample has no clusters or a column does not exist.
    """
    samples = list(samples)
    limit = int(min(MAX_POINTS, max(MIN_POINTS, MAX_POINTS_RUN // max(len(samples), 1))))
    room = int(max(MIN_GENE_BYTES, MAX_GENE_BYTES // max(len(samples), 1)))
    results = [
        read_sample(source, metrics, label_col=label_col, batch_col=batch_col, drawn=limit, room=room)
        for source, metrics in samples
    ]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(str(_templates())), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["number"] = _number
    environment.filters["code"] = _code
    page = environment.get_template("report.html").render(
        title=title,
        samples=[_sample(index, result, files_at) for index, result in enumerate(results)],
        any_labels=any(result.metrics.get("ari") is not None for result in results),
        methods=methods_text(results),
        references=references(results),
        style=_source("report.css"),
        readable=Markup(embed({ground: readable_colours(ground) for ground in ("light", "dark")})),
        script=Markup("(() => {\n" + "\n".join(_source(name) for name in SCRIPTS) + "})();"),
    )
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    if summary is not None:
        with atomic_path(summary) as temporary:
            temporary.write_text(summary_text(results), encoding="utf-8")
    return Path(path)


def summary_text(results: list[ClusteredSample]) -> str:
    """What was found, one line for each sample, then their warnings with the sample's name, for the end of a run.

    A sample has at most 5 warnings here, and the report all of them.
    """
    lines = [answer(result).sentence for result in results]
    for result in results:
        told = result.warnings
        if len(told) > MOST_WARNINGS:
            told = [*told[: MOST_WARNINGS - 1], f"{len(told) - MOST_WARNINGS + 1} more warnings are in the report"]
        lines += [f"WARNING: {result.id}: {warning}" for warning in told]
    return "".join(f"{one_line(line)}\n" for line in lines)


def _templates() -> Path:
    return Path(__file__).parent / "templates"


def _source(name: str) -> Markup:
    return Markup((_templates() / name).read_text(encoding="utf-8"))


def embed(value: Any) -> str:
    """JSON that can stand within a `script` element: no string in it can end or open an element."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _code(text: str) -> Markup:
    """Text with what stands between backticks as code."""
    parts = [escape(part) for part in text.split("`")]
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if i % 2 and i < len(parts) - 1 else part for i, part in enumerate(parts)
    )


def _number(value: Any, digits: int = 3) -> str:
    return "–" if _unknown(value) else f"{float(value):.{digits}f}"


def _unknown(value: Any) -> bool:
    return value is None or not math.isfinite(value)


def _sample(index: int, result: ClusteredSample, files_at: str) -> dict[str, Any]:
    """What the template says about a sample; `data` is what the script draws."""
    metrics, record = result.metrics, result.record
    # The metrics were written before the figures were drawn, whose time is in the h5ad.
    seconds, memory = (
        {name: stage[key] for name, stage in record.stages.items() if key in stage} | dict(metrics.get(key) or {})
        for key in ("seconds", "peak_memory_mb")
    )
    found = answer(result)
    told = notes(result, found)
    genes = result.genes
    return {
        "anchor": f"sample-{index}",
        "id": result.id,
        "answer": found,
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
        "device": re.sub("^cpu", "CPU", metrics.get("device") or record.device or "–"),
        "notes": told,
        "n_open": n_open(told),
        "strip": _strip(result.clusters),
        "clusters": _cluster_rows(result, found),
        "n_drawn": len(result.drawn),
        "layouts": list(layouts(result, found)),
        "colourings": [item["title"] for item in colourings(result)],
        "n_stored": len(genes.stored) if genes else 0,
        "n_searched": len(genes.symbols) if genes else 0,
        "gene_mb": f"{sum(map(len, genes.levels)) * 4 / 3e6:.1f}" if genes else "0",
        "gene_text": Markup(gene_text(result)),
        "has_dots": bool(genes and genes.dots),
        "origin": origin(result),
        "quality": cluster_quality(result),
        "ilisi": metrics.get("ilisi"),
        "annotations": _annotation_sources(result),
        "has_stability": result.stability is not None,
        "markers": _marker_rows(result),
        "file": files_at.format(id=result.id) if files_at else None,
        "batch_col": result.batches.column if result.batches else None,
        "has": {
            "history": any(key != "label_change" for key in result.history),
            # Pseudo-labels that stay fixed in the training have no curve to show.
            "change": bool(np.nansum(result.history.get("label_change", 0)) > 0),
            "evidence": result.k_evidence[2] if result.k_evidence else None,
            "labels": result.labels is not None,
            "tree": tree(result) is not None,
            "ranks": origin_data(result)["ranks"] is not None,
        },
        "parameters": _parameters(record),
        "versions": _flat(metrics.get("versions") or record.versions),
        "data": Markup(embed(page_data(result, found))),
    }


def _parameters(record: Record) -> dict[str, str]:
    seed = {} if record.seed is None else {"seed": record.seed}
    return _flat({**record.prepare, **record.params, **seed})


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
    grounds = [readable_colours(ground) for ground in ("light", "dark")]
    return [
        {
            "name": name,
            "size": int(size),
            "width": f"{100 * size / total:.3f}",
            "style": ";".join(
                f"--{ground}:{readable.get(shade, shade)}" for ground, readable in zip(("l", "d"), grounds, strict=True)
            ),
        }
        for name, size, shade in zip(clusters.names, clusters.counts, shades, strict=True)
    ]


def _cluster_rows(result: ClusteredSample, found: Answer) -> list[dict[str, Any]]:
    confidence, overlap, stability = result.mean_confidence, result.overlap, result.stability
    rows = []
    for i, item in enumerate(_strip(result.clusters)):
        row = {
            **item,
            "share": f"{float(item['width']):.1f}",
            "confidence": None if confidence is None else confidence[i],
            "stability": None if stability is None else stability[i],
            "annotations": [_label_of(result, title, item["name"]) for title in result.annotations],
            "markers": result.markers_of(item["name"], 3),
            "reasons": None if found.reasons is None else found.reasons[item["name"]],
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
        source = result.record.sources.get(method)
        if source is None:
            continue
        genes = "{file}: {n_types} cell types, {n_genes} of {n_features} genes detected"
        told = {
            "celltypist": f"{genes}. Each cluster gets the label of most of its cells.",
            "marker_list": f"{genes}. Each cluster gets the best-scoring type.",
            "reference": "{file}: {n_cells} cells with {n_types} labels ({column}). {n_unknown} cells with a "
            "confidence below {min_confidence} are unknown.",
            "names": "{file}: names that you gave.",
        }[method]
        try:
            found.append({"title": title, "text": told.format_map(source.to_uns())})
        except KeyError:
            continue
    return found
