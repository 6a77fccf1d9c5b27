"""Loom files: the matrix, or a layer of it, with the attributes of cells and genes."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from ..errors import InputError
from .read_anndata import dense_to_csr, unknown_layer
from .validate import look_like_counts, quoted

if TYPE_CHECKING:
    import h5py


CELL_NAMES = ("CellID", "obs_names", "cell_id", "Barcode", "barcode", "barcodes", "index")
# Accession before Gene: ids are unique, symbols are not.
GENE_NAMES = ("Accession", "var_names", "gene_ids", "Gene", "gene", "genes", "index")


def is_loom(file: "h5py.File") -> bool:
    """Whether an open HDF5 file is a loom file."""
    return {"matrix", "row_attrs", "col_attrs"} <= set(file)


def read_loom(file: "h5py.File", counts_layer: str | None, name: str) -> AnnData:
    """Read the matrix (or `counts_layer`), cells and genes of an open loom file."""
    if counts_layer is not None and counts_layer not in file.get("layers", {}):
        raise unknown_layer(name, counts_layer, sorted(file.get("layers", {})))
    obs = _frame(file["col_attrs"], CELL_NAMES, "cell", name)
    var = _frame(file["row_attrs"], GENE_NAMES, "gene", name).rename(columns={"Gene": "gene_symbols"})
    genes_by_cells = file["matrix"] if counts_layer is None else file["layers"][counts_layer]
    return AnnData(dense_to_csr(genes_by_cells).T.tocsr(), obs=obs, var=var)


def loom_count_layers(file: "h5py.File") -> list[str]:
    """List the layers that look like counts."""
    return [layer for layer, values in file.get("layers", {}).items() if look_like_counts(values[:100])]


def _frame(attributes: "h5py.Group", names: tuple[str, ...], what: str, name: str) -> pd.DataFrame:
    values = {key: _values(attributes[key]) for key in attributes if attributes[key].ndim == 1}
    index = next((key for key in names if key in values), None)
    if index is None:
        raise InputError(
            f"{name} does not name its {what}s: store the names as the attribute "
            f"'{names[0] if what == 'cell' else 'Gene'}' "
            f"(it has {quoted(values)})"
        )
    labels = pd.Index(values.pop(index).astype(str))
    return pd.DataFrame(values, index=labels)


def _values(dataset: "h5py.Dataset") -> np.ndarray[Any, Any]:
    return dataset.asstr()[:].astype(object) if dataset.dtype.kind in "SO" else dataset[:]
