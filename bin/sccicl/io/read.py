"""Any input to a validated AnnData of counts: the one way in for every command."""

import operator
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import anndata
import h5py
import numpy as np
from anndata import AnnData
from anndata.io import read_elem, write_elem
from scipy import sparse

from ..config import InputKind
from ..errors import InputError
from ..runtime.seal import is_intact, is_sealed
from .feature_filter import without_other_features
from .folders import unknown_folder
from .hdf5_probe import probe_hdf5
from .names import check_names, clean_names
from .orientation import check_cells_in, oriented
from .read_10x import MATRIX_FILE, is_tenx_h5, read_tenx_h5, read_tenx_mtx, tenx_matrix_files
from .read_anndata import count_layers, dense_to_csr, is_anndata, is_legacy, log_layers, read_store, unknown_layer
from .read_loom import is_loom, loom_count_layers, read_loom
from .read_quants import quant_files, read_quants
from .read_rds import is_r_object, read_r_object
from .read_table import read_table
from .record import Preparation, QualityControl
from .validate import (
    add_warning,
    as_counts,
    by_likelihood,
    check_columns,
    check_input_kind,
    check_size,
    check_values,
    checked_sparse,
    look_like_counts,
    look_like_logs,
)

__all__ = ["check_columns", "read_counts", "take_counts"]
TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".tab", ".st")
HDF5_SUFFIXES = (".h5ad", ".h5", ".hdf5", ".loom")
KNOWN = (
    "an .h5ad, 10x .h5, .loom, .csv, .tsv or .txt file (tables also gzipped), an .rds of Seurat or "
    "SingleCellExperiment, a .zarr store, or a 10x folder with matrix.mtx, features.tsv or genes.tsv, and barcodes.tsv"
)


class _Request(NamedTuple):
    """What the user says of an input."""

    input_kind: InputKind
    counts_layer: str | None
    cells_in: str | None


def read_counts(
    path: str | os.PathLike,
    *,
    input_kind: InputKind = "counts",
    counts_layer: str | None = None,
    cells_in: str | None = None,
) -> AnnData:
    """Read and validate one input.

    Parameters
    ----------
    path
        .h5ad, .zarr, 10x .h5 (Cell Ranger 2 and 3), 10x folder or its .mtx file, .loom, or a .csv, .tsv or .txt table.
    input_kind
        `counts`: whole numbers. `normalised`: RPKM, TPM, CPM or estimated counts. `log`: log1p of normalised values.
    counts_layer
        The layer that holds the values, or `raw` for `adata.raw`; X if None.
    cells_in
        `rows` or `columns` of the file's matrix; None to decide by its names and values (see `orientation`).

    Returns
    -------
    AnnData
        X of shape (cells, genes), CSR float32; obs and var of the file, and nothing else of it. `uns["cicl"]` has
        `prepare` (input, input_kind, counts_layer, cells_in) and, if there are any, `warnings`. Features that are no
        genes are left out (see `feature_filter`).

    Raises
    ------
    InputError
        When the input cannot be read or is not what `input_kind` says; the message names file, row, column and remedy.
    """
    check_input_kind(input_kind)
    check_cells_in(cells_in)
    path = Path(path)
    _check_there(path)
    read = _read_folder if path.is_dir() else _read_file
    try:
        with warnings.catch_warnings():
            # What matters of the readers' warnings (old formats, names that are not unique) is checked here.
            warnings.simplefilter("ignore")
            return read(path, _Request(input_kind, counts_layer, cells_in))
    except (InputError, ImportError, MemoryError):
        raise
    except Exception as error:  # what the readers of damaged files raise is not enumerable
        reason, remedy = _reason(error), _remedy(error)
        raise InputError(f"{path.name} cannot be read ({reason}): {remedy}") from error


def _reason(error: Exception) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__


def _remedy(error: Exception) -> str:
    """A remedy for what a reader raised; only where its structure says so a file is called damaged."""
    text = str(error).lower()
    if isinstance(error, UnicodeDecodeError):
        return "its text is not UTF-8, so write it again as UTF-8"
    if "filter" in text or "plugin" in text:
        return "it is compressed in a way that is not installed here, so write it again with compression='gzip'"
    if any(
        sign in text
        for sign in (
            "truncated",
            "signature",
            "checksum",
            "crc",
            "not a gzipped",
            "eof",
            "end-of-stream",
            "addr overflow",
        )
    ):
        return "it is damaged or cut off, so copy or write it again"
    return "write it again with a current version of the program that made it, such as adata.write_h5ad of anndata"


