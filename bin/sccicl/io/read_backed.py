"""Matrices on disk, a block of cells at a time: AnnData stores (h5ad, zarr; CSR, CSC, dense) and 10x .h5."""

import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from anndata import AnnData
from scipy import sparse

from ..errors import InputError
from ..runtime.prefetch import row_blocks
from .hdf5_probe import probe_hdf5
from .read_10x import is_tenx_h5, read_tenx_names
from .read_anndata import count_layers, damaged, is_anndata, is_legacy, read_names, single_precision
from .validate import check_offsets, checked_sparse

# A stored entry costs about this much memory while its block is worked on: index, value, and float64 copies of it.
BYTES_PER_ENTRY = 64
# Smaller blocks save next to nothing and take their time each.
MIN_BLOCK_ENTRIES = 1 << 17
# Blocks that are in memory together, where some are worked on while others are read.
BLOCKS_AT_A_TIME = 6
# In memory a sample costs about this much for each stored entry while it is prepared.
IN_MEMORY_BYTES_PER_ENTRY = 32


class StoredMatrix:
    """A matrix of cells x genes on disk, with the names of both.

    Attributes
    ----------
    names
        AnnData with obs, var and `uns["cicl"]`, and no values.
    n_entries
        Stored entries.
    count_layers
        Gives the names of other matrices of the file that look like counts.
    """

    def __init__(
        self,
        element: Any,
        names: AnnData,
        *,
        by_column: bool = False,
        count_layers: Callable[[], list[str]] = list,
    ):
        self._element, self._by_column = element, by_column
        self._genes: np.ndarray | None = None
        self.names, self.count_layers = names, count_layers
        self._is_sparse = hasattr(element, "keys")
        self._width = names.n_vars
        self._indptr = np.asarray(element["indptr"][:], dtype=np.int64) if self._is_sparse else None
        if self._is_sparse:
            check_offsets(self._indptr, min(element[key].shape[0] for key in ("data", "indices")), "the input")
        self.n_entries = int(self._indptr[-1]) if self._is_sparse else names.n_obs * names.n_vars

    def keep_genes(self, is_gene: np.ndarray) -> None:
        """Leave out all other features, (features,) bool, of those that are kept so far."""
        uns = dict(self.names.uns)
        self.names = self.names[:, is_gene].copy()
        self.names.uns.update(uns)
        places = np.flatnonzero(is_gene)
        self._genes = places if self._genes is None else self._genes[places]

    def blocks(self, max_entries: int) -> Iterator[tuple[int, sparse.csr_matrix]]:
        """First cell and values (cells, genes) of blocks of about `max_entries` stored entries, in order.

        Raises
        ------
        InputError
            When the file is damaged.
        """
        try:
            yield from self._blocks(max_entries)
        except (MemoryError, InputError):
            raise
        except Exception as error:  # what the readers of damaged files raise is not enumerable
            reason = str(error).strip().split("\n")[0] or type(error).__name__
            raise InputError(
                f"the input cannot be read ({reason}): it may be damaged, copy or write it again"
            ) from error

    def _blocks(self, max_entries: int) -> Iterator[tuple[int, sparse.csr_matrix]]:
        if not self._is_sparse:
            yield from self._dense_blocks(max_entries)
        elif self._by_column:
            yield from self._column_blocks(max_entries)
        else:
            with ThreadPoolExecutor() as pool:
                for first, last in row_blocks(self._indptr, max_entries):
                    yield first, self._taken(self._rows(first, last, pool))

    def _taken(self, block: sparse.csr_matrix) -> sparse.csr_matrix:
        return block if self._genes is None else block[:, self._genes]

    def _rows(self, first: int, last: int, pool: ThreadPoolExecutor) -> sparse.csr_matrix:
        start, stop = self._indptr[first], self._indptr[last]
        data = single_precision(read_range(self._element["data"], start, stop, pool))
        indices = read_range(self._element["indices"], start, stop, pool)
        rows = self._indptr[first : last + 1] - start
        return checked_sparse(sparse.csr_matrix((data, indices, rows), (last - first, self._width)), "the input")

    def _dense_blocks(self, max_entries: int) -> Iterator[tuple[int, sparse.csr_matrix]]:
        rows = max(1, max_entries // max(1, self._width))
        for first in range(0, self.names.n_obs, rows):
            yield first, self._taken(sparse.csr_matrix(single_precision(self._element[first : first + rows])))

    def _column_blocks(self, max_entries: int) -> Iterator[tuple[int, sparse.csr_matrix]]:
        """Rows of a matrix stored by column: its entries are sorted into files of some cells each first."""
        n_cells = self.names.n_obs
        n_blocks = max(1, -(-self.n_entries // max_entries))
        rows = max(1, -(-n_cells // n_blocks))
        with tempfile.TemporaryDirectory(prefix="cicl-blocks-") as folder, ThreadPoolExecutor() as pool:
            files = [Path(folder) / str(first) for first in range(0, n_cells, rows)]
            entry = None
            for first, last in row_blocks(self._indptr, max_entries):
                start, stop = self._indptr[first], self._indptr[last]
                data = single_precision(read_range(self._element["data"], start, stop, pool))
                cells = read_range(self._element["indices"], start, stop, pool)
                if len(cells) and not (cells.min() >= 0 and cells.max() < n_cells):
                    raise ValueError("its matrix points outside of itself")
                genes = np.repeat(np.arange(first, last), np.diff(self._indptr[first : last + 1]))
                entry = np.dtype([("cell", np.int32), ("gene", np.int32), ("value", data.dtype)])
                entries = np.empty(len(data), entry)
                entries["cell"], entries["gene"], entries["value"] = cells, genes, data
                entries = entries[np.argsort(cells // rows, kind="stable")]
                bounds = np.searchsorted(entries["cell"] // rows, np.arange(len(files) + 1))
                for number, file in enumerate(files):
                    with file.open("ab") as handle:
                        entries[bounds[number] : bounds[number + 1]].tofile(handle)
            for first, file in zip(range(0, n_cells, rows), files, strict=True):
                found = np.fromfile(file, entry) if entry is not None else np.empty(0, [("cell", "i4"), ("gene", "i4")])
                file.unlink()
                shape = (min(rows, n_cells - first), self._width)
                block = sparse.coo_matrix((found["value"], (found["cell"] - first, found["gene"])), shape).tocsr()
                yield first, self._taken(block)


def sorted_rows(
    blocks: Iterable[tuple[int, sparse.csr_matrix]], parts: Sequence[np.ndarray]
) -> Iterator[tuple[int, sparse.csr_matrix]]:
    """First row and values of a block for each of the `parts`, which name every row once, from blocks of all rows.

    They go through a temporary file for each new block.
    """
    rank = np.argsort(np.concatenate(parts))
    starts = np.cumsum([0, *map(len, parts[:-1])])
    ranks: list[list[np.ndarray]] = [[] for _ in starts]
    sizes: list[list[np.ndarray]] = [[] for _ in starts]
    with tempfile.TemporaryDirectory(prefix="cicl-blocks-") as folder:
        for first, block in blocks:
            own = rank[first : first + block.shape[0]]
            rows = np.argsort(own)
            own, block = own[rows], block[rows]
            bounds = [*np.searchsorted(own, starts), len(own)]
            entries, width = np.rec.fromarrays([block.indices, block.data], names="gene,value"), block.shape[1]
            for number, (start, stop) in enumerate(pairwise(bounds)):
                ranks[number].append(own[start:stop])
                sizes[number].append(np.diff(block.indptr[start : stop + 1]))
                with (Path(folder) / str(number)).open("ab") as handle:
                    entries[block.indptr[start] : block.indptr[stop]].tofile(handle)
        for number, start in enumerate(starts):
            found = np.fromfile(Path(folder) / str(number), entries.dtype)
            (Path(folder) / str(number)).unlink()
            indptr = np.concatenate([[0], np.cumsum(np.concatenate(sizes[number]))])
            shape = len(indptr) - 1, width
            rows = sparse.csr_matrix((found["value"], found["gene"], indptr), shape)
            yield int(start), rows[np.argsort(np.concatenate(ranks[number]))]


def read_range(array: Any, start: int, stop: int, pool: ThreadPoolExecutor) -> np.ndarray:
    """`array[start:stop]` of a one-dimensional array on disk; the chunks of gzip in HDF5 are unpacked side by side."""
    chunk = getattr(array, "chunks", None)
    is_plain_gzip = (
        getattr(array, "compression", None) == "gzip" and not array.shuffle and not array.fletcher32 and chunk
    )
    if not is_plain_gzip or array.scaleoffset is not None or stop <= start:
        return np.asarray(array[int(start) : int(stop)])
    size = chunk[0]
    first, last = int(start) // size, -(-int(stop) // size)

    def raw() -> Iterator[tuple[int, bytes]]:
        for number in range(first, last):
            yield array.id.read_direct_chunk((number * size,))

    def unpack(part: tuple[int, bytes]) -> np.ndarray:
        skipped_filters, content = part
        return np.frombuffer(content if skipped_filters else zlib.decompress(content), array.dtype)

    out = np.empty(int(stop - start), array.dtype)
    for number, part in enumerate(pool.map(unpack, raw()), first):
        low, high = max(number * size, start), min((number + 1) * size, stop)
        out[low - start : high - start] = part[low - number * size : high - number * size]
    return out


def _shape(element: Any) -> tuple[int, int]:
    shape = element.attrs["shape"] if "shape" in element.attrs else element["shape"][:]
    return int(shape[0]), int(shape[1])


@contextmanager
def stored_matrix(path: Path, counts_layer: str | None) -> Iterator[StoredMatrix | None]:
    """The matrix in a file that can be read in blocks; None for one of another format."""
    if path.is_dir():
        if not any((path / marker).exists() for marker in ("zarr.json", ".zgroup")):
            yield None
            return
        import zarr

        yield _of_store(zarr.open_group(path, mode="r"), path.name, counts_layer)
        return
    if not h5py.is_hdf5(path):
        yield None
        return
    probe_hdf5(path)
    with h5py.File(path, "r") as file:
        yield _of_store(file, path.name, counts_layer) or (_of_tenx(file, path.name) if counts_layer is None else None)


def _of_store(group: Any, name: str, counts_layer: str | None) -> StoredMatrix | None:
    if not is_anndata(group) or is_legacy(group):
        return None
    element, names = read_names(group, counts_layer, name)
    encoding = element.attrs.get("encoding-type", "array")
    if encoding not in ("csr_matrix", "csc_matrix", "array"):
        return None
    shape = _shape(element) if encoding != "array" else element.shape
    if shape != (names.n_obs, names.n_vars):
        raise damaged(shape, names, name)
    return StoredMatrix(element, names, by_column=encoding == "csc_matrix", count_layers=lambda: count_layers(group))


def _of_tenx(file: Any, name: str) -> StoredMatrix | None:
    if not is_tenx_h5(file):
        return None
    return StoredMatrix(*read_tenx_names(file, name))
