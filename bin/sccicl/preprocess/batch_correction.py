"""Cells of several batches together: genes, components, neighbours and minibatches that do not let the batch lead.

A batch shifts every cell of a type alike. Cells of two batches that are nearest to each other, each among the cells of
the other's batch, are taken to be of one type (mutual nearest neighbours), and what lies between them to be the shift.
"""

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from ..config import Config, GeneSelection, InputKind
from ..errors import InputError
from ..io.record import Preparation
from ..io.validate import MIN_CELLS, source_name
from ..numerics.neighbours import neighbour_indices
from ..numerics.pca import principal_components
from .highly_variable_genes import order_genes, record_genes
from .normalise import library_sizes, normalise, size_factors, z_scored

if TYPE_CHECKING:
    import torch
    from anndata import AnnData


MUTUAL_NEIGHBOURS = 20
# The shift at a cell is the mean of the shifts at pairs near it, weighted by a tricube kernel this wide.
KERNEL_PAIRS = 50
KERNEL_MEDIANS = 3.0
CORRECTED_COMPONENTS = 50


def batch_codes(values: np.ndarray) -> np.ndarray:
    """0.. for every batch, the biggest first, (cells,)."""
    _, codes, sizes = np.unique(np.asarray(values).astype(str), return_inverse=True, return_counts=True)
    rank = np.empty(len(sizes), dtype=np.int64)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes))
    return rank[codes]


def order_genes_within_batches(
    counts: sparse.csr_matrix,
    factors: np.ndarray,
    input_kind: InputKind,
    selection: GeneSelection,
    batches: np.ndarray,
    n_genes: int,
) -> np.ndarray:
    """All genes, those first that are among the `n_genes` most variable ones of most batches; ties by the median rank.

    So a gene that differs between batches only, and within none, comes late (as scanpy's `batch_key`). Of genes that
    tie in that too the first in the matrix comes first.
    """
    ranks = np.empty((batches.max() + 1, counts.shape[1]))
    for batch in range(len(ranks)):
        cells = np.flatnonzero(batches == batch)
        order = order_genes(counts[cells], factors[cells], input_kind, selection)
        ranks[batch, order] = np.arange(len(order))
    return np.lexsort((np.median(ranks, axis=0), -(ranks < n_genes).sum(0)))


def within_batches(values: np.ndarray, batches: np.ndarray) -> np.ndarray:
    """Values centred and divided by the standard deviation in every batch, (cells, genes) float32; clipped at 10."""
    scaled = np.empty_like(values, dtype=np.float32)
    for batch in range(batches.max() + 1):
        cells = batches == batch
        scaled[cells] = z_scored(values[cells])
    return scaled


def mutual_pairs(x: np.ndarray, y: np.ndarray, n_neighbours: int = MUTUAL_NEIGHBOURS) -> tuple[np.ndarray, np.ndarray]:
    """Rows of `x` and of `y` that are each among the `n_neighbours` nearest of the other: two arrays, (pairs,).

    By cosine distance (Haghverdi et al. 2018, doi:10.1038/nbt.4091).
    """
    from sklearn.neighbors import NearestNeighbors

    x, y = _unit(x), _unit(y)
    forth = NearestNeighbors(n_neighbors=min(n_neighbours, len(y))).fit(y).kneighbors_graph(x)
    back = NearestNeighbors(n_neighbors=min(n_neighbours, len(x))).fit(x).kneighbors_graph(y)
    return forth.multiply(back.T).nonzero()


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def correct(scores: np.ndarray, batches: np.ndarray) -> np.ndarray:
    """Scores with the batches' shifts taken out, (cells, components) float32; the cells of the biggest batch stay.

    Batch by batch, from the biggest, the cells are moved by the shift of the mutual pairs that are nearest to them to
    what was corrected before (Haghverdi et al. 2018).
    """
    corrected = np.array(scores, dtype=np.float32)
    done = np.flatnonzero(batches == 0)
    for batch in range(1, batches.max() + 1):
        cells = np.flatnonzero(batches == batch)
        there, here = mutual_pairs(corrected[done], corrected[cells])
        if len(here):
            shift = corrected[done][there] - corrected[cells][here]
            corrected[cells] += _smoothed(corrected[cells], here, shift)
        done = np.concatenate([done, cells])
    return corrected