def take_counts(
    adata: AnnData,
    *,
    input_kind: InputKind = "counts",
    counts_layer: str | None = None,
    cells_in: str | None = None,
    name: str = "the AnnData",
) -> AnnData:
    """Validate an AnnData in memory (or backed) as `read_counts` does a file.

    Parameters
    ----------
    adata
        Is not changed. X may be dense or of any sparse format.

    Returns
    -------
    AnnData
        As of `read_counts`. X shares memory with `adata` where it is CSR float32 already.
    """
    check_input_kind(input_kind)
    check_cells_in(cells_in)
    # From 0.13 anndata lists X among the layers, as None.
    layers = [layer for layer in adata.layers if layer is not None]
    existing = [*layers, *(["raw"] if adata.raw is not None and "raw" not in layers else [])]
    if counts_layer is not None and counts_layer not in existing:
        raise unknown_layer(name, counts_layer, existing)
    matrix = _matrix(adata, counts_layer)
    var = adata.raw.var if counts_layer == "raw" and "raw" not in adata.layers else adata.var
    if matrix is None:
        raise InputError(f"{name} has no X: name its raw counts with --counts-layer")

    def like(test: Callable[[Any], bool]) -> list[str]:
        return [layer for layer in existing if test(_to_csr(_matrix(adata, layer)[:100]).data)]

    if sparse.issparse(matrix) and matrix.format in ("csr", "csc"):
        checked_sparse(matrix, name)
    taken = anndata.AnnData(_to_csr(matrix), obs=adata.obs.copy(), var=var.copy())
    request = _Request(input_kind, counts_layer, cells_in)
    return _validated(taken, name, request, lambda: by_likelihood(like(look_like_counts)), lambda: like(look_like_logs))


def _matrix(adata: AnnData, layer: str | None) -> Any:
    if layer is None:
        return adata.X
    if layer == "raw" and layer not in adata.layers:
        return adata.raw.X
    return adata.layers[layer]


def _to_csr(matrix: Any) -> "sparse.csr_matrix":
    if hasattr(matrix, "to_memory"):
        matrix = matrix.to_memory()
    if isinstance(matrix, sparse.csr_matrix):
        return matrix
    return sparse.csr_matrix(matrix) if sparse.issparse(matrix) else dense_to_csr(matrix)


def _check_there(path: Path) -> None:
    if not path.exists():
        raise InputError(f"{path} does not exist: check the path")
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"{path.name} is empty (0 bytes): copy or write it again")
    if path.is_dir() and not any(path.iterdir()):
        raise InputError(f"the folder {path.name} is empty: give {KNOWN}")


def _read_folder(path: Path, request: _Request) -> AnnData:
    if any((path / marker).exists() for marker in ("zarr.json", ".zgroup", ".zattrs", ".zmetadata")):
        return _read_zarr(path, request)
    if quant_files(path):
        _no_layers(path, request.counts_layer)
        return _validated(read_quants(path), path.name, request)
    if tenx_matrix_files(path):
        _no_layers(path, request.counts_layer)
        return _validated(read_tenx_mtx(path), path.name, request)
    raise unknown_folder(path, KNOWN)


def _read_zarr(path: Path, request: _Request) -> AnnData:
    import zarr

    group = zarr.open_group(path, mode="r")
    if not is_anndata(group):
        raise InputError(f"{path.name} is a zarr store but not one of AnnData (no obs, no var): give {KNOWN}")
    return _read_store(group, path.name, request)


def _read_store(group: Any, name: str, request: _Request) -> AnnData:
    adata = read_store(group, request.counts_layer, name)
    return _validated(adata, name, request, lambda: count_layers(group), lambda: log_layers(group))


def _read_file(path: Path, request: _Request) -> AnnData:
    if h5py.is_hdf5(path):
        return _read_hdf5(path, request)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    zipped = bool(suffixes) and suffixes[-1] == ".gz"
    suffix = "".join(suffixes[-2:-1] if zipped else suffixes[-1:])
    if suffix in HDF5_SUFFIXES and zipped:
        raise InputError(f"{path.name} is a gzipped {suffix} file: unpack it first with gunzip {path.name}")
    if suffix in HDF5_SUFFIXES:
        kind = "an h5ad file" if suffix == ".h5ad" else f"a {suffix} file"
        raise InputError(
            f"{path.name} is not {kind} (its content is not HDF5): write it again, or give it the right suffix"
        )
    if suffix == ".zip" or suffixes[-2:] == [".tar", ".gz"] or suffix in (".tar", ".tgz"):
        tool = "unzip" if suffix == ".zip" else "tar -xf"
        raise InputError(f"{path.name} is an archive: unpack it first with {tool} {path.name}, and give what it holds")
    if is_r_object(path) and _is_of_r(path):
        return _validated(read_r_object(path, request.counts_layer), path.name, request)
    _no_layers(path, request.counts_layer)
    if suffix == ".mtx":
        if not MATRIX_FILE.match(path.name):
            raise InputError(
                f"{path.name} must be called matrix.mtx, with any prefix, so that features and barcodes are found "
                "beside it"
            )
        return _validated(read_tenx_mtx(path), path.name, request)
    if suffix in TABLE_SUFFIXES:
        # Which axis has the cells is decided there.
        return _validated(read_table(path, request.cells_in), path.name, request, is_table=True)
    raise InputError(f"{path.name} is of no known format: give {KNOWN}")


