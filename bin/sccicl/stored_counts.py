"""Counts that stay in their file: what a fit looks at of a sample that does not fit into memory."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from .choices import InputKind
from .evidence import CountEvidence
from .neighbours import neighbour_indices

if TYPE_CHECKING:
    from anndata import AnnData

# A matrix of fewer bytes is read as a whole.
MAX_BYTES = 1 << 30
HASHED_ENTRIES = 1 << 24


class StoredCountEvidence:
    """Evidence of counts in a file: of a big sample, k and the pool are made from some of its cells, which are read."""

    def __init__(self, counts: Any, input_kind: InputKind = "counts"):
        self._counts, self._input_kind = counts, input_kind
        self.n_cells = counts.shape[0]

    def subset(self, cells: np.ndarray) -> CountEvidence:
        """See `evidence.Evidence`."""
        return CountEvidence(sparse.csr_matrix(self._counts[np.asarray(cells)]), self._input_kind)

    def neighbours(self, scores: np.ndarray, n_neighbours: int) -> np.ndarray:
        """See `evidence.Evidence`."""
        return neighbour_indices(scores, n_neighbours).astype(np.int64)

    def __getattr__(self, name: str) -> Any:
        """All else is that of all cells, which have to be read for it."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(CountEvidence(self._counts.to_memory(), self._input_kind), name)


def count_evidence(prepared: "AnnData", input_kind: InputKind) -> "CountEvidence | StoredCountEvidence":
    """Evidence of the counts of prepared cells, wherever they lie."""
    if prepared.isbacked:
        return StoredCountEvidence(prepared.X, input_kind)
    return CountEvidence(prepared.X, input_kind)


def in_memory_if_small(prepared: "AnnData") -> "AnnData":
    """`prepared`, opened `backed`, as it is if its counts take over 1 GB; read as a whole if not."""
    group = prepared.file["X"]
    if sum(group[key].nbytes for key in ("data", "indices")) > MAX_BYTES:
        return prepared
    return prepared.to_memory()


def parts_of_counts(prepared: "AnnData") -> Iterator[np.ndarray]:
    """The arrays of the counts, in pieces."""
    if not prepared.isbacked:
        yield from (prepared.X.data, prepared.X.indices, prepared.X.indptr)
        return
    group = prepared.file["X"]
    for key in ("data", "indices", "indptr"):
        for start in range(0, len(group[key]), HASHED_ENTRIES):
            yield group[key][start : start + HASHED_ENTRIES]
