"""Preparation of a matrix that does not fit into memory: from file to file, a block of cells at a time.

The first pass checks the counts, sums them up for the size factors and for quality control, and copies them into the
file of the result in the order of the names. From that copy `qc.select` takes cells and genes, and over what is left
`prepare.prepare_blocks` then goes as it does in memory. Threads read ahead and work on blocks side by side.
"""

from collections.abc import Callable, Iterator, Sequence
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
from ..io.gene_names import add_symbols_column
from ..io.names import check_names, clean_names
from ..io.orientation import check_axes
from ..io.plausibility import check_kind, warn_of_sums
from ..io.read import take_record
from ..io.read_backed import (
    BLOCKS_AT_A_TIME,
    BYTES_PER_ENTRY,
    IN_MEMORY_BYTES_PER_ENTRY,
    MIN_BLOCK_ENTRIES,
    StoredMatrix,
    sorted_rows,
)
from ..io.record import Preparation, QualityControl
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
from .qc import Limits, measure, mitochondrial, select

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
    """The copy of the counts.

    `indptr` of its rows, their `library` sizes, the `sums` of the genes, the cells that have a gene (`found`), and what
    `qc.measure` says of the cells, nothing where there are no limits.
    """

    indptr: np.ndarray
    library: np.ndarray
    sums: np.ndarray
    found: np.ndarray
    values: dict[str, np.ndarray]


def prepare_stored(
    matrix: StoredMatrix,
    target: "h5py.File",
    *,
    path: Path,
    config: Config,
    max_bytes: int,
    limits: Limits | None = None,
    input_kind: InputKind = "counts",
    counts_layer: str | None = None,
    cells_in: str | None = None,
    label_col: str | None = None,
    batch_col: str | None = None,
) -> AnnData:
    """Prepare `matrix`, of the file `path`, into the open h5ad `target`: X and `obsm["X_cicl_input"]`.

    Parameters
    ----------
    max_bytes
        Memory that may be used; blocks of cells are as big as it allows, but of 50 MB at least.
    limits
        Cells and genes outside are left out, unless an earlier step has done the quality control.

    Returns
    -------
    AnnData
        obs, var and uns of the result, without values, for `finish`.
    """
    names = _checked_names(matrix, path, input_kind, counts_layer, cells_in)
    check_columns(names, label_col=label_col, batch_col=batch_col)
    if limits is not None and (not limits.active or QualityControl.of(names) is not None):
        limits = None
    affordable = (max_bytes - BASE_BYTES) // (BLOCKS_AT_A_TIME * BYTES_PER_ENTRY)
    max_entries = min(MAX_BLOCK_ENTRIES, max(MIN_BLOCK_ENTRIES, affordable))
    where = "X" if counts_layer is None else "raw.X" if counts_layer == "raw" else f"layers['{counts_layer}']"
    copied = _copy(matrix, names, target, input_kind, where, max_entries, is_measured=limits is not None)
    names = sort_by_name(names)
    warn_of_sums(names, copied.library, copied.sums, input_kind)
    counts = _Stored(target["X"], copied.indptr, names.n_vars, max_entries)
    library, found = copied.library, copied.found
    if limits is not None:
        names, *taken = select(names, copied.values, counts, limits, input_kind)
        counts.take(*taken)
        library, found = counts.sums(input_kind)
    cells, genes = np.diff(counts.indptr) > 0, found > 0
    kept = _without_empty(names, cells, genes)
    counts.take(cells, genes)
    library = library[cells]
    factors = size_factors(library)

    def blocks() -> Iterator[Block]:
        for first, block in counts.blocks():
            yield first, factors[first : first + block.shape[0]], block

    prepare_blocks(
        kept,
        blocks,
        library,
        partial(target.create_group("obsm").create_dataset, "X_cicl_input"),
        input_kind=input_kind,
        n_genes=config.n_genes,
        max_value=config.max_value,
        gene_selection=config.gene_selection,
    )
    counts.finish()
    return kept


def _checked_names(
    matrix: StoredMatrix, path: Path, input_kind: InputKind, counts_layer: str | None, cells_in: str | None
) -> AnnData:
    name = path.name
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
    take_record(names, path)
    add_symbols_column(names)
    return names


