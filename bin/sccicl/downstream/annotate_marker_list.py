"""Cell types by a list of their marker genes, for people without a model."""

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..errors import InputError
from ..io.gene_names import by_symbols, why_none_matches
from .annotation import UNKNOWN, Annotation
from .expression import log_normalised
from .marker_list import read_marker_list

if TYPE_CHECKING:
    from anndata import AnnData


# Of the score that a cell type has in its best cluster, a cluster or cell of that type has at least this share.
MIN_SHARE = 0.25


def annotate_by_marker_list(adata: "AnnData", path: str | os.PathLike, *, seed: int = 0) -> Annotation:
    """Score every cell for every cell type of a list (`scanpy.tl.score_genes`); a cluster takes the best mean score.

    A score is the mean expression of the type's genes less that of control genes expressed alike. A cell, or a cluster,
    is `unknown` where its best score is not above 0, or below a quarter of what the type has in its best cluster. The
    confidence of a cell is the share of its best score in the sum of its positive scores.

    Parameters
    ----------
    adata
        Clustered sample with counts in X; genes are matched by `var_names`, or by symbols in `var`.
    path
        The list, see `read_marker_list`.

    Raises
    ------
    InputError
        When the list cannot be read, or none of its genes is in the sample.
    """
    path = Path(path)
    types = read_marker_list(path)
    genes = {gene for members in types.values() for gene in members}
    expression = log_normalised(adata, symbols=by_symbols(adata, genes))
    there = {name: [gene for gene in members if gene in expression.var_names] for name, members in types.items()}
    if not any(there.values()):
        reason = why_none_matches(adata, genes, "list")
        raise InputError(f"{path.name}: no gene of this list is in the sample: {reason}")
    scores = _scores(expression, {name: members for name, members in there.items() if members}, seed)
    clusters = adata.obs["cicl"].astype(str).to_numpy()
    names = scores.columns.to_numpy(dtype=object)
    values = scores.to_numpy()
    best = values.argmax(axis=1)
    top = values[np.arange(len(values)), best]
    positive = np.clip(values, 0, None)
    total = positive.sum(axis=1)
    means = scores.groupby(clusters).mean()
    least = np.clip(MIN_SHARE * means.max(axis=0), 1e-12, None)
    voted = means.idxmax(axis=1)
    voted = voted.where(means.max(axis=1).to_numpy() >= least[voted].to_numpy(), UNKNOWN)
    absent = [name for name, members in there.items() if not members]
    missing = sorted(genes - {gene for members in there.values() for gene in members})
    notes = []
    if absent:
        notes = [f"{path.name}: the sample has no marker gene of {' and '.join(absent)}, so no cell gets this label"]
    return Annotation(
        "marker_list",
        np.where(top >= least.to_numpy()[best], names[best], UNKNOWN),
        np.divide(np.clip(top, 0, None), total, out=np.zeros_like(total), where=total > 0),
        {str(cluster): str(label) for cluster, label in voted.items()},
        {
            "file": path.name,
            "n_types": len(types),
            "n_genes": len(genes) - len(missing),
            "n_features": len(genes),
            "missing": missing,
        },
        notes,
    )


def _scores(expression: "AnnData", types: dict[str, list[str]], seed: int) -> pd.DataFrame:
    """Score of each cell for each type, (cells, types)."""
    import scanpy as sc

    found = {}
    for name, genes in types.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                sc.tl.score_genes(expression, genes, score_name="score", random_state=seed, use_raw=False)
            except RuntimeError:  # no gene is left that could be a control
                expression.obs["score"] = (
                    np.asarray(expression[:, genes].X.mean(axis=1)).ravel()
                    - np.asarray(expression.X.mean(axis=1)).ravel()
                )
        found[name] = expression.obs["score"].to_numpy(dtype=float)
    return pd.DataFrame(found, index=expression.obs_names)
