"""Preparation of a matrix that does not fit into memory: from file to file, a block of cells at a time.

The first pass checks the counts, sums them up for the size factors, and copies them into the file of the result in the
order of the names; over that copy `prepare.prepare_blocks` then goes as it does in memory. Threads read ahead and work
on blocks side by side.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import anndata
import numpy as np
from anndata import AnnData
from anndata.io import write_elem
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
    MIN_BLOCK_ENTRIES,
    StoredMatrix,
    sorted_rows,
)
from ..io.record import Preparation
from ..io.validate import add_warning, are_plain_counts, as_counts, check_columns, check_size, check_values
from ..io.write_h5ad import hdf5_file, storable
from ..numerics.ordering import canonical_order, is_in_order, sort_by_name
from ..runtime.files import atomic_path
from ..runtime.prefetch import MAX_BLOCK_ENTRIES, map_in_order, prefetch, row_blocks
from ..runtime.profiling import stage
from ..runtime.seal import seal
from .highly_variable_genes import Block
from .normalise import library_sizes, size_factors
from .prepare import prepare_blocks, record_dropped

if TYPE_CHECKING:
    import h5py


# Entries of a chunk of the written matrix: 4 MB.
CHUNK = 1 << 20
# Memory for the interpreter, libraries and names.
BASE_BYTES = 600 << 20


def fits_in_memory(matrix: StoredMatrix, config: Config, max_bytes: int) -> bool:
    """Whether the sample is prepared in memory within `max_bytes`."""
    dense = matrix.names.n_obs * min(config.n_genes, matrix.names.n_vars) * 8
    return BASE_BYTES + matrix.n_entries * IN_MEMORY_BYTES_PER_ENTRY + dense <= max_bytes


@dataclass
class _Copied:
    """The copy of the counts: `indptr` of its rows, their `library` sizes, and the cells that have a gene, (genes,)."""

    indptr: np.ndarray
    library: np.ndarray
    found: np.ndarray


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
) -> AnnData:
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
    names = sort_by_name(names)
    if input_kind == "counts":
        warn_of_empty_droplets(names, copied.library)
    kept = _without_empty(names, copied)
    cells, genes = np.diff(copied.indptr) > 0, copied.found > 0
    _drop_from_copy(target, copied, cells, genes)

    library = copied.library[cells]
    counts = _Stored(target["X"], kept.n_vars, size_factors(library), max_entries)
    if not genes.all():
        counts.new_numbers = (np.cumsum(genes) - 1).astype(np.int32)
    prepare_blocks(
        kept,
        counts.blocks,
        library,
        partial(target.create_group("obsm").create_dataset, "X_cicl_input"),
        input_kind=input_kind,
        n_genes=config.n_genes,
        max_value=config.max_value,
        gene_selection=config.gene_selection,
    )
    return kept


def _checked_names(
    matrix: StoredMatrix, name: str, input_kind: InputKind, counts_layer: str | None, cells_in: str | None
) -> AnnData:
    clean_names(matrix.names, name)
    if cells_in is None:
        check_axes(matrix.names.obs_names, matrix.names.var_names, name)
    found = find_genes(matrix.names.var, name)
    if not found.is_gene.all():
        matrix.keep_genes(found.is_gene)
    names = matrix.names
    for note in found.notes:
        add_warning(names, note)
    Preparation(input=name, input_kind=input_kind, counts_layer=counts_layer, cells_in=cells_in).put(names)
    check_size(names)
    check_names(names, name)
    return names


def _copy(
    matrix: StoredMatrix, names: AnnData, target: "h5py.File", input_kind: InputKind, where: str, max_entries: int
) -> _Copied:
    """Write the checked counts to X of `target`, cells and genes by name; uncompressed, for it is read twice more."""
    n_cells, n_genes = names.shape
    cells, genes = canonical_order(names.obs_names), canonical_order(names.var_names)
    sizes, library, found = np.zeros(n_cells, np.int64), np.zeros(n_cells), np.zeros(n_genes, np.int64)
    check = partial(_checked, names, genes, input_kind, where, matrix.count_layers)

    def checked() -> Iterator[tuple[int, sparse.csr_matrix]]:
        for first, block in map_in_order(check, prefetch(matrix.blocks(max_entries))):
            last = first + block.shape[0]
            sizes[first:last] = np.diff(block.indptr)
            library[first:last] = library_sizes(block, input_kind)
            found[:] += np.bincount(block.indices, minlength=n_genes)
            yield first, block

    blocks = checked()
    if not is_in_order(cells):
        blocks = sorted_rows(blocks, cells, matrix.n_entries // max_entries)
    group = target.create_group("X")
    arrays = {
        key: group.create_dataset(key, (0,), dtype, maxshape=(None,), chunks=(CHUNK,))
        for key, dtype in (("data", np.float32), ("indices", np.int32))
    }
    for _, block in blocks:
        start = arrays["data"].shape[0]
        for key, values in (("data", block.data), ("indices", block.indices)):
            arrays[key].resize((start + block.nnz,))
            arrays[key][start:] = values
    return _Copied(np.concatenate([[0], np.cumsum(sizes[cells])]), library[cells], found)


def _checked(
    names: AnnData,
    genes: np.ndarray,
    input_kind: InputKind,
    where: str,
    count_layers: Callable[[], list[str]],
    part: tuple[int, sparse.csr_matrix],
) -> tuple[int, sparse.csr_matrix]:
    """First cell and values of a block, checked, with the genes in the order `genes`."""
    first, block = part
    if not block.has_canonical_format:
        block.sum_duplicates()
    if input_kind != "counts" or not are_plain_counts(block.data):
        check_values(_at(first, block, names), input_kind=input_kind, where=where, count_layers=count_layers)
        block = as_counts(block, input_kind)
    if first == 0:
        check_kind(names, block, input_kind)
    if not is_in_order(genes):
        block = block[:, genes]
        block.sort_indices()
    return first, block


def _at(first: int, block: sparse.csr_matrix, names: AnnData) -> SimpleNamespace:
    """`block` as rows from `first` on of the whole, so that a message names the right cell."""
    indptr = np.concatenate([np.zeros(first, block.indptr.dtype), block.indptr])
    whole = sparse.csr_matrix((block.data, block.indices, indptr), shape=(len(indptr) - 1, block.shape[1]))
    return SimpleNamespace(X=whole, obs_names=names.obs_names, var_names=names.var_names, uns=names.uns)


def _without_empty(names: AnnData, copied: _Copied) -> AnnData:
    """Names of the cells and genes with counts, and a record of those that are dropped."""
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

    def __init__(self, group: "h5py.Group", n_genes: int, factors: np.ndarray, max_entries: int):
        self._group, self._max_entries = group, max_entries
        self.n_genes, self.factors = n_genes, factors
        self._indptr = group["indptr"][:]
        self.new_numbers: np.ndarray | None = None

    def blocks(self) -> Iterator[Block]:
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


def finish(target: "h5py.File", kept: AnnData) -> None:
    """Write obs, var and uns of `kept` beside the values, as anndata would."""
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
    matrix: StoredMatrix, path: Path, outfile: Path, sample_id: str, input_sha256: str, **options: Any
) -> list[str]:
    """Prepare `matrix`, of the file `path`, into the h5ad `outfile`, whole or not at all; gives the warnings.

    See `prepare_stored`.
    """
    stages: dict[str, dict[str, float]] = {}
    with atomic_path(outfile) as temporary:
        with hdf5_file(temporary) as target:
            with stage("prepare", stages):
                kept = prepare_stored(matrix, target, name=path.name, **options)
            kept.uns["cicl"].update(id=sample_id, stages=stages)
            columns = {name: options.get(name) for name in ("label_col", "batch_col")}
            Preparation.update(kept, input_sha256=input_sha256, **columns)
            finish(target, kept)
        seal(temporary)
    return list(map(str, kept.uns["cicl"].get("warnings", ())))
