"""What a sample shows without a label: its cells on several gene sets, in several scalings."""

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from ..config import GeneSelection, InputKind
from ..numerics.neighbours import neighbour_indices
from ..numerics.pca import principal_components
from .batch_correction import batch_codes, corrected_input, neighbours_across, order_genes_within_batches
from .highly_variable_genes import order_genes
from .normalise import freeman_tukey, library_sizes, normalise, root_scaled, size_factors, z_scored

if TYPE_CHECKING:
    import torch


N_GENES = 2000
MANY_GENES = 4000
COMPONENTS = 50
NULL_CELLS = 800
# Genes whose variance is found together.
BLOCK_GENES = 2000
# Cells whose depths are summed up together
DEPTH_CELLS = 1 << 13


class CountFeatures:
    """Features of counts, or of `normalised` or `log` values.

    Parameters
    ----------
    counts
        (cells, genes), CSR in memory or in a file. Of a file only the cells that are looked at are read: of a big
        sample, k and the ensemble are made from some of its cells.
    """

    def __init__(self, counts: Any, input_kind: InputKind = "counts"):
        self._stored = counts
        self.input_kind = input_kind
        self.n_cells = counts.shape[0]

    @cached_property
    def counts(self) -> sparse.csr_matrix:
        """All counts, in memory."""
        return self._stored if sparse.issparse(self._stored) else self._stored.to_memory()

    @cached_property
    def library(self) -> np.ndarray:
        """Library sizes, (cells,); a file is read in blocks of cells."""
        blocks = (self._stored[start : start + DEPTH_CELLS] for start in range(0, self.n_cells, DEPTH_CELLS))
        return np.concatenate([library_sizes(block, self.input_kind) for block in blocks])

    @cached_property
    def _factors(self) -> np.ndarray:
        return size_factors(self.library)

    def _rows(self, cells: np.ndarray) -> sparse.csr_matrix:
        if sparse.issparse(self._stored):
            return self._stored[cells]
        ascending = np.sort(cells)  # a file is read from front to back
        return sparse.csr_matrix(self._stored[ascending])[np.searchsorted(ascending, cells)]

    @cached_property
    def _log_values(self) -> sparse.csr_matrix:
        # A second matrix of the size of the counts, made only where it is looked at.
        return normalise(self.counts, self._factors, self.input_kind)

    def subset(self, cells: np.ndarray) -> "CountFeatures":
        """See `Features`."""
        return CountFeatures(self._rows(cells), self.input_kind)

    def _values(self, genes: np.ndarray) -> np.ndarray:
        return self._log_values[:, np.sort(genes)].toarray().astype(np.float32)

    def _order(self, selection: GeneSelection) -> np.ndarray:
        return order_genes(self.counts, self._factors, self.input_kind, selection)

    def blocks(self, seed: int) -> Iterator[np.ndarray]:
        """See `Features`: variable genes z-scored, scaled by the root, and as logarithms; and roots of the counts."""
        for values in (*self.scalings(), self._values(self._order("cell_ranger")[:N_GENES]), self._roots()):
            yield principal_components(self._aligned(values), COMPONENTS, seed=seed)

    def _aligned(self, values: np.ndarray) -> np.ndarray:
        """Dense cells x genes without what differs between batches."""
        return values

    def _roots(self) -> np.ndarray:
        """Freeman-Tukey values of the normalised counts on the genes that vary most in them, (cells, genes) float32."""
        values = self._log_values.tocsc()
        values.data = np.expm1(values.data)
        starts = range(0, values.shape[1], BLOCK_GENES)
        parts = (freeman_tukey(values[:, start : start + BLOCK_GENES].toarray()) for start in starts)
        variance = np.concatenate([part.var(0) for part in parts])
        chosen = np.sort(np.argsort(-variance, kind="stable")[:N_GENES])
        return freeman_tukey(values[:, chosen].toarray()).astype(np.float32)

    def neighbours(self, scores: np.ndarray, n_neighbours: int, device: "torch.device | str" = "cpu") -> np.ndarray:
        """See `Features`."""
        return neighbour_indices(scores, n_neighbours, device=device)

    def scalings(self) -> tuple[np.ndarray, ...]:
        """See `Features`."""
        values = self._values(self._order("cell_ranger")[:MANY_GENES])
        return root_scaled(values), z_scored(values)

    def log_depth(self) -> np.ndarray | None:
        """See `Features`."""
        return None if self.input_kind == "log" else np.log(self.library)

    def null_sample(self, seed: int) -> "CountFeatures | None":
        """Multinomial draws from the mean profile of all cells, as deep as the cells are.

        None where no such draw can be made: of logarithms, and of values that sum up to less than one count.
        """
        if self.input_kind == "log" or self.library.min() < 1:
            return None
        rng = np.random.default_rng(seed)
        profile = np.asarray(self.counts.sum(0), dtype=np.float64).ravel()
        cells = rng.choice(self.n_cells, min(self.n_cells, NULL_CELLS), replace=False)
        drawn = [
            sparse.csr_matrix(rng.multinomial(round(depth), profile / profile.sum()).astype(np.float32))
            for depth in self.library[cells]
        ]
        counts = sparse.vstack(drawn, format="csr")
        return CountFeatures(counts[:, np.unique(counts.indices)], "counts")


class BatchFeatures(CountFeatures):
    """Features of counts of several batches: genes that vary within batches, scaled in each, and shifts taken out."""

    def __init__(self, counts: Any, batches: np.ndarray, input_kind: InputKind = "counts"):
        super().__init__(counts, input_kind)
        self.batches = batches

    def subset(self, cells: np.ndarray) -> "BatchFeatures":
        """See `Features`."""
        return BatchFeatures(self._rows(cells), batch_codes(self.batches[cells]), self.input_kind)

    def _order(self, selection: GeneSelection) -> np.ndarray:
        return order_genes_within_batches(self.counts, self._factors, self.input_kind, selection, self.batches, 2000)

    def _values(self, genes: np.ndarray) -> np.ndarray:
        return self._centred(super()._values(genes))

    def _centred(self, values: np.ndarray) -> np.ndarray:
        for batch in range(self.batches.max() + 1):
            values[self.batches == batch] -= values[self.batches == batch].mean(0)
        return values

    def _aligned(self, values: np.ndarray) -> np.ndarray:
        return corrected_input(values, self.batches)

    def _roots(self) -> np.ndarray:
        return self._centred(super()._roots())

    def neighbours(self, scores: np.ndarray, n_neighbours: int, device: "torch.device | str" = "cpu") -> np.ndarray:
        """See `Features`."""
        return neighbours_across(scores, self.batches, n_neighbours, device=device)

    def scalings(self) -> tuple[np.ndarray, ...]:
        """See `Features`."""
        return tuple(corrected_input(values, self.batches) for values in super().scalings())
