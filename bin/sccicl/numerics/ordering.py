"""One order for the cells and genes of a sample, by their names, whatever the order of the file.

Draws of a random generator, minibatches and sums of floating-point numbers all follow the order of the cells and genes.
Where these are worked on in the order of their names, a file with other rows first gives the same clusters.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from anndata import AnnData


class Order(NamedTuple):
    """Places in a prepared sample in the order of the names: of its `cells`, `genes` and `columns` of z-scores."""

    cells: np.ndarray
    genes: np.ndarray
    columns: np.ndarray

    def scores(self, x: np.ndarray) -> np.ndarray:
        """z-scores (cells, selected genes) in this order; `x` itself where that is its order."""
        if is_in_order(self.columns):
            return x if is_in_order(self.cells) else x[self.cells]
        return x[np.ix_(self.cells, self.columns)]

    def selected(self, prepared: "AnnData") -> list[str]:
        """Names of the columns of z-scores, in this order."""
        names = selected_genes(prepared)
        return [names[column] for column in self.columns]

    def back(self, values: Any) -> Any:
        """An array or tensor of cells (cells, ...) in this order, in that of the sample."""
        return values[inverse(self.cells)]


def order_of(prepared: "AnnData") -> Order:
    """The order of a prepared sample, whose `var["highly_variable"]` are the columns of its z-scores."""
    cells, genes = canonical_order(prepared.obs_names), canonical_order(prepared.var_names)
    return Order(cells, genes, canonical_order(selected_genes(prepared)))


def selected_genes(prepared: "AnnData") -> list[str]:
    """Names of the columns of `obsm["X_cicl_input"]`."""
    return list(prepared.var_names[prepared.var["highly_variable"].to_numpy(dtype=bool)])


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


def in_order(counts: Any, cells: np.ndarray, genes: np.ndarray) -> sparse.csr_matrix:
    """Rows `cells` of counts, CSR in memory or in a file, with all columns in the order `genes`.

    `counts` itself where it is in memory and nothing changes. Within a row the entries are not sorted.
    """
    if len(cells) < counts.shape[0] or not is_in_order(cells):
        if not sparse.issparse(counts):  # a file is read from front to back
            ascending = np.sort(cells)
            counts, cells = sparse.csr_matrix(counts[ascending]), np.searchsorted(ascending, cells)
        counts = counts[cells]
    elif not sparse.issparse(counts):
        counts = counts.to_memory()
    if is_in_order(genes):
        return counts
    places = inverse(genes).astype(counts.indices.dtype)[counts.indices]
    return sparse.csr_matrix((counts.data, places, counts.indptr), shape=counts.shape)
