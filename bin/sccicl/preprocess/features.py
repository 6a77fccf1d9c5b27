"""What a sample shows without a label: its cells on several gene sets, in several scalings."""

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from ..config import GeneSelection, InputKind
from ..numerics.neighbours import neighbour_indices
from ..numerics.ordering import in_order
from ..numerics.pca import principal_components
from ..numerics.reproducible_sums import row_sums
from .batch_correction import batch_codes, corrected_input, neighbours_across, order_genes_jointly
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


class CountFeatures:
    """Evidence of counts, cells x genes CSR, or of `normalised` or `log` values."""

    def __init__(self, counts: sparse.csr_matrix, input_kind: InputKind = "counts"):
        self.counts = counts
        self.input_kind = input_kind
        self.n_cells = counts.shape[0]
        self.library, median = library_sizes(counts, input_kind)
        self._factors = size_factors(self.library, median)

    @cached_property
    def _log_values(self) -> sparse.csr_matrix:
        # A second matrix of the size of the counts, made only where it is looked at.
        return normalise(self.counts, self._factors, self.input_kind)

    def subset(self, cells: np.ndarray) -> "CountFeatures":
        """See `Features`."""
        return CountFeatures(self.counts[cells], self.input_kind)

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
    """Evidence of counts of several batches: genes that vary within batches, scaled in each, and shifts taken out."""

    def __init__(self, counts: sparse.csr_matrix, batches: np.ndarray, input_kind: InputKind = "counts"):
        super().__init__(counts, input_kind)
        self.batches = batches

    def subset(self, cells: np.ndarray) -> "BatchFeatures":
        """See `Features`."""
        return BatchFeatures(self.counts[cells], batch_codes(self.batches[cells]), self.input_kind)

    def _order(self, selection: GeneSelection) -> np.ndarray:
        return order_genes_jointly(self.counts, self._factors, self.input_kind, selection, self.batches, 2000)

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


# Cells whose depths are summed up together
DEPTH_CELLS = 1 << 13


class SortedFeatures:
    """Evidence of counts, in memory or in a file, in the order of the names of cells and genes.

    Only cells that are looked at are read or brought into that order: of a big sample, k and the ensemble are made from
    some of its cells.

    Parameters
    ----------
    counts
        (cells, genes), CSR in memory or backed.
    cells, genes
        Places in `counts` in the order of the names.
    batches
        Codes of the batches, (cells,) in the order of `cells`, where these are clustered jointly.
    """

    def __init__(
        self,
        counts: Any,
        cells: np.ndarray,
        genes: np.ndarray,
        input_kind: InputKind = "counts",
        batches: np.ndarray | None = None,
    ):
        self._counts, self._cells, self._genes = counts, cells, genes
        self._input_kind, self._batches = input_kind, batches
        self.n_cells = counts.shape[0]

    def _of(self, cells: np.ndarray) -> CountFeatures:
        counts = in_order(self._counts, self._cells[cells], self._genes)
        if self._batches is None:
            return CountFeatures(counts, self._input_kind)
        return BatchFeatures(counts, batch_codes(self._batches[cells]), self._input_kind)

    @cached_property
    def _whole(self) -> CountFeatures:
        return self._of(np.arange(self.n_cells))

    def subset(self, cells: np.ndarray) -> CountFeatures:
        """See `features.Features`."""
        return self._of(np.asarray(cells))

    def neighbours(self, scores: np.ndarray, n_neighbours: int, device: "torch.device | str" = "cpu") -> np.ndarray:
        """See `features.Features`."""
        if self._batches is not None:
            return neighbours_across(scores, self._batches, n_neighbours, device=device)
        return neighbour_indices(scores, n_neighbours, device=device)

    def log_depth(self) -> np.ndarray | None:
        """See `features.Features`; a file is read in blocks of cells."""
        if self._input_kind == "log":
            return None
        whole_numbers = self._input_kind == "counts"
        blocks = (self._counts[start : start + DEPTH_CELLS] for start in range(0, self.n_cells, DEPTH_CELLS))
        sums = [row_sums(sparse.csr_matrix(block), whole_numbers=whole_numbers) for block in blocks]
        return np.log(np.concatenate(sums))[self._cells]

    def blocks(self, seed: int) -> Iterator[np.ndarray]:
        """See `features.Features`."""
        return self._whole.blocks(seed)

    def scalings(self) -> tuple[np.ndarray, ...]:
        """See `features.Features`."""
        return self._whole.scalings()

    def null_sample(self, seed: int) -> CountFeatures | None:
        """See `features.Features`."""
        return self._whole.null_sample(seed)
