"""Where scanpy's plots look: marker genes, colours of the clusters and the graph of neighbours."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from ..numerics.fuzzy_graph import fuzzy_simplicial_set
from ..numerics.neighbours import neighbour_matrix
from .palette import colours
from .umap_tsne import neighbours_of

if TYPE_CHECKING:
    from anndata import AnnData

# Above this many cells the graph of neighbours would take longer than the rest of the step.
MOST_CELLS = 50_000
FIELDS = {
    "names": "gene",
    "scores": "score",
    "logfoldchanges": "log2_fold_change",
    "pvals": "p_value",
    "pvals_adj": "p_adjusted",
}


def add_rank_genes_groups(adata: "AnnData", ranked: pd.DataFrame, key: str = "cicl") -> None:
    """Set `uns["rank_genes_groups"]` as `scanpy.tl.rank_genes_groups` does, for `scanpy.pl.rank_genes_groups_dotplot`.

    Parameters
    ----------
    ranked
        Best genes of each cluster, equally many of each, with the columns `cluster`, `gene`, `score`,
        `log2_fold_change`, `p_value` and `p_adjusted`.
    key
        Column of `obs` with the clusters.
    """
    parts = {str(name): part for name, part in ranked.groupby("cluster", sort=False)}
    names = [str(name) for name in adata.obs[key].cat.categories if str(name) in parts]
    if not names:
        return
    found: dict[str, Any] = {
        "params": {
            "groupby": key,
            "reference": "rest",
            "method": "wilcoxon",
            "use_raw": False,
            "layer": None,
            "corr_method": "benjamini-hochberg",
        }
    }
    for field, column in FIELDS.items():
        kind = "O" if field == "names" else "f8" if field.startswith("pvals") else "f4"
        table = np.empty(len(parts[names[0]]), dtype=[(name, kind) for name in names])
        for name in names:
            table[name] = parts[name][column].to_numpy()
        found[field] = table.view(np.recarray)
    adata.uns["rank_genes_groups"] = found


def add_colours(adata: "AnnData", key: str = "cicl") -> None:
    """Set `uns["cicl_colors"]`, so that scanpy draws the clusters in the colours of the report."""
    adata.uns[f"{key}_colors"] = np.array(colours(len(adata.obs[key].cat.categories)), dtype=object)


def add_neighbours(adata: "AnnData", key: str = "cicl", seed: int = 0) -> sparse.csr_matrix | None:
    """Set `uns["neighbors"]` and its graphs, as `scanpy.pp.neighbors(adata, use_rep="X_cicl")` does.

    15 neighbours, the cell itself counted. Gives the weights, (cells, cells); above 50,000 cells nothing is set, and
    the result is None.
    """
    if not 3 < adata.n_obs <= MOST_CELLS:
        return None
    indices, distances = neighbours_of(np.asarray(adata.obsm[f"X_{key}"]))
    adata.obsp["distances"] = neighbour_matrix(indices, distances)
    adata.obsp["connectivities"] = fuzzy_simplicial_set(indices, distances).astype(np.float32)
    adata.uns["neighbors"] = {
        "connectivities_key": "connectivities",
        "distances_key": "distances",
        "params": {
            "n_neighbors": indices.shape[1] + 1,
            "method": "umap",
            "random_state": seed,
            "metric": "euclidean",
            "use_rep": f"X_{key}",
        },
    }
    return adata.obsp["connectivities"]