def _copy(
    matrix: StoredMatrix,
    names: AnnData,
    target: "h5py.File",
    input_kind: InputKind,
    where: str,
    max_entries: int,
    *,
    is_measured: bool,
) -> _Copied:
    """Write the checked counts to X of `target`, cells and genes by name; uncompressed, for it is read more often."""
    n_cells, n_genes = names.shape
    cells, genes = canonical_order(names.obs_names), canonical_order(names.var_names)
    sizes, library = np.zeros(n_cells, np.int64), np.zeros(n_cells)
    sums, found = np.zeros(n_genes), np.zeros(n_genes, np.int64)
    is_mito, measured = mitochondrial(names)[genes], []
    check = partial(_checked, names, genes, input_kind, where, matrix.count_layers)

    def checked() -> Iterator[tuple[int, sparse.csr_matrix]]:
        for first, block in map_in_order(check, prefetch(matrix.blocks(max_entries))):
            last = first + block.shape[0]
            sizes[first:last] = np.diff(block.indptr)
            library[first:last] = library_sizes(block, input_kind)
            sums[:] += np.bincount(block.indices, block.data, n_genes)
            found[:] += np.bincount(block.indices, minlength=n_genes)
            if is_measured:
                measured.append(measure(block, is_mito, input_kind))
            yield first, block

    blocks = checked()
    if not is_in_order(cells):
        blocks = sorted_rows(blocks, np.array_split(cells, max(1, matrix.n_entries // max_entries)))
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
    values = {key: np.concatenate([part[key] for part in measured])[cells] for key in (measured or [{}])[0]}
    return _Copied(np.concatenate([[0], np.cumsum(sizes[cells])]), library[cells], sums, found, values)


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


def _without_empty(names: AnnData, cells: np.ndarray, genes: np.ndarray) -> AnnData:
    """Names of the `cells` and `genes` with counts, and a record of those that are dropped."""
    kept = anndata.AnnData(obs=names.obs.iloc[cells].copy(), var=names.var.iloc[genes].copy())
    record_dropped(names, kept, np.flatnonzero(cells))
    check_size(kept, dropped=" with counts")
    return kept


class _Stored:
    """The copy of the counts, a block of cells at a time.

    Attributes
    ----------
    indptr
        Offsets of its rows, as of the last whole pass.
    """

    def __init__(self, group: "h5py.Group", indptr: np.ndarray, n_genes: int, max_entries: int):
        self._group, self._n_genes, self._max_entries = group, n_genes, max_entries
        self.indptr = indptr
        self._taken: tuple[np.ndarray, np.ndarray] | None = None

    def take(self, cells: np.ndarray, genes: np.ndarray) -> None:
        """Keep these cells and genes, bool; the copy takes it over in the next pass over its blocks."""
        self._taken = None if cells.all() and genes.all() else (cells, genes)

    def blocks(self) -> Iterator[tuple[int, sparse.csr_matrix]]:
        """First cell and counts of each block."""
        sizes, end = [np.zeros(1, np.int64)], 0
        n_cells, n_genes = 0, self._n_genes
        for first, last in row_blocks(self.indptr, self._max_entries):
            start, stop = self.indptr[first], self.indptr[last]
            data, indices = self._group["data"][start:stop], self._group["indices"][start:stop]
            block = sparse.csr_matrix((data, indices, self.indptr[first : last + 1] - start), (last - first, n_genes))
            if self._taken is not None:
                cells, genes = self._taken
                block = block[cells[first:last]][:, genes]
                # What is kept moves forward, where all has been read.
                if block.nnz < stop - start or end < start:
                    self._group["data"][end : end + block.nnz] = block.data
                self._group["indices"][end : end + block.nnz] = block.indices
            sizes.append(np.diff(block.indptr))
            end += block.nnz
            if block.shape[0]:
                yield n_cells, block
            n_cells += block.shape[0]
        if self._taken is not None:
            self._n_genes, self._taken = int(self._taken[1].sum()), None
            self.indptr = np.cumsum(np.concatenate(sizes))
            for key in ("data", "indices"):
                self._group[key].resize((end,))

    def parts(self, parts: Sequence[np.ndarray]) -> Iterator[sparse.csr_matrix]:
        """Counts of each set of cells, of which one is in memory at a time."""
        wanted = np.sort(np.concatenate(parts))

        def blocks() -> Iterator[tuple[int, sparse.csr_matrix]]:
            for first, block in self.blocks():
                start, stop = np.searchsorted(wanted, (first, first + block.shape[0]))
                yield int(start), block[wanted[start:stop] - first]

        return (block for _, block in sorted_rows(blocks(), [np.searchsorted(wanted, part) for part in parts]))

    def cells_of_genes(self, kept: np.ndarray) -> np.ndarray:
        """How many of the `kept` cells, (cells,) bool, each gene is found in."""
        found = np.zeros(self._n_genes, np.int64)
        for first, block in self.blocks():
            found += block[kept[first : first + block.shape[0]]].getnnz(axis=0)
        return found

    def sums(self, input_kind: InputKind) -> tuple[np.ndarray, np.ndarray]:
        """Library sizes, (cells,), and in how many cells each gene is found, (genes,)."""
        library, found = [], 0
        for _, block in self.blocks():
            library.append(library_sizes(block, input_kind))
            found = found + block.getnnz(axis=0)
        return np.concatenate(library), found

    def finish(self) -> None:
        """Make it a CSR matrix as anndata stores it."""
        self._group.create_dataset("indptr", data=self.indptr)
        self._group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0"})
        self._group.attrs["shape"] = np.array([len(self.indptr) - 1, self._n_genes])


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
                kept = prepare_stored(matrix, target, path=path, **options)
            kept.uns["cicl"].update(id=sample_id, stages=stages)
            columns = {name: options.get(name) for name in ("label_col", "batch_col")}
            Preparation.update(kept, input_sha256=input_sha256, **columns)
            finish(target, kept)
        seal(temporary)
    return list(map(str, kept.uns["cicl"].get("warnings", ())))
