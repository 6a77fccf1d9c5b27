"""AnnData stores, .h5ad and .zarr: X, obs and var, and nothing else of the file."""

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from anndata.io import read_elem
from scipy import sparse

from ..errors import InputError
from .validate import add_warning, by_likelihood, checked_sparse, look_like_counts, look_like_logs, quoted

if TYPE_CHECKING:
    import h5py
    import zarr

    Group = h5py.Group | zarr.Group


BLOCK_VALUES = 1 << 25
SAMPLE_VALUES = 100_000


def is_anndata(group: "Group") -> bool:
    """Whether an open HDF5 or zarr group is an AnnData store."""
    return "obs" in group and "var" in group


def is_legacy(group: "Group") -> bool:
    """Whether the store was written by an anndata before 0.7, which only anndata itself can read."""
    return "encoding-type" not in group["obs"].attrs


def matrix_names(group: "Group") -> list[str]:
    """List what `--counts-layer` may name in the store: its layers, and `raw` for the matrix of `adata.raw`."""
    names = sorted(group["layers"]) if "layers" in group else []
    return [*names, "raw"] if "raw" in group and "raw" not in names else names


def count_layers(group: "Group") -> list[str]:
    """Those of `matrix_names` that look like counts, the likeliest first."""
    return by_likelihood(name for name in matrix_names(group) if look_like_counts(_sample(_matrix(group, name))))


def log_layers(group: "Group") -> list[str]:
    """Those of `matrix_names` that look like logarithms."""
    return [name for name in matrix_names(group) if look_like_logs(np.asarray(_sample(_matrix(group, name))))]


def parts_note(group: "Group", counts_layer: str | None, name: str) -> str | None:
    """What to know where the matrix taken has only some of the molecules: of spliced, unspliced and ambiguous ones."""
    layers = set(group["layers"]) if "layers" in group else set()
    for part, others in (("spliced", {"unspliced", "ambiguous"}), ("mature", {"nascent", "ambiguous"})):
        if part not in layers or not layers & others:
            continue
        is_part = counts_layer == part
        if counts_layer is None and "X" in group:
            one, other = _sample(group["X"]), _sample(group["layers"][part])
            is_part = np.shape(one) == np.shape(other) and bool(np.array_equal(one, other))
        if is_part:
            missing = " and ".join(sorted(layers & others))
            return (
                f"{name}: the counts are those of the layer '{part}' alone, without '{missing}'; ambiguous molecules "
                "are usually counted too (add the layers up)"
            )
    return None


def read_store(group: "Group", counts_layer: str | None, name: str) -> AnnData:
    """Read X (or `counts_layer` in its place), obs and var of an open AnnData store.

    Parameters
    ----------
    counts_layer
        A layer, or `raw` for the matrix and genes of `adata.raw`; None for X.
    name
        The file, for messages.
    """
    element, names = read_names(group, counts_layer, name)
    matrix = _read_matrix(element, name)
    if matrix.shape != names.shape:
        raise damaged(matrix.shape, names, name)
    adata = AnnData(matrix, obs=names.obs, var=names.var)
    adata.uns.update(names.uns)
    return adata


def read_names(group: "Group", counts_layer: str | None, name: str) -> tuple[Any, AnnData]:
    """The matrix on disk that `counts_layer` names (X if None), and an AnnData of obs and var without values."""
    if counts_layer is None and "X" not in group:
        there = matrix_names(group)
        parts = [layer for layer in there if re.fullmatch(r"counts\.\w+", layer)]
        if len(parts) > 1:
            raise InputError(
                f"{name} has no X, and its counts are in parts of some samples each ({quoted(parts)}): join them with "
                "JoinLayers of Seurat and write the file again, or name one with --counts-layer"
            )
        raise InputError(f"{name} has no X: name its raw counts with --counts-layer (it has {quoted(there)})")
    if counts_layer is not None and counts_layer not in matrix_names(group):
        raise unknown_layer(name, counts_layer, matrix_names(group))
    of_raw = counts_layer == "raw" and "raw" not in group.get("layers", {})
    obs, lost = _read_frame(group["obs"])
    var, lost_too = _read_frame(group["raw"]["var"] if of_raw else group["var"])
    names = AnnData(obs=obs, var=var)
    for column in (*lost, *lost_too):
        add_warning(names, f"the column '{column}' of {name} could not be read and is left out")
    if note := parts_note(group, counts_layer, name):
        add_warning(names, note)
    return group["X"] if counts_layer is None else _matrix(group, counts_layer), names


