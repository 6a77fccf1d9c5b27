"""Feature matrices of a sample, as the clustering asks for them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ..numerics.neighbours import neighbour_indices
from ..numerics.pca import principal_components

COMPONENTS = 50

if TYPE_CHECKING:
    import torch


class Features(Protocol):
    """Where initial pseudo-labels and the number of clusters are looked for: a count matrix or an array."""

    n_cells: int

    def subset(self, cells: np.ndarray) -> "Features":
        """The features of some cells, whose genes are ranked anew."""

    def blocks(self, seed: int) -> Iterator[np.ndarray]:
        """Principal components of the cells in several gene sets and scalings: (cells, components) each."""

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

    def blocks(self, seed: int) -> Iterator[np.ndarray]:
        """See `Features`: of all features, and of two random halves of them."""
        yield principal_components(self.x, COMPONENTS, seed=seed)
        order = np.random.default_rng(seed).permutation(self.x.shape[1])
        if len(order) > 1:
            for half in np.array_split(order, 2):
                yield principal_components(self.x[:, np.sort(half)], COMPONENTS, seed=seed)

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
