"""Preparation of a matrix that does not fit into memory: from file to file, a block of cells at a time.

The first pass copies the counts into the file of the result, checks them and sums them up for the size factors; the
second, over that copy, takes the moments of the genes; the third makes the z-scores of the selected genes. The steps
are those of `prepare`, and so are the results, but for the order of sums. Threads read ahead and work on blocks side by
side.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from ..config import Config, InputKind
from ..io.feature_filter import find_genes
from ..io.names import check_names, clean_names
from ..io.orientation import check_axes
from ..io.plausibility import check_kind, warn_of_empty_droplets
from ..io.read_backed import (
    BLOCKS_AT_A_TIME,
    BYTES_PER_ENTRY,
    IN_MEMORY_BYTES_PER_ENTRY,
    MAX_BLOCK_ENTRIES,
    MIN_BLOCK_ENTRIES,
    StoredMatrix,
    row_blocks,
)
from ..io.validate import add_warning, are_plain_counts, as_counts, check_columns, check_size, check_values
from ..numerics.ordering import canonical_order, inverse
from ..numerics.reproducible_sums import grouped_sums, row_sums, units_of
from ..runtime.prefetch import map_in_order, prefetch
from .highly_variable_genes import largest_value, variable_genes
from .normalise import normalise, size_factors, z_score
from .prepare import record_dropped, record_preparation

if TYPE_CHECKING:
    import h5py
    from anndata import AnnData


# Entries of a chunk of the written matrix: 4 MB.
CHUNK = 1 << 20
# Entries that are worked on together: their float64 values stay in a core's cache.
IN_CACHE = 1 << 16
# Memory for the interpreter, libraries and names.
BASE_BYTES = 600 << 20


def fits_in_memory(matrix: StoredMatrix, config: Config, max_bytes: int) -> bool:
    """Whether the sample is prepared in memory within `max_bytes`."""
    dense = matrix.names.n_obs * min(config.n_genes, matrix.names.n_vars) * 8
    return BASE_BYTES + matrix.n_entries * IN_MEMORY_BYTES_PER_ENTRY + dense <= max_bytes


@dataclass
class _Copied:
    """The copy of the counts.

    `indptr` of its rows, their `library` sizes, of every gene the number of cells in which it is `found` and a
    `typical` value there, and the `largest` value of all.
    """

    indptr: np.ndarray
    library: np.ndarray
    found: np.ndarray
    typical: np.ndarray
    largest: float


def prepare_stored(
    matrix: StoredMatrix,
    target: "h5py.File",
    *,
    name: str,
    config: Config,
    max_bytes: int,
    input_kind: InputKind = "counts",
    counts_layer: str | None = None,
    cells_in: str | None = None,
    label_col: str | None = None,
    batch_col: str | None = None,
) -> "AnnData":
    """Prepare `matrix` into the open h5ad `target`: X and `obsm["X_cicl_input"]`.

    Parameters
    ----------
    max_bytes
        Memory that may be used; blocks of cells are as big as it allows, but of 50 MB at least.

    Returns
    -------
    AnnData
        obs, var and uns of the result, without values, for `finish`.
    """
    names = _checked_names(matrix, name, input_kind, counts_layer, cells_in)
    check_columns(names, label_col=label_col, batch_col=batch_col)
    affordable = (max_bytes - BASE_BYTES) // (BLOCKS_AT_A_TIME * BYTES_PER_ENTRY)
    max_entries = min(MAX_BLOCK_ENTRIES, max(MIN_BLOCK_ENTRIES, affordable))
    where = "X" if counts_layer is None else "raw.X" if counts_layer == "raw" else f"layers['{counts_layer}']"
    copied = _copy(matrix, names, target, input_kind, where, max_entries)
    if input_kind == "counts":
        warn_of_empty_droplets(names, copied.library)
    kept = _without_empty(names, copied)
    cells, genes = np.diff(copied.indptr) > 0, copied.found > 0
    _drop_from_copy(target, copied, cells, genes)

    library = np.ones(kept.n_obs) if input_kind == "log" else copied.library[cells]
    median = 1.0 if input_kind == "log" else float(np.median(library))
    factors = size_factors(library, median)
    counts = _Stored(target["X"], kept.n_vars, factors, input_kind, max_entries)
    if not genes.all():
        counts.new_numbers = (np.cumsum(genes) - 1).astype(np.int32)
    as_log = config.gene_selection == "cell_ranger"
    in_genes = copied.found[genes], copied.typical[genes], copied.largest
    log_mean, log_variance = _moments(counts, *in_genes, as_log=True)
    if kept.n_vars <= config.n_genes:
        selected = np.arange(kept.n_vars)
    else:
        mean, variance = (log_mean, log_variance) if as_log else _moments(counts, *in_genes, as_log=False)
        ranks = inverse(canonical_order(kept.var_names))
        selected = np.sort(variable_genes(mean, variance, config.gene_selection, ranks)[: config.n_genes])
    mean, std = log_mean[selected], np.sqrt(log_variance[selected])
    _write_scores(target, counts, selected, mean, std, config.max_value, kept.n_obs)
    record_preparation(kept, selected, mean, std, input_kind, config.gene_selection, config.max_value, median)
    return kept


def _checked_names(
    matrix: StoredMatrix, name: str, input_kind: InputKind, counts_layer: str | None, cells_in: str | None
) -> "AnnData":
    clean_names(matrix.names, name)
    if cells_in is None:
        check_axes(matrix.names.obs_names, matrix.names.var_names, name)
    found = find_genes(matrix.names.var, name)
    if not found.is_gene.all():
        matrix.keep_genes(found.is_gene)
    names = matrix.names
    for note in found.notes:
        add_warning(names, note)
    origin = {"input": name, "input_kind": input_kind, "counts_layer": counts_layer, "cells_in": cells_in}
    names.uns.setdefault("cicl", {})["prepare"] = {key: value for key, value in origin.items() if value is not None}
    check_size(names)
    check_names(names, name)
    return names


def _copy(
    matrix: StoredMatrix, names: "AnnData", target: "h5py.File", input_kind: InputKind, where: str, max_entries: int
) -> _Copied:
    """Write the checked counts to X of `target`, uncompressed: it is read twice more."""
    n_cells, n_genes = names.shape
    group = target.create_group("X")
    arrays = {
        key: group.create_dataset(key, (0,), dtype, maxshape=(None,), chunks=(CHUNK,))
        for key, dtype in (("data", np.float32), ("indices", np.int32))
    }
    sizes, library, found = np.zeros(n_cells, np.int64), np.zeros(n_cells), np.zeros(n_genes, np.int64)
    typical, largest = np.zeros(n_genes), 0.0
    check = partial(_checked, names, input_kind, where, matrix.count_layers)
    put_together = np.add if input_kind == "counts" else np.maximum
    for first, block, own in map_in_order(check, prefetch(matrix.blocks(max_entries))):
        last, start = first + block.shape[0], arrays["data"].shape[0]
        for key, values in (("data", block.data), ("indices", block.indices)):
            arrays[key].resize((start + block.nnz,))
            arrays[key][start:] = values
        sizes[first:last] = np.diff(own.indptr)
        library[first:last] = own.library
        found += own.found
        put_together(typical, own.typical, out=typical)
        largest = max(largest, own.largest)
    if input_kind == "counts":
        typical /= np.maximum(found, 1)
    return _Copied(np.concatenate([[0], np.cumsum(sizes)]), library, found, typical, largest)


def _checked(
    names: "AnnData",
    input_kind: InputKind,
    where: str,
    count_layers: Callable[[], list[str]],
    part: tuple[int, sparse.csr_matrix],
) -> tuple[int, sparse.csr_matrix, _Copied]:
    """First cell and values of a block, checked, and what is summed up of it: of counts `typical` is the sum."""
    first, block = part
    if not block.has_canonical_format:
        block.sum_duplicates()
    if input_kind != "counts" or not are_plain_counts(block.data):
        check_values(_at(first, block, names), input_kind=input_kind, where=where, count_layers=count_layers)
        block = as_counts(block, input_kind)
    if first == 0:
        check_kind(names, block, input_kind)
    n_genes, genes = block.shape[1], block.indices.astype(np.intp)  # once, instead of in each bincount
    if input_kind == "counts":
        typical = np.bincount(genes, block.data, n_genes)
    else:
        typical = block.max(axis=0).toarray()[0].astype(np.float64)
    library = row_sums(block, whole_numbers=input_kind == "counts")
    largest = float(block.data.max()) if block.nnz else 0.0
    return first, block, _Copied(block.indptr, library, np.bincount(genes, minlength=n_genes), typical, largest)


def _at(first: int, block: sparse.csr_matrix, names: "AnnData") -> SimpleNamespace:
    """`block` as rows from `first` on of the whole, so that a message names the right cell."""
    indptr = np.concatenate([np.zeros(first, block.indptr.dtype), block.indptr])
    whole = sparse.csr_matrix((block.data, block.indices, indptr), shape=(len(indptr) - 1, block.shape[1]))
    return SimpleNamespace(X=whole, obs_names=names.obs_names, var_names=names.var_names, uns=names.uns)


def _without_empty(names: "AnnData", copied: _Copied) -> "AnnData":
    """Names of the cells and genes with counts, and a record of those that are dropped."""
    import anndata

    cells, genes = np.flatnonzero(np.diff(copied.indptr)), np.flatnonzero(copied.found)
    kept = anndata.AnnData(obs=names.obs.iloc[cells].copy(), var=names.var.iloc[genes].copy())
    record_dropped(names, kept, cells)
    check_size(kept, dropped=" with counts")
    return kept


def _drop_from_copy(target: "h5py.File", copied: _Copied, cells: np.ndarray, genes: np.ndarray) -> None:
    """Give X the rows of the cells that are kept, and the attributes of a CSR matrix."""
    group = target["X"]
    kept_rows = np.concatenate([[0], copied.indptr[1:][cells]])
    group.create_dataset("indptr", data=kept_rows)
    group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0"})
    group.attrs["shape"] = np.array([len(kept_rows) - 1, int(genes.sum())])


class _Stored:
    """Blocks of cells of the copy.

    Attributes
    ----------
    new_numbers
        Where genes were dropped, the number of each among those that are kept; the copy takes them over while its
        blocks are read for the first time.
    """

    def __init__(self, group: "h5py.Group", n_genes: int, factors: np.ndarray, input_kind: InputKind, max_entries: int):
        self._group, self._max_entries = group, max_entries
        self.n_genes, self.factors, self.input_kind = n_genes, factors, input_kind
        self._indptr = group["indptr"][:]
        self.new_numbers: np.ndarray | None = None

    def blocks(self) -> Iterator[tuple[int, np.ndarray, sparse.csr_matrix]]:
        """First cell, size factors and counts of each block."""
        for first, last in row_blocks(self._indptr, self._max_entries):
            start, stop = self._indptr[first], self._indptr[last]
            data, indices = self._group["data"][start:stop], self._group["indices"][start:stop]
            if self.new_numbers is not None:
                indices = self.new_numbers[indices]
                self._group["indices"][start:stop] = indices
            shape = (last - first, self.n_genes)
            block = sparse.csr_matrix((data, indices, self._indptr[first : last + 1] - start), shape)
            yield first, self.factors[first:last], block
        self.new_numbers = None


def _moments(
    counts: _Stored, found: np.ndarray, typical: np.ndarray, largest: float, *, as_log: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance (n - 1) of every gene's normalised values or their log1p, (genes,) each, in one pass.

    Sums are of deviations from what a gene's `typical` count is in a cell of median depth, as the difference of big
    numbers would lose digits; cells in which a gene is not `found` (cells with the gene, (genes,)) are added by
    their number. The order of the cells changes nothing, see `exact_sums`.
    """
    n_cells, n_genes, kind = len(counts.factors), counts.n_genes, counts.input_kind
    centre = normalise(sparse.csr_matrix(typical[None]), np.ones(1), kind).toarray()[0]
    centre = centre if as_log else np.expm1(centre)
    bound = largest_value(largest, counts.factors, kind, as_log)
    units = units_of(bound, n_cells), units_of(bound**2, n_cells)
    total, squares = np.zeros((2, n_genes)), np.zeros((2, n_genes))
    work = partial(_sums, kind, as_log, centre, units)
    for own_total, own_squares in map_in_order(work, (block[1:] for block in counts.blocks())):
        total += own_total
        squares += own_squares
    absent = n_cells - found
    total = total.sum(0) - absent * centre
    squares = squares.sum(0) + absent * centre**2
    mean = centre + total / n_cells
    variance = np.maximum(squares - total**2 / n_cells, 0) / max(n_cells - 1, 1)
    variance[variance <= (1e-9 * mean) ** 2] = 0.0  # rounding of a gene that does not vary
    return mean, variance


