"""Expression for the report: the mean of every gene in each cluster, and values of single cells for many genes."""

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse

from ..downstream.expression import input_kind, log_normalise
from ..io.gene_names import gene_symbols
from ..numerics.partitions import indicator

if TYPE_CHECKING:
    from anndata import AnnData

BLOCK_CELLS = 5_000
# Genes with values of single cells: all markers of the h5ad, then this many of the most variable genes.
MOST_VARIABLE = 2_000
# Expression is rounded to this many steps: finer ones cannot be seen, and coarser ones pack better.
STEPS = 63
# Of deflate; 9 takes several times as long and saves 6 %.
LEVEL = 6
PER_CLUSTER = 5
MOST_IN_DOTPLOT = 150


@dataclass(frozen=True)
class GeneValues:
    """Log-normalised expression of the genes.

    `symbols` (genes,); `mean` and `fraction` of expressing cells, (genes, clusters). `stored` are places of genes in
    `symbols`, `levels` their values in the drawn cells, deflated uint8 from 0 to 255 at `tops` (stored,).
    `counts` and `detected` (cells,) are the counts and the expressed genes of each cell, None where X holds no counts.
    """

    symbols: list[str]
    mean: np.ndarray
    fraction: np.ndarray
    stored: list[int]
    levels: list[bytes]
    tops: np.ndarray
    counts: np.ndarray | None
    detected: np.ndarray | None
    # The dot plot: places of genes, and the cluster that each is a marker of
    dots: list[int]
    dot_clusters: list[str]


def read_gene_values(
    adata: "AnnData", clusters: np.ndarray, n_clusters: int, cells: np.ndarray, markers: pd.DataFrame | None, room: int
) -> GeneValues:
    """Read the expression block by block, so that the counts never lie in memory as a whole.

    Parameters
    ----------
    adata
        Clustered sample with counts in X, in memory or backed.
    clusters
        Cluster of each cell, 0..n_clusters-1 or -1, shape (cells,).
    n_clusters
        Number of clusters.
    cells
        Indices of the cells whose values are kept, in the order in which the page holds them.
    markers
        Marker genes, see `downstream.markers.find_markers`; None without.
    room
        Most bytes of deflated values. Markers come first, then genes by the variance of their log-normalised values.
    """
    kind, n_genes = input_kind(adata), adata.n_vars
    total, expressing, squares = np.zeros((n_clusters, n_genes)), np.zeros((n_clusters, n_genes)), np.zeros(n_genes)
    sums, counts, detected = np.zeros(n_genes), np.zeros(adata.n_obs), np.zeros(adata.n_obs)
    for start in range(0, adata.n_obs, BLOCK_CELLS):
        raw = sparse.csr_matrix(adata.X[start : start + BLOCK_CELLS])
        rows = slice(start, start + raw.shape[0])
        counts[rows], detected[rows] = np.asarray(raw.sum(axis=1)).ravel(), np.diff(raw.indptr)
        block = _log_normalised(raw, kind)
        member = indicator(clusters[rows], n_clusters)
        total += (member @ block).toarray()
        expressing += (member @ (block > 0)).toarray()
        squares += np.asarray(block.multiply(block).sum(axis=0)).ravel()
        sums += np.asarray(block.sum(axis=0)).ravel()
    size = np.maximum(np.bincount(clusters[clusters >= 0], minlength=n_clusters), 1)[:, None]
    variance = squares / max(adata.n_obs, 1) - (sums / max(adata.n_obs, 1)) ** 2
    chosen = _dots(adata, markers)
    stored, levels, tops = _levels(adata, kind, cells, _wanted(adata, markers, variance), room, expressing.sum(axis=0))
    return GeneValues(
        symbols=[str(symbol) for symbol in gene_symbols(adata)],
        mean=(total / size).T,
        fraction=(expressing / size).T,
        stored=stored,
        levels=levels,
        tops=tops,
        counts=counts if kind == "counts" else None,
        detected=detected if kind == "counts" else None,
        dots=[int(place) for place in adata.var_names.get_indexer(chosen["gene"])],
        dot_clusters=list(chosen["cluster"].astype(str)),
    )


def _log_normalised(values: sparse.csr_matrix | np.ndarray, kind: str) -> sparse.csr_matrix:
    """As `log_normalise`; what is no count, such as a negative value, is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        block = log_normalise(values, kind)
    block.data = np.nan_to_num(block.data, nan=0.0, posinf=0.0, neginf=0.0)
    return block


def _dots(adata: "AnnData", markers: pd.DataFrame | None) -> pd.DataFrame:
    """The first 5 markers of each cluster, fewer if there are many clusters; a gene is shown at its first cluster."""
    if markers is None or not len(markers):
        return pd.DataFrame({"gene": [], "cluster": []})
    table = markers[markers["gene"].isin(adata.var_names)]
    n = max(1, min(PER_CLUSTER, MOST_IN_DOTPLOT // max(table["cluster"].nunique(), 1)))
    return table[table["rank"].astype(int) <= n].drop_duplicates("gene")


def _wanted(adata: "AnnData", markers: pd.DataFrame | None, variance: np.ndarray) -> np.ndarray:
    """Places of the genes whose values are wanted, those first that are wanted most."""
    first = np.array([], dtype=int)
    if markers is not None and len(markers):
        ranked = markers.sort_values("rank", kind="stable")["gene"]
        first = adata.var_names.get_indexer(ranked[ranked.isin(adata.var_names)])
    variable = np.argsort(-variance, kind="stable")[:MOST_VARIABLE]
    return pd.unique(np.concatenate([first, variable]))


def _levels(
    adata: "AnnData", kind: str, cells: np.ndarray, wanted: np.ndarray, room: int, expressing: np.ndarray
) -> tuple[list[int], list[bytes], np.ndarray]:
    # What a gene will take is guessed from its number of expressing cells, so that no more is read than fits.
    share = len(cells) / max(adata.n_obs, 1)
    guess = 40 + 0.02 * len(cells) + 0.7 * share * expressing[wanted]
    wanted = wanted[np.cumsum(guess) <= 1.3 * room] if room else wanted[:0]
    if not len(wanted) or not len(cells):
        return [], [], np.array([])
    place = np.full(adata.n_obs, -1)
    place[cells] = np.arange(len(cells))
    parts = []
    for start in range(0, adata.n_obs, BLOCK_CELLS):
        rows = np.flatnonzero(place[start : start + BLOCK_CELLS] >= 0)
        if len(rows):
            block = _log_normalised(adata.X[start : start + BLOCK_CELLS], kind)[rows][:, wanted].tocoo()
            parts.append((block.data, place[start + rows][block.row], block.col))
    values, row, column = (np.concatenate([part[i] for part in parts]) for i in range(3))
    matrix = sparse.csc_matrix((values, (row, column)), shape=(len(cells), len(wanted)))
    stored, levels, tops, used = [], [], [], 0
    for j, gene in enumerate(wanted):
        own = slice(matrix.indptr[j], matrix.indptr[j + 1])
        data = matrix.data[own]
        # One extreme cell must not pale all others.
        top = (float(np.quantile(data, 0.99)) if len(data) else 0.0) or 1.0
        dense = np.zeros(len(cells), dtype=np.uint8)
        steps = np.clip(np.round(data / top * STEPS), 0, STEPS)
        dense[matrix.indices[own]] = np.round(steps * (255 / STEPS)).astype(np.uint8)
        packed = zlib.compress(dense.tobytes(), LEVEL)
        if used + len(packed) > room:
            break
        used += len(packed)
        stored.append(int(gene))
        levels.append(packed)
        tops.append(top)
    return stored, levels, np.array(tops)
