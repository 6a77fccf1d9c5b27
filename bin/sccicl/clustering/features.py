"""Feature matrices of a sample, as the clustering asks for them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ..numerics.neighbours import neighbour_indices

if TYPE_CHECKING:
    import torch


class Features(Protocol):
    """Where first pseudo-labels and the number of clusters are looked for: a count matrix or an array."""

    n_cells: int

    def subset(self, cells: np.ndarray) -> "Features":
        """The features of some cells, whose genes are ranked anew."""

    def gene_sets(self) -> Iterator[np.ndarray]:
        """Cells on the genes of every gene set, fully scaled: (cells, genes) each."""

    def neighbours(self, scores: np.ndarray, n_neighbours: int, device: "torch.device | str" = "cpu") -> np.ndarray:
        """Cells that the second view of each may be of, (cells, choices) int64, from components (cells, features)."""

    def scalings(self) -> tuple[np.ndarray, ...]:
        """Dense cells x genes in each scaling."""

    def log_depth(self) -> np.ndarray | None:
        """Logarithm of the library sizes, (cells,), if they are known."""

    def null_sample(self, seed: int) -> "Features | None":
        """Simulated cells that differ by chance and depth only, if they can be made."""


class ArrayFeatures:
    """Evidence of an array that is taken as it is, (cells, features)."""

    def __init__(self, x: np.ndarray):
        self.x = x
        self.n_cells = len(x)

    def subset(self, cells: np.ndarray) -> "ArrayFeatures":
        """See `Features`."""
        return ArrayFeatures(self.x[cells])

    def gene_sets(self) -> Iterator[np.ndarray]:
        """See `Features`."""
        yield self.x

    def neighbours(self, scores: np.ndarray, n_neighbours: int, device: "torch.device | str" = "cpu") -> np.ndarray:
        """See `Features`."""
        return neighbour_indices(scores, n_neighbours, device=device)

    def scalings(self) -> tuple[np.ndarray, ...]:
        """See `Features`."""
        return (self.x,)

    def log_depth(self) -> None:
        """See `Features`."""

    def null_sample(self, seed: int) -> None:
        """See `Features`."""
