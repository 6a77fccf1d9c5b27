"""Marker genes of the clusters: the Wilcoxon test of each cluster against all others, and their figures."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata.utils import make_index_unique
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..errors import InputError
from ..io.gene_names import gene_symbols
from ..numerics.partitions import indicator
from ..numerics.sampling import balanced_sample
from ..runtime.files import atomic_path
from .expression import log_normalised
from .rank_sum import RankSums, rank_sum_test
from .scanpy_slots import add_rank_genes_groups

if TYPE_CHECKING:
    from anndata import AnnData


COLUMNS = (
    "cluster",
    "rank",
    "gene",
    "symbol",
    "score",
    "log2_fold_change",
    "p_value",
    "p_adjusted",
    "fraction_in",
    "fraction_out",
)
# What `uns["rank_genes_groups"]` is made from
RANKED = ("cluster", "gene", "score", "log2_fold_change", "p_value", "p_adjusted")
MAX_P = 0.05
MIN_FRACTION = 0.1
MAX_CELLS = 20_000
MIN_CLUSTER = 2
# Of this many genes per cluster the figures and the report tell.
SHOWN = 5
HEATMAP_CELLS = 60
# Area of a dot of the dot plot, in points squared, where all cells express the gene, and shares that the legend shows
DOT = 90.0
SHARES = (0.25, 0.5, 0.75, 1.0)
# Of this many genes per cluster the final h5ad tells; the table has all.
KEPT = 50


def find_markers(
    adata: "AnnData", *, max_p: float = MAX_P, min_fraction: float = MIN_FRACTION, max_cells: int = MAX_CELLS
) -> pd.DataFrame:
    """Genes that are higher in a cluster than in the other cells (Wilcoxon rank-sum test).

    Parameters
    ----------
    adata
        Clustered sample: counts in X, `obs["cicl"]`.
    max_p
        Adjusted p values (Benjamini and Hochberg, over the genes tested, in each cluster) up to this are kept.
    min_fraction
        Genes are tested that at least this share of the cells of one cluster express; of a cluster only those are kept
        that it itself expresses so.
    max_cells
        Of more cells a seeded random part is tested, equally many of each cluster and all of the small ones.

    Returns
    -------
    pandas.DataFrame
        One row per cluster and gene, best first within a cluster (`rank` from 1): `gene` (the var_name), `symbol`,
        `score` (z of the test, corrected for ties), `log2_fold_change` of the mean normalised expression (inside over
        outside; natural numbers, not logarithms, are averaged), `p_value`, `p_adjusted`, `fraction_in` and
        `fraction_out` (cells that express the gene). Clusters of fewer than 2 cells have no rows, nor has a sample with
        one cluster. `attrs` notes the settings and the cells tested.

    Notes
    -----
    Clusters were found in the same expression that is tested here, so the p values rank genes; they do not show that a
    cluster exists.
    """
    if "cicl" not in adata.obs:
        raise InputError("the sample has no clusters (no column 'cicl' in obs): run the clustering step first")
    clusters = adata.obs["cicl"].astype(str).to_numpy()
    sizes = pd.Series(clusters).value_counts()
    cells = balanced_sample(clusters, max_cells)
    settings = {
        "test": "wilcoxon",
        "max_p": max_p,
        "min_fraction": min_fraction,
        "n_cells": len(cells),
        "left_out": [str(name) for name in sizes.index[sizes < MIN_CLUSTER]],
    }
    tested = [str(name) for name in adata.obs["cicl"].cat.categories if sizes.get(str(name), 0) >= MIN_CLUSTER]
    table = pd.DataFrame(columns=COLUMNS)
    if len(tested) and len(sizes) > 1:
        expression = log_normalised(adata, cells=cells)
        expression.var["symbol"] = gene_symbols(adata)
        expression.obs["cicl"] = pd.Categorical(clusters[cells], categories=list(map(str, sizes.index)))
        expression = expression[:, _expressed(expression, tested, min_fraction)].copy()
        change = _fold_changes(expression, tested)
        names = list(map(str, sizes.index))
        tests = rank_sum_test(expression.X, expression.obs["cicl"].cat.codes.to_numpy().astype(np.int64), len(names))
        found = {name: _of_cluster(expression, tests, names.index(name), change[name]) for name in tested}
        parts = [_kept(table, name, max_p, min_fraction) for name, table in found.items()]
        table = pd.concat([part for part in parts if len(part)] or [table], ignore_index=True)
        settings["ranked"] = _ranked(found)
    table.attrs = settings
    return table


def _expressed(expression: "AnnData", clusters: list[str], min_fraction: float) -> np.ndarray:
    """Which genes at least `min_fraction` of the cells of some cluster express, (genes,) bool."""
    inside, found = expression.obs["cicl"].to_numpy(), np.zeros(expression.n_vars, dtype=bool)
    for name in clusters:
        rows = expression.X[np.flatnonzero(inside == name)]
        found |= rows.getnnz(axis=0) >= max(min_fraction * rows.shape[0], 1)
    return found if found.any() else np.ones_like(found)


def _fold_changes(expression: "AnnData", clusters: list[str]) -> dict[str, pd.Series]:
    """log2 of the mean normalised expression of each gene in a cluster over that in all other cells, by cluster.

    scanpy's own value is of exp(mean log), which is no fold change of means: it exaggerates sparse genes. As in Seurat
    5, one is added to each sum, so that a gene that the others lack has a finite value.
    """
    inside = expression.obs["cicl"].to_numpy()
    linear = sp.csr_matrix(expression.X, copy=True)
    linear.data = np.expm1(linear.data.astype(np.float64))
    total, found = np.asarray(linear.sum(axis=0)).ravel(), {}
    for name in clusters:
        rows = np.flatnonzero(inside == name)
        own = np.asarray(linear[rows].sum(axis=0)).ravel()
        others = len(inside) - len(rows)
        change = np.log2((own + 1) / len(rows)) - np.log2((np.clip(total - own, 0, None) + 1) / max(others, 1))
        found[name] = pd.Series(change, index=expression.var_names)
    return found


def _of_cluster(expression: "AnnData", tests: RankSums, code: int, change: pd.Series) -> pd.DataFrame:
    """All genes of a cluster, highest score first, with the columns of the table but `cluster` and `rank`."""
    order = np.argsort(-tests.z[code], kind="stable")
    size = np.bincount(expression.obs["cicl"].cat.codes, minlength=len(tests.z))
    inside, all_cells = tests.expressing[code], tests.expressing.sum(0)
    columns = {
        "gene": expression.var_names.to_numpy(dtype=str),
        "symbol": expression.var["symbol"].to_numpy(dtype=str),
        "score": tests.z[code],
        "log2_fold_change": change.to_numpy(),
        "p_value": tests.p[code],
        "p_adjusted": tests.p_adjusted[code],
        "fraction_in": inside / size[code],
        "fraction_out": (all_cells - inside) / max(size.sum() - size[code], 1),
    }
    return pd.DataFrame({name: values[order] for name, values in columns.items()})


def _kept(found: pd.DataFrame, name: str, max_p: float, min_fraction: float) -> pd.DataFrame:
    """The markers among the genes of a cluster."""
    kept = (found["score"] > 0) & (found["p_adjusted"] <= max_p) & (found["fraction_in"] >= min_fraction)
    found = found[kept & (found["log2_fold_change"] > 0)].reset_index(drop=True)
    found["cluster"], found["rank"] = name, np.arange(1, len(found) + 1)
    return found[list(COLUMNS)]


def _ranked(found: dict[str, pd.DataFrame]) -> dict[str, np.ndarray]:
    """By column, the genes of each cluster with the highest scores, markers or not, as scanpy ranks them.

    Arrays: pandas copies the settings of a table, element by element where they are lists, with each operation on it.
    """
    best = pd.concat([table.head(KEPT).assign(cluster=name) for name, table in found.items()])
    best["log2_fold_change"] = best["log2_fold_change"].round(4)
    texts = ("cluster", "gene")
    return {name: best[name].to_numpy(dtype=str if name in texts else np.float64) for name in RANKED}


def top_markers(table: pd.DataFrame, n: int = SHOWN) -> dict[str, list[str]]:
    """The first `n` genes of each cluster that has any: cluster -> var_names."""
    return {
        str(name): list(part.sort_values("rank")["gene"].head(n)) for name, part in table.groupby("cluster", sort=False)
    }


def write_markers(table: pd.DataFrame, path: str | os.PathLike) -> None:
    """Write the table as CSV, p values in full precision."""
    rounded = table.copy()
    for column in ("score", "log2_fold_change", "fraction_in", "fraction_out"):
        rounded[column] = rounded[column].astype(float).round(4)
    with atomic_path(path) as temporary:
        rounded.to_csv(temporary, index=False)


def markers_record(table: pd.DataFrame, sample_id: str) -> dict[str, Any]:
    """What later steps need of the markers: settings, and the first 50 genes of each cluster by column."""
    top = table[table["rank"].astype(int) <= KEPT] if len(table) else table
    settings = {name: value for name, value in table.attrs.items() if name != "ranked"}
    ranked = {name: list(map(_plain, table.attrs.get("ranked", {}).get(name, ()))) for name in RANKED}
    return {
        "id": sample_id,
        "settings": settings,
        "table": {name: list(top[name]) for name in COLUMNS},
        "ranked": ranked,
    }


def _plain(value: Any) -> str | float:
    return str(value) if isinstance(value, str) else float(value)


def attach_markers(adata: "AnnData", record: dict[str, Any]) -> None:
    """Put a record of markers to `uns["cicl"]["markers"]` (settings and `table`) and `uns["rank_genes_groups"]`."""
    settings = {name: value for name, value in record["settings"].items() if value not in ([], None)}
    table = pd.DataFrame(record["table"], columns=list(COLUMNS))
    table = table.astype({"cluster": str, "gene": str, "symbol": str, "rank": int})
    table.index = table.index.astype(str)
    adata.uns["cicl"]["markers"] = {**settings, "table": table}
    if len(record.get("ranked", {}).get("cluster", [])):
        add_rank_genes_groups(adata, pd.DataFrame(record["ranked"]))


def plot_markers(adata: "AnnData", table: pd.DataFrame, outdir: str | os.PathLike, sample_id: str) -> list[Path]:
    """Draw `<id>.markers_dotplot.png` and `<id>.markers_heatmap.png` of the top markers; nothing where there are none.

    The dot plot shows the mean expression (scaled to 0 to 1 in each gene) and the share of expressing cells in each
    cluster; the heat map single cells, at most 60 of each cluster.
    """
    groups = top_markers(table, SHOWN)
    if not groups:
        return []
    cells = balanced_sample(adata.obs["cicl"].astype(str).to_numpy(), MAX_CELLS)
    expression = log_normalised(adata, cells=cells)
    expression.obs["cicl"] = expression.obs["cicl"].cat.remove_unused_categories()
    expression.var["shown"] = _unique(gene_symbols(adata))
    shown = expression.var["shown"]
    few = expression[_some_cells(expression.obs["cicl"].cat.codes.to_numpy(), HEATMAP_CELLS)].copy()
    return [
        _save(_dotplot(expression, groups, shown), Path(outdir) / f"{sample_id}.markers_dotplot.png"),
        _save(_heatmap(few, groups, shown), Path(outdir) / f"{sample_id}.markers_heatmap.png"),
    ]


def _unique(symbols: np.ndarray) -> list[str]:
    return list(make_index_unique(pd.Index(symbols).astype(object)))


def _some_cells(clusters: np.ndarray, n: int) -> np.ndarray:
    """Indices of at most `n` random cells of each cluster, cluster by cluster."""
    order = np.random.default_rng(0).permutation(len(clusters))
    return np.concatenate([order[clusters[order] == code][:n] for code in np.unique(clusters)])


def _dotplot(expression: "AnnData", groups: dict[str, list[str]], shown: pd.Series) -> Figure:
    genes = [gene for members in groups.values() for gene in members]
    clusters, values = expression.obs["cicl"], sp.csr_matrix(expression[:, genes].X)
    names, codes = list(map(str, clusters.cat.categories)), clusters.cat.codes.to_numpy()
    member = indicator(codes, len(names))
    size = np.bincount(codes, minlength=len(names))[:, None]
    mean, share = (member @ values).toarray() / size, (member @ (values > 0)).toarray() / size
    mean = (mean - mean.min(0)) / np.maximum(np.ptp(mean, axis=0), 1e-9)
    width, height = 0.24 * len(genes), 0.3 * len(names)
    figure = Figure(figsize=(width + 2.6, height + 2.2))
    ax = figure.add_axes((0.5 / (width + 2.6), 1 / (height + 2.2), width / (width + 2.6), height / (height + 2.2)))
    row, column = np.indices(mean.shape).reshape(2, -1)
    dots = ax.scatter(
        column,
        row,
        s=DOT * share.ravel(),
        c=mean.ravel(),
        cmap="Reds",
        vmin=0,
        vmax=1,
        edgecolors="#666666",
        linewidths=0.4,
    )
    ax.set_xlim(-0.7, len(genes) - 0.3)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_yticks(np.arange(len(names)), names, fontsize=8)
    ax.set_xticks(np.arange(len(genes)), [shown[gene].replace("$", r"\$") for gene in genes], rotation=90, fontsize=8)
    ax.set_ylabel("Cluster", fontsize=9)
    ax.tick_params(length=0)
    start = 0
    for name, members in groups.items():  # which cluster the genes below are markers of
        ends = [start - 0.35, start + len(members) - 0.65]
        ax.plot(ends, [-0.75] * 2, color="#222222", linewidth=1, clip_on=False)
        ax.text(sum(ends) / 2, -0.85, name, ha="center", va="bottom", fontsize=8)
        start += len(members)
    sizes = [
        Line2D([], [], marker="o", linestyle="", color="#888888", markersize=(DOT * part) ** 0.5) for part in SHARES
    ]
    ax.legend(
        sizes,
        [f"{part:.0%}" for part in SHARES],
        title="Cells that\nexpress it",
        loc="upper left",
        bbox_to_anchor=(1.01, 1.02),
        frameon=False,
        fontsize=8,
        title_fontsize=8,
    )
    bar = figure.colorbar(dots, cax=ax.inset_axes((1 + 1.3 / width, 0, 0.12 / width, 1)))
    bar.set_label("Mean expression\n(scaled per gene)", fontsize=8)
    bar.ax.tick_params(labelsize=8, length=2)
    bar.outline.set_visible(False)
    return figure


def _heatmap(expression: "AnnData", groups: dict[str, list[str]], shown: pd.Series) -> Figure:
    genes = [gene for members in groups.values() for gene in members]
    values = expression[:, genes].X.toarray()
    top = np.quantile(values, 0.98, axis=0)
    values = np.clip(values / np.where(top > 0, top, np.maximum(values.max(axis=0), 1e-9)), 0, 1)
    clusters = expression.obs["cicl"].astype(str).to_numpy()
    figure = Figure(figsize=(9, max(3.5, 0.17 * len(genes) + 1.2)), layout="constrained")
    ax = figure.subplots()
    image = ax.imshow(values.T, aspect="auto", interpolation="nearest", cmap="magma", vmin=0, vmax=1)
    ax.set_yticks(np.arange(len(genes)), [shown[gene].replace("$", r"\$") for gene in genes], fontsize=7)
    ends = np.flatnonzero(np.r_[clusters[1:] != clusters[:-1], True]) + 1
    starts = np.r_[0, ends[:-1]]
    ax.set_xticks((starts + ends) / 2 - 0.5, clusters[starts], fontsize=8)
    for end in ends[:-1]:
        ax.axvline(end - 0.5, color="white", linewidth=1)
    ax.tick_params(length=0)
    ax.set_xlabel(f"Cells by cluster (at most {HEATMAP_CELLS} of each)", fontsize=9)
    bar = figure.colorbar(image, ax=ax, shrink=0.6, aspect=18, pad=0.01)
    bar.set_label("Expression (scaled per gene)", fontsize=8)
    bar.outline.set_visible(False)
    return figure


def _save(figure: Any, path: Path) -> Path:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150, bbox_inches="tight")
    return path
