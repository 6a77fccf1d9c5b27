"""Names that a person gave to clusters, as the report exports them."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from .annotate_reference import read_labels
from .annotation import UNKNOWN, Annotation

if TYPE_CHECKING:
    from anndata import AnnData


def annotate_by_names(adata: "AnnData", path: str | os.PathLike) -> Annotation:
    """Label the cells by the names of their clusters; clusters without a name are `unknown`.

    Parameters
    ----------
    adata
        Clustered sample.
    path
        CSV with the columns `cluster` and `label`, as the report downloads it.

    Raises
    ------
    InputError
        When it is not such a table, or names a cluster that the sample does not have.
    """
    path = Path(path)
    names = read_labels(path)
    clusters = adata.obs["cicl"].astype(str).to_numpy()
    known = [str(name) for name in adata.obs["cicl"].cat.categories]
    if strange := [name for name in names if name not in known]:
        raise InputError(
            f"{path.name}: the sample has no cluster {strange[0]}, but {known[0]} to {known[-1]}; give the names of "
            "this sample"
        )
    labels = {name: names.get(name, UNKNOWN) for name in known}
    cells = np.array([labels[name] for name in clusters], dtype=object)
    return Annotation(
        "names",
        cells,
        (cells != UNKNOWN).astype(float),
        labels,
        {"file": path.name, "n_types": len(set(names.values()))},
    )
