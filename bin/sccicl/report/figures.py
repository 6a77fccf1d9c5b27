"""Figures of one clustered sample as PNG files."""

import os
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps, patheffects
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from ..downstream.palette import CONFIDENCE, MISSING, colours, matched_colours
from ..downstream.umap_tsne import umap
from ..runtime.files import atomic_path
from .sample import Categories, ClusteredSample, overlap_of, read_sample

if TYPE_CHECKING:
    from anndata import AnnData


DPI = 160
PANEL = 4.2
MAX_LEGEND = 40
MAX_NAME = 36
INK, FAINT = "#222222", "#8A8A8A"


def plot_sample(
    adata: "AnnData",
    outdir: str | os.PathLike,
    sample_id: str,
    label_col: str | None = None,
    batch_col: str | None = None,
    metrics: dict[str, Any] | None = None,
) -> list[Path]:
    """Draw the figures of a sample; a figure that has nothing to show is left out.

    `<id>.umap.png` and, where t-SNE was asked for, `<id>.tsne.png` (cells by cluster, confidence, label and batch),
    `<id>.training.png` (losses and the share of pseudo-labels that changed), `<id>.sizes.png` (cells per cluster,
    mean confidence, and the scores of the numbers of clusters that were compared), `<id>.evolution.png` (UMAP at
    some epochs). What each needs is read as `result.read_sample` describes.

    Returns
    -------
    The files written.

    Raises
    ------
    InputError
        If the sample has no clusters or a column does not exist.
    """
    result = read_sample(adata, metrics, sample_id=sample_id, label_col=label_col, batch_col=batch_col)
    figures = {
        "umap": _draw_layout(result, "UMAP"),
        "tsne": _draw_layout(result, "t-SNE"),
        "training": _draw_training(result),
        "sizes": _draw_sizes(result),
        "evolution": _draw_evolution(result),
    }
    written = []
    for name, figure in figures.items():
        if figure is None:
            continue
        path = Path(outdir) / f"{sample_id}.{name}.png"
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format="png", dpi=DPI)
        written.append(path)
    return written


def _draw_layout(result: ClusteredSample, layout: str) -> Figure | None:
    if layout not in result.layouts:
        return None
    xy = result.layouts[layout]
    panels: list[tuple[str, Categories | None, list[str]]] = [("Cluster", result.clusters, _colours(result.clusters))]
    for title, values in result.annotations.items():
        panels.append((title, values, matched_colours(overlap_of(result.clusters, values))))
    if result.labels is not None:
        panels.append((result.labels.column, result.labels, matched_colours(result.overlap)))
    if result.confidence is not None:
        panels.append(("Confidence", None, []))
    if result.batches is not None:
        panels.append((result.batches.column, result.batches, _colours(result.batches)))
    columns = min(len(panels), 2)
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(columns * (PANEL + 1.9), rows * PANEL + 0.5), layout="constrained")
    figure.suptitle(_plain(f"{result.id}: {result.n_cells:,} cells, {layout}"), fontsize=12, color=INK)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    for ax, (title, categories, shades) in zip(axes, panels, strict=False):
        if categories is None:
            _scatter_confidence(figure, ax, xy, result)
        else:
            _scatter_categories(ax, xy, categories, shades, numbered=categories is result.clusters)
        ax.set_title(_plain(_short(title)), fontsize=10, loc="left", color=INK)
        _bare(ax, layout)
    return figure


def _colours(categories: Categories) -> list[str]:
    return colours(len(categories.names))


def _scatter(ax: Axes, xy: np.ndarray, **kwargs: Any) -> Any:
    # Drawn in a random order, so that no category covers the others; rasterised, so that a vector copy stays small.
    size = float(np.clip(16_000 / max(len(xy), 1), 0.4, 22))
    return ax.scatter(xy[:, 0], xy[:, 1], s=size, linewidths=0, rasterized=True, **kwargs)


def _shuffle(n: int) -> np.ndarray:
    return np.random.default_rng(0).permutation(n)


