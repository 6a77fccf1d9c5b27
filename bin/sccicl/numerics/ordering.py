"""One order for the cells and genes of a sample, by their names, whatever the order of the file.

Draws of a random generator, minibatches and sums of floating-point numbers all follow the order of the cells and genes.
A sample is sorted where it enters (`steps.prepare`) and takes the order of its input again where its files leave
(`steps.cluster`, `steps.plot`), so a file with other rows first gives the same clusters.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


# Column of obs and var with the places in the input, where these are others than those in the sample
PLACE = "cicl_place"


def canonical_order(names: Iterable[str]) -> np.ndarray:
    """Places of the names in the order of their code points; equal names stay in the order that they have."""
    names = list(map(str, names))
    return np.array(sorted(range(len(names)), key=names.__getitem__), dtype=np.int64)


def inverse(order: np.ndarray) -> np.ndarray:
    """Where each place comes in `order`: what takes values in that order back."""
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank


def is_in_order(order: np.ndarray) -> bool:
    """Whether `order` changes nothing."""
    return bool((order == np.arange(len(order))).all())


def sort_by_name(adata: "AnnData") -> "AnnData":
    """Cells and genes in the order of their names; `adata` itself where they are."""
    cells, genes = canonical_order(adata.obs_names), canonical_order(adata.var_names)
    if is_in_order(cells) and is_in_order(genes):
        return adata
    found = _reordered(adata, cells, genes)
    found.obs[PLACE], found.var[PLACE] = cells, genes
    return found


def input_order(frame: "pd.DataFrame") -> np.ndarray:
    """Rows of obs or var in the order of the input."""
    return np.argsort(frame[PLACE].to_numpy()) if PLACE in frame else np.arange(len(frame))


def in_input_order(adata: "AnnData") -> "AnnData":
    """Undo `sort_by_name`, also of some of its cells and genes; `adata` itself where there is nothing to undo."""
    if PLACE not in adata.obs:
        return adata
    found = _reordered(adata, input_order(adata.obs), input_order(adata.var))
    del found.obs[PLACE], found.var[PLACE]
    return found


def _reordered(adata: "AnnData", cells: np.ndarray, genes: np.ndarray) -> "AnnData":
    found = adata[cells, genes].copy()
    if sparse.issparse(found.X):
        found.X.sort_indices()
    return found