def _is_of_r(path: Path) -> bool:
    """Whether a file begins as R's files of objects do, compressed or not."""
    with path.open("rb") as handle:
        start = handle.read(6)
    return start[:2] in (b"\x1f\x8b", b"BZ", b"X\n", b"A\n", b"RD") or start == b"\xfd7zXZ\0"


def _read_hdf5(path: Path, request: _Request) -> AnnData:
    if not is_intact(path):
        raise InputError(f"{path.name} is damaged (its checksum is wrong): copy or write it again")
    if not is_sealed(path):
        probe_hdf5(path)
    with h5py.File(path, "r") as file:
        if is_anndata(file) and not is_legacy(file):
            return _read_store(file, path.name, request)
        if is_loom(file):
            adata = read_loom(file, request.counts_layer, path.name)
            return _validated(adata, path.name, request, lambda: loom_count_layers(file))
        if is_tenx_h5(file):
            _no_layers(path, request.counts_layer)
            return _validated(read_tenx_h5(file, path.name), path.name, request)
        if "mod" in file:
            raise InputError(
                f"{path.name} holds several modalities (MuData): write the RNA alone, as "
                "mdata['rna'].write_h5ad('rna.h5ad')"
            )
        if not is_anndata(file):
            raise InputError(
                f"{path.name} is HDF5 but no h5ad, 10x or loom file (it has {', '.join(file) or 'nothing'}): give "
                f"{KNOWN}"
            )
    return take_counts(anndata.read_h5ad(path), **request._asdict(), name=path.name)


def _no_layers(path: Path, counts_layer: str | None) -> None:
    if counts_layer is not None:
        raise InputError(
            f"{path.name} has one matrix only, so there is no layer '{counts_layer}': leave --counts-layer out"
        )


def _validated(
    adata: AnnData,
    name: str,
    request: _Request,
    count_layers: Callable[[], list[str]] = list,
    log_layers: Callable[[], list[str]] = list,
    *,
    is_table: bool = False,
) -> AnnData:
    """`adata` with X as CSR float32 after all checks, and what was read in `uns["cicl"]`.

    Where names or values are wrong, those of cells and genes that are kept are told.
    """
    clean_names(adata, name)
    if not is_table:
        adata = oriented(adata, request.cells_in, name)
    Preparation(input=name, **request._asdict()).put(adata)
    adata = without_other_features(adata, name)
    check_size(adata)
    check_names(adata, name)
    matrix = adata.X
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
        adata.X = matrix
    layer = request.counts_layer
    where = "X" if layer is None else "raw.X" if layer == "raw" else f"layers['{layer}']"
    kind = request.input_kind
    check_values(adata, input_kind=kind, where=where, count_layers=count_layers, log_layers=log_layers)
    adata.X = as_counts(matrix, kind)
    return adata


# Keys of uns["cicl"] that `read_counts` leaves behind, as it takes no more of a file than counts, obs and var.
STEP_RECORDS = ("cells", "reads", "qc", "joined", "warnings")


def take_record(adata: AnnData, path: Path) -> None:
    """Add to `uns["cicl"]` what the steps before left in the h5ad at `path`, which `adata` was read from.

    Where another program has changed that, it is left out with a warning.
    """
    if not path.is_file() or not h5py.is_hdf5(path):
        return
    try:
        record = _earlier_record(path)
    except Exception:  # what the readers of changed files raise is not enumerable
        add_warning(
            adata,
            f"{path.name}: the records of earlier steps in uns['cicl'] were changed by another program and cannot be "
            "read, so they are left out",
        )
        return
    for warning in record.pop("warnings", ()):
        add_warning(adata, warning)
    adata.uns["cicl"].update(record)


def _earlier_record(path: Path) -> dict[str, Any]:
    """The `STEP_RECORDS` of an h5ad; raises where no report could be made of them, or no file could hold them."""
    with h5py.File(path, "r") as file:
        record = {key: read_elem(file[f"uns/cicl/{key}"]) for key in STEP_RECORDS if f"uns/cicl/{key}" in file}
    numbers = [record["cells"][name] for name in ("barcodes", "cells")] if "cells" in record else []
    if "qc" in record:
        found = QualityControl.from_uns(record["qc"])
        numbers += [found.cells_in, found.cells_out, found.genes_in, found.genes_out, *found.removed.values()]
        numbers += [round(float(limit)) for limit in found.thresholds.values()]
    for number in numbers:
        operator.index(number)
    with h5py.File("record", "w", driver="core", backing_store=False) as file:
        write_elem(file, "record", record)
    if "warnings" in record:
        # R makes one text of a list of one.
        record["warnings"] = list(map(str, np.atleast_1d(record["warnings"])))
    return record