def _smoothed(x: np.ndarray, anchors: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Shift of every cell: the mean over the nearest anchors, tricube weights, (cells, components)."""
    from sklearn.neighbors import NearestNeighbors

    unique, inverse, sizes = np.unique(anchors, return_inverse=True, return_counts=True)
    mean = np.zeros((len(unique), shifts.shape[1]), dtype=np.float32)
    np.add.at(mean, inverse, shifts)
    mean /= sizes[:, None]
    distance, nearest = NearestNeighbors(n_neighbors=min(KERNEL_PAIRS, len(unique))).fit(x[unique]).kneighbors(x)
    width = KERNEL_MEDIANS * np.maximum(np.median(distance, axis=1, keepdims=True), 1e-12)
    weight = np.clip(1 - (distance / width) ** 3, 1e-6, None) ** 3
    return np.einsum("ij,ijk->ik", weight / weight.sum(1, keepdims=True), mean[nearest]).astype(np.float32)


def corrected_input(x: np.ndarray, batches: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """z-scores with the shifts of their leading components taken out, (cells, genes) float32."""
    x = np.asarray(x, dtype=np.float32)
    mean = x.mean(0)
    scores = principal_components(x, CORRECTED_COMPONENTS, seed=seed)
    # The axes that the scores are of, for u s = (x - mean) v
    axes = np.linalg.lstsq(scores, x - mean, rcond=None)[0]
    return x + (correct(scores, batches) - scores) @ axes


def neighbours_across(
    scores: np.ndarray, batches: np.ndarray, n_neighbours: int, *, device: "torch.device | str" = "cpu"
) -> np.ndarray:
    """Neighbours of every cell for its second view, (cells, 2 x n_neighbours): as many of other batches as of its own.

    Those of other batches are mutual ones; a cell that has none gets the nearest of its own batch instead.
    """
    n_cells = len(scores)
    own = np.empty((n_cells, n_neighbours), dtype=np.int64)
    for batch in range(batches.max() + 1):
        cells = np.flatnonzero(batches == batch)
        nearest = np.zeros((1, 1), dtype=np.int64)
        if len(cells) > 1:
            nearest = neighbour_indices(scores[cells], n_neighbours, device=device)
        own[cells] = cells[np.resize(nearest.T, (n_neighbours, len(cells))).T]
    partners: list[list[int]] = [[] for _ in range(n_cells)]
    for first in range(batches.max() + 1):
        for second in range(first + 1, batches.max() + 1):
            cells, others = np.flatnonzero(batches == first), np.flatnonzero(batches == second)
            for i, j in zip(*mutual_pairs(scores[cells], scores[others]), strict=True):
                partners[cells[i]].append(others[j])
                partners[others[j]].append(cells[i])
    across = own.copy()
    for cell, found in enumerate(partners):
        if found:
            near = np.argsort(((scores[found] - scores[cell]) ** 2).sum(1), kind="stable")
            across[cell] = np.resize(np.asarray(found)[near[:n_neighbours]], n_neighbours)
    return np.hstack([own, across])


def integrate_batches(prepared: "AnnData", batch_col: str, config: Config) -> None:
    """Select genes by their variation within batches and take the batches' shifts out of what the model sees, in place.

    Sets what `prepare.prepare` set: `obsm["X_cicl_input"]`, `var["highly_variable"]`, `var["cicl_mean"]` and
    `var["cicl_std"]` (of all cells), and the record.

    Raises
    ------
    InputError
        When there is one batch only, or one of fewer than 10 cells.
    """
    batches = check_batches(prepared, batch_col)
    kind = Preparation.of(prepared).input_kind
    factors = size_factors(library_sizes(prepared.X, kind))
    order = order_genes_within_batches(prepared.X, factors, kind, config.gene_selection, batches, config.n_genes)
    selected = np.sort(order[: config.n_genes])
    log_values = normalise(prepared.X[:, selected], factors, kind).toarray()
    record_genes(prepared, selected, log_values.mean(0), log_values.std(0, ddof=1))
    prepared.obsm["X_cicl_input"] = corrected_input(within_batches(log_values, batches), batches)
    Preparation.update(prepared, integrate=True, n_genes=len(selected))


def check_batches(adata: "AnnData", batch_col: str) -> np.ndarray:
    """Codes of the batches, (cells,); InputError where they cannot be integrated."""
    values = adata.obs[batch_col]
    if values.isna().any():
        raise InputError(
            f"{source_name(adata)}: {int(values.isna().sum())} cells have no value in the obs column '{batch_col}', so "
            "their batch is not known: fill it, or cluster them without --integrate"
        )
    sizes = values.astype(str).value_counts()
    if len(sizes) < 2:
        raise InputError(
            f"{source_name(adata)}: all cells are of one batch ('{sizes.index[0]}' in the obs column '{batch_col}')"
            ", so there is nothing to integrate: name the column of the batches, or leave --integrate out"
        )
    if sizes.iloc[-1] < MIN_CELLS:
        raise InputError(
            f"{source_name(adata)}: the batch '{sizes.index[-1]}' has {sizes.iloc[-1]} cells, and {MIN_CELLS} are "
            "needed to integrate it: leave it out, or name another column"
        )
    return batch_codes(values.to_numpy())
