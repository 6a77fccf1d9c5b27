"""What a sample shows without a label: its cells on several gene sets, in several scalings."""

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from scipy import sparse

from .config import GeneSelection, InputKind
from .genes import order_genes
from .numerics.neighbours import neighbour_indices
from .prepare import library_sizes, normalise, size_factors

GENE_SETS: tuple[tuple[GeneSelection, int], ...] = (("seurat", 2000), ("cell_ranger", 2000), ("cell_ranger", 4000))
CLIP = 10.0
NULL_CELLS = 800


def z_scored(values: np.ndarray) -> np.ndarray:
    """Full scaling, in which a faint gene counts as much as a strong one; clipped at 10."""
    values = values - values.mean(0)
    return np.clip(values / np.maximum(values.std(0), 1e-8), -CLIP, CLIP)


def root_scaled(values: np.ndarray) -> np.ndarray:
    """Divided by the root of the standard deviation: between full scaling and none."""
    values = values - values.mean(0)
    return values / np.sqrt(np.maximum(values.std(0), 1e-8))


class CountEvidence:
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

    def subset(self, cells: np.ndarray) -> "CountEvidence":
        """See `Evidence`."""
        return CountEvidence(self.counts[cells], self.input_kind)

    def _values(self, genes: np.ndarray) -> np.ndarray:
        return self._log_values[:, np.sort(genes)].toarray().astype(np.float32)

    def _order(self, selection: GeneSelection) -> np.ndarray:
        return order_genes(self.counts, self._factors, self.input_kind, selection)

    def gene_sets(self) -> Iterator[np.ndarray]:
        """See `Evidence`."""
        orders = {selection: self._order(selection) for selection, _ in GENE_SETS}
        seen = set()
        for selection, n_genes in GENE_SETS:
            genes = np.sort(orders[selection][:n_genes])
            if genes.tobytes() not in seen:
                seen.add(genes.tobytes())
                yield z_scored(self._values(genes))

    def neighbours(self, scores: np.ndarray, n_neighbours: int) -> np.ndarray:
        """See `Evidence`."""
        return neighbour_indices(scores, n_neighbours).astype(np.int64)

    def scaled(self) -> tuple[np.ndarray, ...]:
        """See `Evidence`."""
        values = self._values(self._order("cell_ranger")[: GENE_SETS[-1][1]])
        return root_scaled(values), z_scored(values)

    def log_depth(self) -> np.ndarray | None:
        """See `Evidence`."""
        return None if self.input_kind == "log" else np.log(self.library)

    def structureless(self, seed: int) -> "CountEvidence | None":
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
        return CountEvidence(counts[:, np.unique(counts.indices)], "counts")