def _sums(
    input_kind: InputKind,
    as_log: bool,
    centre: np.ndarray,
    units: tuple[tuple, tuple],
    part: tuple[np.ndarray, sparse.csr_matrix],
) -> tuple[np.ndarray, np.ndarray]:
    """Of every gene, over the stored entries of a block: sums of deviations from `centre`, and of their squares.

    Each in two parts, as of `exact_sums.grouped_sums`.
    """
    factors, block = part
    n_genes = block.shape[1]
    total, squares = np.zeros((2, n_genes)), np.zeros((2, n_genes))
    for first, last in row_blocks(block.indptr, IN_CACHE):
        piece = normalise(block[first:last], factors[first:last], input_kind)
        if not as_log:
            np.expm1(piece.data, out=piece.data)
        genes = piece.indices.astype(np.intp)  # once, instead of in each bincount
        deviations = piece.data
        deviations -= centre[genes]
        total += grouped_sums(genes, deviations, n_genes, units[0])
        squares += grouped_sums(genes, np.square(deviations, out=deviations), n_genes, units[1])
    return total, squares


def _write_scores(
    target: "h5py.File",
    counts: _Stored,
    selected: np.ndarray,
    mean: np.ndarray,
    std: np.ndarray,
    max_value: float | None,
    n_cells: int,
) -> None:
    def scores_of(part: tuple[int, np.ndarray, sparse.csr_matrix]) -> tuple[int, np.ndarray]:
        first, factors, block = part
        log_values = normalise(block[:, selected], factors, counts.input_kind)
        return first, z_score(log_values, mean, std, max_value)

    scores = target.create_group("obsm").create_dataset("X_cicl_input", (n_cells, len(selected)), np.float32)
    for first, found in map_in_order(scores_of, counts.blocks()):
        scores[first : first + len(found)] = found


