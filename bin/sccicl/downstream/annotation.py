"""Cell types for cells and clusters: what every way of annotation gives, whatever it looked at."""

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..errors import InputError
from ..io.validate import add_warning
from ..numerics.ordering import input_order
from ..runtime.files import atomic_path

if TYPE_CHECKING:
    from anndata import AnnData


UNKNOWN = "unknown"
TITLES = {"names": "Your names", "celltypist": "CellTypist", "marker_list": "Marker list", "reference": "Reference"}


@dataclass(frozen=True)
class Annotation:
    """Labels by one method.

    `cell_labels` (cells,) and `confidence` (cells,) in [0, 1] are of each cell; `cluster_labels` maps a cluster to the
    label of all its cells. `source` tells what the labels come from, in plain values.
    """

    method: str
    cell_labels: np.ndarray
    confidence: np.ndarray
    cluster_labels: dict[str, str]
    source: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def vote(labels: np.ndarray, clusters: np.ndarray) -> dict[str, str]:
    """The most frequent label of each cluster's cells: cluster -> label; of equally frequent ones the first by name."""
    table = pd.crosstab(pd.Series(clusters).astype(str), pd.Series(labels).astype(str))
    return {str(cluster): str(label) for cluster, label in table.idxmax(axis=1).items()}


def annotation_record(adata: "AnnData", found: list[Annotation], sample_id: str) -> dict[str, Any]:
    """All that later steps need, in plain values; cells are those of `adata`, in its order."""
    clusters = adata.obs["cicl"].astype(str).to_numpy()
    return {
        "id": sample_id,
        "n_cells": adata.n_obs,
        "first_cell": str(adata.obs_names[0]),
        "methods": {item.method: _method_record(item, clusters) for item in found},
        "warnings": [warning for item in found for warning in item.warnings],
    }


def _method_record(item: Annotation, clusters: np.ndarray) -> dict[str, Any]:
    names, codes = np.unique(item.cell_labels.astype(str), return_inverse=True)
    table = []
    for cluster, label in item.cluster_labels.items():
        inside = clusters == cluster
        table.append(
            {
                "cluster": cluster,
                "label": label,
                "share": float((item.cell_labels[inside] == label).mean()),
                "confidence": float(item.confidence[inside].mean()),
            }
        )
    return {
        "source": item.source,
        "names": names.tolist(),
        "codes": codes.tolist(),
        "confidence": [round(float(value), 4) for value in item.confidence],
        "clusters": sorted(table, key=lambda row: (len(row["cluster"]), row["cluster"])),
    }


def attach_annotation(adata: "AnnData", record: dict[str, Any]) -> None:
    """Put a record to `obs` and `uns["cicl"]["annotation"]`.

    For each method: `obs["cicl_<method>"]` (the cluster's label), `obs["cicl_<method>_cell"]` (the cell's own) and
    `obs["cicl_<method>_confidence"]`.

    Raises
    ------
    InputError
        When the record is of other cells.
    """
    if record["n_cells"] != adata.n_obs or record["first_cell"] != str(adata.obs_names[0]):
        raise InputError(
            f"the annotation is of {record['n_cells']} other cells than the {adata.n_obs} of the clustered file: "
            "give the two files of one sample"
        )
    for name, column in annotation_columns(adata, record).items():
        adata.obs[name] = column.to_numpy() if column.dtype.kind == "f" else pd.Categorical(column)
    section = adata.uns["cicl"]
    section["annotation"] = {
        method: {
            **{key: value for key, value in found["source"].items() if value not in ([], None)},
            "clusters": pd.DataFrame(found["clusters"]).rename(index=str),
        }
        for method, found in record["methods"].items()
    }
    for warning in record["warnings"]:
        add_warning(adata, warning)


def annotation_columns(adata: "AnnData", record: dict[str, Any]) -> pd.DataFrame:
    """Columns for `obs`, indexed by barcode."""
    columns = {}
    clusters = adata.obs["cicl"].astype(str)
    for method, found in record["methods"].items():
        of_cluster = {row["cluster"]: row["label"] for row in found["clusters"]}
        names = np.array(found["names"], dtype=object)
        columns[f"cicl_{method}"] = clusters.map(of_cluster).to_numpy(dtype=object)
        columns[f"cicl_{method}_cell"] = names[found["codes"]]
        columns[f"cicl_{method}_confidence"] = np.array(found["confidence"], dtype=np.float32)
    return pd.DataFrame(columns, index=adata.obs_names)


def write_annotation(adata: "AnnData", record: dict[str, Any], path: str | os.PathLike) -> None:
    """Write one row per cell: barcode, cluster, and the columns of every method."""
    table = annotation_columns(adata, record).rename(columns=lambda name: name.removeprefix("cicl_"))
    table.insert(0, "cluster", adata.obs["cicl"].to_numpy())
    with atomic_path(path) as temporary:
        table.iloc[input_order(adata.obs)].to_csv(temporary, index_label="barcode", float_format="%.4f")
