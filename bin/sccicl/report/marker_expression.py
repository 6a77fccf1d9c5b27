"""Expression of the marker genes that the report shows, read block by block so that the counts never lie in memory."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..downstream.expression import input_kind, log_normalise
from ..io.gene_names import gene_symbols

if TYPE_CHECKING:
    from anndata import AnnData


BLOCK_CELLS = 5_000
PER_CLUSTER = 5
MOST_GENES = 150
MOST_COLOURED = 40


@dataclass(frozen=True)
class ShownGenes:
    """Marker genes and their expression.

    `symbols` (genes,) and `clusters` (genes,), the cluster that each is a marker of; `mean` log-normalised expression
    and `fraction` of expressing cells, (clusters, genes); `levels` (cells, coloured genes), uint8 from 0 to 255 at
    `top` (coloured genes,), of the genes at `coloured`.
    """

    symbols: list[str]
    clusters: list[str]
    mean: np.ndarray
    fraction: np.ndarray
    coloured: list[int]
    levels: np.ndarray
    top: np.ndarray


def shown_genes(adata: "AnnData", table: pd.DataFrame, n_coloured: int = MOST_COLOURED) -> ShownGenes | None:
    """Read the expression of the first markers of each cluster; None where there are none.

    Parameters
    ----------
    adata
        Clustered sample with counts in X, in memory or backed.
    table
        Its markers, see `markers.find_markers`.
    n_coloured
        Most genes whose expression is kept for every cell.
    """
    chosen = _chosen(adata, table)
    if chosen.empty:
        return None
    columns = adata.var_names.get_indexer(chosen["gene"])
    codes, k = adata.obs["cicl"].cat.codes.to_numpy(), len(adata.obs["cicl"].cat.categories)
    coloured = _coloured(chosen, n_coloured)
    total, expressing = np.zeros((k, len(columns))), np.zeros((k, len(columns)))
    values = np.zeros((adata.n_obs, len(coloured)), dtype=np.float32)
    kind = input_kind(adata)
    for start in range(0, adata.n_obs, BLOCK_CELLS):
        block = log_normalise(adata.X[start : start + BLOCK_CELLS], kind)[:, columns].toarray()
        own = codes[start : start + BLOCK_CELLS]
        np.add.at(total, own[own >= 0], block[own >= 0])
        np.add.at(expressing, own[own >= 0], block[own >= 0] > 0)
        values[start : start + len(block)] = block[:, coloured]
    size = np.maximum(np.bincount(codes[codes >= 0], minlength=k), 1)[:, None]
    # One extreme cell must not darken all others.
    top = np.array([np.quantile(column[column > 0], 0.99) if (column > 0).any() else 1.0 for column in values.T])
    levels = np.clip(np.round(values / top * 255), 0, 255).astype(np.uint8)
    symbols = pd.Series(gene_symbols(adata), index=adata.var_names)
    return ShownGenes(
        symbols=[str(symbols.iloc[i]) for i in columns],
        clusters=list(chosen["cluster"].astype(str)),
        mean=total / size,
        fraction=expressing / size,
        coloured=coloured,
        levels=levels,
        top=top,
    )


def _chosen(adata: "AnnData", table: pd.DataFrame) -> pd.DataFrame:
    """The first 5 markers of each cluster, fewer if there are many clusters; a gene is shown at its first cluster."""
    table = table[table["gene"].isin(adata.var_names)]
    n = max(1, min(PER_CLUSTER, MOST_GENES // max(table["cluster"].nunique(), 1)))
    return table[table["rank"].astype(int) <= n].drop_duplicates("gene")


def _coloured(chosen: pd.DataFrame, n: int) -> list[int]:
    """Places of at most `n` genes: the best of every cluster first, then the second best."""
    order = np.argsort(chosen["rank"].astype(int).to_numpy(), kind="stable")
    return sorted(int(i) for i in order[:n])