def finish(target: "h5py.File", kept: "AnnData") -> None:
    """Write obs, var and uns of `kept` beside the values, as anndata would."""
    from anndata.io import write_elem

    from ..io.write_h5ad import storable

    kept.obs, kept.var = storable(kept.obs), storable(kept.var)
    target.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
    target["obsm"].attrs.update({"encoding-type": "dict", "encoding-version": "0.1.0"})
    target["obsm/X_cicl_input"].attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    for part in ("data", "indices", "indptr"):
        target["X"][part].attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    for key in ("obs", "var"):
        write_elem(target, key, getattr(kept, key))
    for key in ("layers", "obsp", "varm", "varp"):
        write_elem(target, key, {})
    write_elem(target, "uns", dict(kept.uns))


def write_prepared(
    matrix: StoredMatrix, path: Path, outfile: Path, sample_id: str, record: dict[str, Any], **options: Any
) -> list[str]:
    """Prepare `matrix`, of the file `path`, into the h5ad `outfile`, whole or not at all; see `prepare_stored`.

    `record` is added to `uns["cicl"]["prepare"]`; gives the warnings.
    """
    from ..io.write_h5ad import hdf5_file
    from ..runtime.files import atomic_path
    from ..runtime.profiling import stage
    from ..runtime.seal import seal

    stages: dict[str, dict[str, float]] = {}
    with atomic_path(outfile) as temporary:
        with hdf5_file(temporary) as target:
            with stage("prepare", stages):
                kept = prepare_stored(matrix, target, name=path.name, **options)
            kept.uns["cicl"].update(id=sample_id, stages=stages)
            kept.uns["cicl"]["prepare"].update(record)
            for column in ("label_col", "batch_col"):
                if options.get(column) is not None:
                    kept.uns["cicl"]["prepare"][column] = options[column]
            finish(target, kept)
        seal(temporary)
    return list(map(str, kept.uns["cicl"].get("warnings", ())))
