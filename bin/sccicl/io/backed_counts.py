"""Counts of a prepared sample that stay in their file."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from anndata import AnnData


# A matrix of fewer bytes is read as a whole.
MAX_BYTES = 1 << 30
HASHED_ENTRIES = 1 << 24


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