def _scatter_categories(
    ax: Axes, xy: np.ndarray, categories: Categories, shades: list[str], *, numbered: bool, legend: bool = True
) -> None:
    order = _shuffle(len(xy))
    # A code of -1 (missing) picks the last colour.
    _scatter(ax, xy[order], c=np.array([*shades, MISSING])[categories.codes[order]])
    if numbered:
        for code, name in enumerate(categories.names):
            if (inside := categories.codes == code).any():
                x, y = _middle(xy[inside])
                text = ax.text(x, y, _short(name), ha="center", va="center", fontsize=9, fontweight="bold", color=INK)
                text.set_parse_math(False)
                text.set_path_effects([patheffects.withStroke(linewidth=2.5, foreground="white")])
    if legend:
        _legend(ax, categories, shades)


def _middle(xy: np.ndarray) -> np.ndarray:
    """Position of the cell nearest to the median: the number then lies on cells, also in a crescent."""
    return xy[((xy - np.median(xy, axis=0)) ** 2).sum(1).argmin()]


def _scatter_confidence(figure: Figure, ax: Axes, xy: np.ndarray, result: ClusteredSample) -> None:
    order = _shuffle(len(xy))
    points = _scatter(ax, xy[order], c=result.confidence[order], cmap=CONFIDENCE, vmin=0, vmax=result.top_confidence)
    bar = figure.colorbar(points, ax=ax, shrink=0.6, aspect=18, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, length=2)


def _legend(ax: Axes, categories: Categories, shades: list[str]) -> None:
    names, shown = [_short(name) for name in categories.names[:MAX_LEGEND]], list(shades[:MAX_LEGEND])
    if len(categories.names) > MAX_LEGEND:
        names.append(f"and {len(categories.names) - MAX_LEGEND} more")
        shown.append("none")
    if (categories.codes < 0).any():
        names.append("not given")
        shown.append(MISSING)
    handles = [Line2D([], [], marker="o", linestyle="", markersize=5, color=shade) for shade in shown]
    legend = ax.legend(
        handles,
        [str(i) for i in range(len(names))],
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        frameon=False,
        fontsize=7.5 if len(names) <= 22 else 6,
        ncols=1 if len(names) <= 22 or max(map(len, names)) > 14 else 2,
        handletextpad=0.2,
        labelspacing=0.35,
        columnspacing=0.8,
    )
    # Set afterwards, as a legend drops names that begin with an underscore.
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_parse_math(False)
        text.set_text(name)


def _bare(ax: Axes, layout: str) -> None:
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_aspect("equal", adjustable="datalim")
    ax.set_xlabel(f"{layout} 1", fontsize=8, color=FAINT, loc="left")
    ax.set_ylabel(f"{layout} 2", fontsize=8, color=FAINT, loc="bottom")
    for side in ax.spines.values():
        side.set_visible(False)


def _draw_training(result: ClusteredSample) -> Figure | None:
    losses = {
        name: result.history[key]
        for key, name in {"loss": "total", "instance_loss": "instance", "cluster_loss": "cluster-aware"}.items()
        if key in result.history
    }
    change = result.history.get("label_change")
    n = bool(losses) + (change is not None)
    if n == 0:
        return None
    figure = Figure(figsize=(5.2 * n, 3.6), layout="constrained")
    figure.suptitle(_plain(f"{result.id}: training"), fontsize=12, color=INK)
    axes = list(figure.subplots(1, n, squeeze=False)[0])
    if losses:
        ax = axes.pop(0)
        for (name, values), shade in zip(losses.items(), colours(len(losses)), strict=True):
            _curve(ax, values, color=shade, label=name)
        _axes(ax, "Epoch", "Loss")
        ax.legend(frameon=False, fontsize=8)
    if change is not None:
        ax = axes.pop(0)
        _curve(ax, change, color=colours(3)[2])
        ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
        ax.set_ylim(bottom=0)
        _axes(ax, "Epoch", "Pseudo-labels that changed")
    for ax in figure.axes:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def _curve(ax: Axes, values: np.ndarray, **kwargs: Any) -> None:
    few = {"marker": "o", "markersize": 3} if len(values) < 30 else {}
    ax.plot(np.arange(1, len(values) + 1), values, linewidth=1.6, **few, **kwargs)


