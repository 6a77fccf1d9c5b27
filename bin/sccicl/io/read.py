"""Any input to a validated AnnData of counts: the one way in for every command."""

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scipy import sparse

from ..config import InputKind
from ..errors import InputError
from ..runtime.seal import is_intact
from .validate import (
    add_warning,
    as_counts,
    check_columns,
    check_input_kind,
    check_names,
    check_size,
    check_values,
    checked_sparse,
    look_like_counts,
)

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData
    from scipy import sparse


__all__ = ["check_columns", "read_counts", "take_counts"]
TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".tab")
HDF5_SUFFIXES = (".h5ad", ".h5", ".hdf5", ".loom")
KNOWN = (
    "an .h5ad, 10x .h5, .loom, .csv, .tsv or .txt file (tables also gzipped), a .zarr store, or a 10x folder with "
    "matrix.mtx, "
    "features.tsv or genes.tsv, and barcodes.tsv"
)


def read_counts(
    path: str | os.PathLike, *, input_kind: InputKind = "counts", counts_layer: str | None = None
) -> "AnnData":
    """Read and validate one input.

    Parameters
    ----------
    path
        .h5ad, .zarr, 10x .h5 (Cell Ranger 2 and 3), 10x folder or its .mtx file, .loom, or a .csv, .tsv or .txt table.
    input_kind
        `counts`: whole numbers. `normalised`: RPKM, TPM, CPM or estimated counts. `log`: log1p of normalised values.
    counts_layer
        The layer that holds the values, or `raw` for `adata.raw`; X if None.

    Returns
    -------
    AnnData
        X of shape (cells, genes), CSR float32; obs and var of the file, and nothing else of it. `uns["cicl"]` has
        `prepare` (input, input_kind, counts_layer) and, if there are any, `warnings`.

    Raises
    ------
    InputError
        When the input cannot be read or is not what `input_kind` says; the message names file, row, column and remedy.
    """
    check_input_kind(input_kind)
    path = Path(path)
    _check_there(path)
    read = _read_folder if path.is_dir() else _read_file
    try:
        with warnings.catch_warnings():
            # What matters of the readers' warnings (old formats, names that are not unique) is checked here.
            warnings.simplefilter("ignore")
            return read(path, input_kind, counts_layer)
    except (InputError, ImportError, MemoryError):
        raise
    except Exception as error:  # what the readers of damaged files raise is not enumerable
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise InputError(f"{path.name} cannot be read ({reason}): it may be damaged, copy or write it again") from error


def take_counts(
    adata: "AnnData", *, input_kind: InputKind = "counts", counts_layer: str | None = None, name: str = "the AnnData"
) -> "AnnData":
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
    from .read_anndata import unknown_layer

    # From 0.13 anndata lists X among the layers, as None.
    layers = [layer for layer in adata.layers if layer is not None]
    existing = [*layers, *(["raw"] if adata.raw is not None and "raw" not in layers else [])]
    if counts_layer is not None and counts_layer not in existing:
        raise unknown_layer(name, counts_layer, existing)
    matrix = _matrix(adata, counts_layer)
    var = adata.raw.var if counts_layer == "raw" and "raw" not in adata.layers else adata.var
    if matrix is None:
        raise InputError(f"{name} has no X: name its raw counts with --counts-layer")

    def count_layers() -> list[str]:
        return [layer for layer in existing if look_like_counts(_to_csr(_matrix(adata, layer)[:100]).data)]

    import anndata
    from scipy import sparse

    if sparse.issparse(matrix) and matrix.format in ("csr", "csc"):
        checked_sparse(matrix, name)
    taken = anndata.AnnData(_to_csr(matrix), obs=adata.obs.copy(), var=var.copy())
    return _validated(taken, name, input_kind, counts_layer, count_layers)


def _matrix(adata: "AnnData", layer: str | None) -> Any:
    if layer is None:
        return adata.X
    if layer == "raw" and layer not in adata.layers:
        return adata.raw.X
    return adata.layers[layer]


def _to_csr(matrix: Any) -> "sparse.csr_matrix":
    from scipy import sparse

    from .read_anndata import dense_to_csr

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


def _read_folder(path: Path, input_kind: InputKind, counts_layer: str | None) -> "AnnData":
    from .read_10x import read_tenx_mtx, tenx_matrix_files
    from .read_quants import quant_files, read_quants

    if any((path / marker).exists() for marker in ("zarr.json", ".zgroup", ".zattrs", ".zmetadata")):
        return _read_zarr(path, input_kind, counts_layer)
    if tenx_matrix_files(path):
        _no_layers(path, counts_layer)
        return _validated(read_tenx_mtx(path), path.name, input_kind, None)
    if quant_files(path):
        _no_layers(path, counts_layer)
        return _validated(read_quants(path), path.name, input_kind, None)
    inside = sorted(folder.name for folder in path.iterdir() if folder.is_dir() and tenx_matrix_files(folder))
    hint = f"did you mean its folder {inside[0]}? Otherwise give" if inside else "give"
    raise InputError(f"the folder {path.name} is neither a 10x folder nor a zarr store: {hint} {KNOWN}")


