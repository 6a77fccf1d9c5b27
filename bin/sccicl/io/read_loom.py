"""Loom files: the matrix, or a layer of it, with the attributes of cells and genes."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from ..errors import InputError
from .read_anndata import dense_to_csr, unknown_layer
from .validate import add_warning, by_likelihood, look_like_counts, quoted

if TYPE_CHECKING:
    import h5py


CELL_NAMES = (
    "CellID", "obs_names", "cell_id", "Barcode", "barcode", "barcodes", "cell_names", "cell_name", "Cell", "cell",
    "cells", "index",
)  # fmt: skip
# Accession before Gene: ids are unique, symbols are not.
GENE_NAMES = ("Accession", "var_names", "gene_ids", "Gene", "gene", "genes", "gene_names", "Genes", "index")


def is_loom(file: "h5py.File") -> bool:
    """Whether an open HDF5 file is a loom file."""
    return {"matrix", "row_attrs", "col_attrs"} <= set(file)


def read_loom(file: "h5py.File", counts_layer: str | None, name: str) -> AnnData:
    """Read the matrix (or `counts_layer`), cells and genes of an open loom file."""
    if counts_layer is not None and counts_layer not in file.get("layers", {}):
        raise unknown_layer(name, counts_layer, sorted(file.get("layers", {})))
    obs, lost = _frame(file["col_attrs"], CELL_NAMES, "cell", name)
    var, lost_too = _frame(file["row_attrs"], GENE_NAMES, "gene", name)
    if "gene_symbols" not in var:
        var = var.rename(columns={"Gene": "gene_symbols"})
    genes_by_cells = file["matrix"] if counts_layer is None else file["layers"][counts_layer]
    adata = AnnData(dense_to_csr(genes_by_cells).T.tocsr(), obs=obs, var=var)
    for attribute in (*lost, *lost_too):
        add_warning(adata, f"the attribute '{attribute}' of {name} is no plain column and is left out")
    return adata


def loom_count_layers(file: "h5py.File") -> list[str]:
    """List the layers that look like counts."""
    return by_likelihood(layer for layer, values in file.get("layers", {}).items() if look_like_counts(values[:100]))


def _frame(attributes: "h5py.Group", names: tuple[str, ...], what: str, name: str) -> tuple[pd.DataFrame, list[str]]:
    """Attributes as a data frame, and those that are left out: compound ones, as of SCope's regulons."""
    lost = [
        key for key in attributes if getattr(attributes[key], "dtype", None) is not None and attributes[key].dtype.names
    ]
    plain = [key for key in attributes if key not in lost and getattr(attributes[key], "ndim", 0) == 1]
    values = {key: _values(attributes[key]) for key in plain}
    index = next((key for key in names if key in values), None)
    if index is None:
        raise InputError(
            f"{name} does not name its {what}s: store the names as the attribute "
            f"'{names[0] if what == 'cell' else 'Gene'}' "
            f"(it has {quoted(values)})"
        )
    labels = pd.Index(values.pop(index).astype(str))
    return pd.DataFrame(values, index=labels), lost


def _values(dataset: "h5py.Dataset") -> np.ndarray[Any, Any]:
    if dataset.dtype.kind not in "SO":
        return dataset[:]
    # R writes UTF-8 and Latin-1 that it calls ASCII.
    raw = dataset[:]
    return np.array([_text(value) for value in raw], dtype=object)


def _text(value: bytes | str) -> str:
    if isinstance(value, str):
        return value
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")