def damaged(shape: tuple[int, int], names: AnnData, name: str) -> InputError:
    """Make the error for a matrix that does not fit its names."""
    return InputError(
        f"{name} is damaged: its matrix is {shape[0]} x {shape[1]}, its obs has {names.n_obs} rows and its var "
        f"{names.n_vars}: write the file again"
    )


def unknown_layer(name: str, counts_layer: str, existing: list[str]) -> InputError:
    """Make the error for a `--counts-layer` that the file has not."""
    if existing:
        remedy = f"--counts-layer can be {quoted(existing)}, or omitted to use X"
    else:
        remedy = "it has no layers, so leave --counts-layer out to take X"
    return InputError(f"{name} has no layer '{counts_layer}': {remedy}")


def _matrix(group: "Group", name: str) -> Any:
    if "layers" in group and name in group["layers"]:
        return group["layers"][name]
    return group["raw"]["X"]


def _is_sparse(element: Any) -> bool:
    return "indptr" in element if hasattr(element, "keys") else False


def _sample(element: Any) -> np.ndarray:
    if _is_sparse(element):
        return element["data"][:SAMPLE_VALUES]
    return element[: max(1, SAMPLE_VALUES // max(1, element.shape[1]))]


def _read_matrix(element: Any, name: str) -> sparse.csr_matrix:
    if not _is_sparse(element):
        return dense_to_csr(element)
    if element["data"].dtype != np.float16:
        return sparse.csr_matrix(checked_sparse(read_elem(element), name))
    # scipy has no float16.
    of_rows = element.attrs.get("encoding-type", "csr_matrix") != "csc_matrix"
    parts = (element["data"][:].astype(np.float32), element["indices"][:], element["indptr"][:])
    kind = sparse.csr_matrix if of_rows else sparse.csc_matrix
    return sparse.csr_matrix(checked_sparse(kind(parts, shape=tuple(map(int, element.attrs["shape"]))), name))


def single_precision(values: np.ndarray) -> np.ndarray:
    """`values`, as float32 where they are float16, which scipy does not know."""
    return values.astype(np.float32) if values.dtype == np.float16 else values


def dense_to_csr(array: Any) -> sparse.csr_matrix:
    """CSR of a dense HDF5, zarr or NumPy array, block by block so that it is never dense as a whole."""
    step = max(1, BLOCK_VALUES // max(1, array.shape[1]))
    blocks = [
        sparse.csr_matrix(single_precision(np.asarray(array[start : start + step])))
        for start in range(0, array.shape[0], step)
    ]
    return sparse.vstack(blocks, format="csr") if blocks else sparse.csr_matrix(array.shape, dtype=np.float32)


def _read_frame(group: "Group") -> tuple[pd.DataFrame, list[str]]:
    """Read a data frame; the second result names the columns that cannot be read."""
    if group.attrs.get("encoding-type") == "dataframe":  # SeuratDisk writes none for the genes of raw
        try:
            return read_elem(group).drop(columns="_index", errors="ignore"), []
        except Exception:  # whatever one odd column raises, the others are read
            pass
    index_name = str(group.attrs["_index"])
    index = pd.Index(_strings(read_elem(group[index_name]))).astype(str)
    order = group.attrs["column-order"] if "column-order" in group.attrs else sorted(set(group) - {index_name})
    columns, lost = {}, []
    for column in map(str, order):
        try:
            columns[column] = pd.Series(read_elem(group[column]), index=index)
        except Exception:
            lost.append(column)
    return pd.DataFrame(columns, index=index), lost


def _strings(values: Any) -> Any:
    """`values` with bytes decoded."""
    return [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in values]