def _read_zarr(path: Path, input_kind: InputKind, counts_layer: str | None) -> "AnnData":
    import zarr

    from .read_anndata import count_layers, is_anndata, read_store

    group = zarr.open_group(path, mode="r")
    if not is_anndata(group):
        raise InputError(f"{path.name} is a zarr store but not one of AnnData (no obs, no var): give {KNOWN}")
    adata = read_store(group, counts_layer, path.name)
    return _validated(adata, path.name, input_kind, counts_layer, lambda: count_layers(group))


def _read_file(path: Path, input_kind: InputKind, counts_layer: str | None) -> "AnnData":
    import h5py

    if h5py.is_hdf5(path):
        return _read_hdf5(path, input_kind, counts_layer)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    zipped = bool(suffixes) and suffixes[-1] == ".gz"
    suffix = "".join(suffixes[-2:-1] if zipped else suffixes[-1:])
    if suffix in HDF5_SUFFIXES and zipped:
        raise InputError(f"{path.name} is a gzipped {suffix} file: unpack it first with gunzip {path.name}")
    if suffix in HDF5_SUFFIXES:
        kind = "an h5ad file" if suffix == ".h5ad" else f"a {suffix} file"
        raise InputError(
            f"{path.name} is not {kind} (its content is not HDF5): write it again, or name it by what it is"
        )
    _no_layers(path, counts_layer)
    if suffix == ".mtx":
        from .read_10x import MATRIX_FILE, read_tenx_mtx

        if not MATRIX_FILE.match(path.name):
            raise InputError(
                f"{path.name} must be called matrix.mtx, with any prefix, so that features and barcodes are found "
                "beside it"
            )
        return _validated(read_tenx_mtx(path), path.name, input_kind, None)
    if suffix in TABLE_SUFFIXES:
        from .read_table import read_table

        return _validated(read_table(path), path.name, input_kind, None)
    raise InputError(f"{path.name} is of no known format: give {KNOWN}")


def _read_hdf5(path: Path, input_kind: InputKind, counts_layer: str | None) -> "AnnData":
    if not is_intact(path):
        raise InputError(f"{path.name} is damaged (its checksum is wrong): copy or write it again")
    import h5py

    from .read_10x import is_tenx_h5, read_tenx_h5
    from .read_anndata import count_layers, is_anndata, is_legacy, read_store
    from .read_loom import is_loom, loom_count_layers, read_loom

    with h5py.File(path, "r") as file:
        if is_anndata(file) and not is_legacy(file):
            adata = read_store(file, counts_layer, path.name)
            return _validated(adata, path.name, input_kind, counts_layer, lambda: count_layers(file))
        if is_loom(file):
            adata = read_loom(file, counts_layer, path.name)
            return _validated(adata, path.name, input_kind, counts_layer, lambda: loom_count_layers(file))
        if is_tenx_h5(file):
            _no_layers(path, counts_layer)
            return _validated(read_tenx_h5(file, path.name), path.name, input_kind, None)
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
    import anndata

    return take_counts(anndata.read_h5ad(path), input_kind=input_kind, counts_layer=counts_layer, name=path.name)


def _no_layers(path: Path, counts_layer: str | None) -> None:
    if counts_layer is not None:
        raise InputError(
            f"{path.name} has one matrix only, so there is no layer '{counts_layer}': leave --counts-layer out"
        )


def _validated(
    adata: "AnnData",
    name: str,
    input_kind: InputKind,
    counts_layer: str | None,
    count_layers: Callable[[], list[str]] = list,
) -> "AnnData":
    """`adata` with X as CSR float32 after all checks, and what was read in `uns["cicl"]`."""
    origin = {"input": name, "input_kind": input_kind, "counts_layer": counts_layer}
    adata.uns.setdefault("cicl", {})["prepare"] = {key: value for key, value in origin.items() if value is not None}
    adata.obs_names, adata.var_names = adata.obs_names.astype(str), adata.var_names.astype(str)
    check_size(adata)
    check_names(adata)
    matrix = adata.X
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
        adata.X = matrix
    where = "X" if counts_layer is None else "raw.X" if counts_layer == "raw" else f"layers['{counts_layer}']"
    check_values(adata, input_kind=input_kind, where=where, count_layers=count_layers)
    adata.X = as_counts(matrix, input_kind)
    return adata


# Keys of uns["cicl"] that `read_counts` leaves behind, as it takes no more of a file than counts, obs and var.
STEP_RECORDS = ("cells", "reads", "qc", "joint", "warnings")


def take_record(adata: "AnnData", path: "Path") -> None:
    """Add to `uns["cicl"]` what the steps before left in the h5ad at `path`, which `adata` was read from."""
    import h5py
    from anndata.io import read_elem

    if not path.is_file() or not h5py.is_hdf5(path):
        return
    with h5py.File(path, "r") as file:
        record = {key: read_elem(file[f"uns/cicl/{key}"]) for key in STEP_RECORDS if f"uns/cicl/{key}" in file}
    for warning in record.pop("warnings", ()):
        add_warning(adata, str(warning))
    adata.uns["cicl"].update(record)