def _draw_evolution(result: ClusteredSample) -> Figure | None:
    """Snapshots of the training, each laid out from where the one before ended: clusters stay where they were."""
    if result.record.evolution is None:
        return None
    epochs, embeddings, clusters = (result.record.evolution[name] for name in ("epoch", "embedding", "clusters"))
    names = result.clusters.names
    columns = min(len(epochs), 3)
    rows = -(-len(epochs) // columns)
    figure = Figure(figsize=(columns * PANEL, rows * PANEL + 0.5), layout="constrained")
    figure.suptitle(_plain(f"{result.id}: {len(clusters[0]):,} cells over the training, UMAP"), fontsize=12, color=INK)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes[len(epochs) :]:
        ax.set_axis_off()
    xy = None
    for i, (ax, epoch) in enumerate(zip(axes, epochs, strict=False)):
        xy = umap(embeddings[i], start=xy)
        _scatter_categories(
            ax, xy, Categories("cicl", names, clusters[i]), _colours(result.clusters), numbered=True, legend=False
        )
        moved = "" if i == 0 else f", {(clusters[i] != clusters[i - 1]).mean():.1%} of the cells changed"
        ax.set_title(f"Epoch {epoch}{moved}", fontsize=10, loc="left", color=INK)
        _bare(ax, "UMAP")
    return figure


def _draw_sizes(result: ClusteredSample) -> Figure:
    sizes, confidence, evidence = result.clusters.counts, result.mean_confidence, result.k_evidence
    n = len(sizes)
    widths = [max(4.5, 0.28 * n + 1.5)] + ([4.0] if evidence else [])
    figure = Figure(figsize=(sum(widths), 3.8), layout="constrained")
    figure.suptitle(_plain(f"{result.id}: {n} clusters of {result.n_cells:,} cells"), fontsize=12, color=INK)
    axes = figure.subplots(1, len(widths), squeeze=False, width_ratios=widths)[0]
    shades = (
        _colours(result.clusters) if confidence is None else _shades(figure, axes[0], confidence, result.top_confidence)
    )
    bars = axes[0].bar(np.arange(n), sizes, color=shades, width=0.78)
    if n <= 30:
        axes[0].bar_label(bars, [f"{size:,}" for size in sizes], fontsize=7, color=INK, padding=2)
    names = [_plain(_short(name)) for name in result.clusters.names]
    upright = max(map(len, names)) > 3
    axes[0].set_xticks(np.arange(n), names, rotation=90 if upright else 0, fontsize=8 if n <= 40 else 6)
    _axes(axes[0], "Cluster", "Cells")
    if evidence:
        _draw_evidence(axes[1], evidence, n)
    return figure


def _shades(figure: Figure, ax: Axes, confidence: np.ndarray, top: float) -> np.ndarray:
    mappable = ScalarMappable(cmap=colormaps[CONFIDENCE])
    mappable.set_clim(0, top)
    bar = figure.colorbar(mappable, ax=ax, shrink=0.8, aspect=18, pad=0.02)
    bar.set_label("Mean confidence", fontsize=8)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, length=2)
    return mappable.to_rgba(np.nan_to_num(confidence))


def _draw_evidence(ax: Axes, evidence: tuple[np.ndarray, np.ndarray, str], chosen: int) -> None:
    candidates, score, criterion = evidence
    ax.plot(candidates, score, color=colours(1)[0], marker="o", markersize=3.5, linewidth=1.6)
    ax.axvline(chosen, color=FAINT, linestyle="--", linewidth=1)
    ax.set_title(f"{chosen} chosen", fontsize=9, color=FAINT)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    _axes(ax, "Number of clusters", _plain("\n".join(wrap(criterion, MAX_NAME))))


def _axes(ax: Axes, x: str, y: str) -> None:
    ax.set_xlabel(x, fontsize=9)
    ax.set_ylabel(y, fontsize=9)
    ax.tick_params(labelsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    ax.margins(y=0.12)


def _short(name: str) -> str:
    return name if len(name) <= MAX_NAME else name[: MAX_NAME - 1] + "…"


def _plain(text: str) -> str:
    # A dollar sign in a name must not start a formula.
    return text.replace("$", r"\$")
