"""A pool of partitions of one sample, label-free: the evidence that pseudo-labels are drawn from.

No gene set, number of components or cut is right for every data set, and luck decides where two are nearly as good.
What most of them agree on is not luck.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from scipy import sparse

from .check import InputKind
from .choices import GeneSelection
from .components import principal_components
from .consensus import consensus
from .cuts import kmeans_cut, mixture_cut, shrunk_to_sphere, ward_cut
from .genes import order_genes
from .kmeans import assign, means
from .prepare import library_sizes, normalise, size_factors
from .progress import progress

GENE_SETS: tuple[tuple[GeneSelection, int], ...] = (("seurat", 2000), ("cell_ranger", 2000), ("cell_ranger", 4000))
CLIP = 10.0
POOL_CELLS = 10_000


class Representation(NamedTuple):
    """Cells on principal components: `scores` (cells, components)."""

    name: str
    scores: np.ndarray


def representations(counts: sparse.csr_matrix, input_kind: InputKind, seed: int) -> Iterator[Representation]:
    """Principal components of several gene sets, z-scored or scaled by the root of the standard deviation.

    Full scaling lets a faint gene count as much as a strong one; the root lies between that and no scaling.
    """
    library, median = library_sizes(counts, input_kind)
    factors = size_factors(library, median)
    orders = {selection: order_genes(counts, factors, input_kind, selection) for selection, _ in GENE_SETS}
    seen = set()
    for selection, n_genes in GENE_SETS:
        genes = np.sort(orders[selection][:n_genes])
        if genes.tobytes() in seen:
            continue
        seen.add(genes.tobytes())
        values = normalise(counts[:, genes], factors, input_kind).toarray().astype(np.float32)
        values -= values.mean(0)
        sd = np.maximum(values.std(0), 1e-8)
        name = f"{selection} {n_genes}"
        scores = principal_components(np.clip(values / sd, -CLIP, CLIP), 30, seed=seed)
        for n in (10, 20, 30):
            yield Representation(f"{name} z {n}", scores[:, :n])
        yield Representation(f"{name} root 20", principal_components(values / np.sqrt(sd), 20, seed=seed))


def array_representations(x: np.ndarray, seed: int) -> Iterator[Representation]:
    """Principal components of an array that is taken as it is, (cells, features)."""
    scores = principal_components(x, 30, seed=seed)
    for n in (10, 20, 30):
        yield Representation(f"array z {n}", scores[:, :n])


def partitions(views: list[Representation], k: int, seed: int, *, quiet: bool = False) -> list[np.ndarray]:
    """Every view cut in several ways, mostly into `k` clusters: labels (cells,) each."""
    found = []
    for index, view in enumerate(progress(views, "pool of partitions", len(views), quiet=quiet)):
        x, own_seed = view.scores, seed + index
        found += [kmeans_cut(x, k, own_seed), mixture_cut(x, k, own_seed), ward_cut(x, k)]
        if x.shape[1] == 20:
            found += [kmeans_cut(shrunk_to_sphere(x, power), k, own_seed) for power in (0.5, 1.0)]
        if " z " in view.name:
            found.append(kmeans_cut(x, min(2 * k, len(x) - 1), own_seed))
    return found


def consensus_labels(
    x: np.ndarray,
    views: Callable[[np.ndarray], Iterable[Representation]],
    k: int,
    *,
    seed: int = 0,
    quiet: bool = False,
) -> np.ndarray:
    """Pseudo-labels (cells,) 0..k-1 on which the pool agrees most.

    Of more than 10,000 cells a random 10,000 make the pool; each of the others gets the label whose centroid on the
    principal components of `x` is nearest.

    Parameters
    ----------
    x
        Prepared cells, (cells, genes).
    views
        The representations of the cells of given indices.
    """
    n_cells = len(x)
    if k == 1:
        return np.zeros(n_cells, dtype=np.int64)
    chosen = np.arange(n_cells)
    if n_cells > POOL_CELLS:
        chosen = np.sort(np.random.default_rng(seed).choice(n_cells, POOL_CELLS, replace=False))
    labels = consensus(partitions(list(views(chosen)), k, seed, quiet=quiet), k, seed=seed)
    if n_cells == len(chosen):
        return labels
    scores = torch.from_numpy(principal_components(x, 20, seed=seed))
    centroids, _ = means(scores[chosen], torch.from_numpy(labels), labels.max() + 1)
    everywhere = assign(scores, centroids)[0].numpy()
    everywhere[chosen] = labels
    return everywhere
