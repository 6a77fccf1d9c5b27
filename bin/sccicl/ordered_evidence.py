"""What a fit looks at of the counts, in one order of cells and genes, wherever they lie."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from .batches import BatchEvidence, batch_codes, neighbours_across
from .config import InputKind
from .evidence import CountEvidence
from .numerics.neighbours import neighbour_indices
from .numerics.ordering import in_order
from .numerics.reproducible_sums import row_sums

# Cells whose depths are summed up together
DEPTH_CELLS = 1 << 13


class OrderedEvidence:
    """Evidence of counts, in memory or in a file, in the order of the names of cells and genes.

    Only cells that are looked at are read or brought into that order: of a big sample, k and the pool are made from
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

    def _of(self, cells: np.ndarray) -> CountEvidence:
        counts = in_order(self._counts, self._cells[cells], self._genes)
        if self._batches is None:
            return CountEvidence(counts, self._input_kind)
        return BatchEvidence(counts, batch_codes(self._batches[cells]), self._input_kind)

    @cached_property
    def _whole(self) -> CountEvidence:
        return self._of(np.arange(self.n_cells))

    def subset(self, cells: np.ndarray) -> CountEvidence:
        """See `evidence.Evidence`."""
        return self._of(np.asarray(cells))

    def neighbours(self, scores: np.ndarray, n_neighbours: int) -> np.ndarray:
        """See `evidence.Evidence`."""
        if self._batches is not None:
            return neighbours_across(scores, self._batches, n_neighbours)
        return neighbour_indices(scores, n_neighbours).astype(np.int64)

    def log_depth(self) -> np.ndarray | None:
        """See `evidence.Evidence`; a file is read in blocks of cells."""
        if self._input_kind == "log":
            return None
        whole_numbers = self._input_kind == "counts"
        blocks = (self._counts[start : start + DEPTH_CELLS] for start in range(0, self.n_cells, DEPTH_CELLS))
        sums = [row_sums(sparse.csr_matrix(block), whole_numbers=whole_numbers) for block in blocks]
        return np.log(np.concatenate(sums))[self._cells]

    def gene_sets(self) -> Iterator[np.ndarray]:
        """See `evidence.Evidence`."""
        return self._whole.gene_sets()

    def scaled(self) -> tuple[np.ndarray, ...]:
        """See `evidence.Evidence`."""
        return self._whole.scaled()

    def structureless(self, seed: int) -> CountEvidence | None:
        """See `evidence.Evidence`."""
        return self._whole.structureless(seed)
