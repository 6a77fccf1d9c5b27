"""The final h5ad in scanpy: what its plots look for is there and right."""

import anndata
import matplotlib as mpl
import numpy as np
import pytest
import scanpy as sc
from clustered import clustered, described
from sccicl.downstream.annotate_names import annotate_by_names
from sccicl.downstream.expression import log_normalised
from sccicl.downstream.palette import colours
from sccicl.downstream.scanpy_slots import add_colours, add_neighbours
from sccicl.errors import InputError
from sccicl.io.write_h5ad import write_h5ad

mpl.use("Agg")


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    adata = described(clustered("full"))
    add_colours(adata)
    add_neighbours(adata)
    path = tmp_path_factory.mktemp("slots") / "full.h5ad"
    write_h5ad(adata, path)
    return anndata.read_h5ad(path)


def test_markers_are_ranked_as_scanpy_ranks_them(stored):
    expression = log_normalised(stored)
    sc.tl.rank_genes_groups(expression, "cicl", method="wilcoxon", tie_correct=True, use_raw=False)
    ours, theirs = stored.uns["rank_genes_groups"], expression.uns["rank_genes_groups"]
    for cluster in ("0", "5"):
        assert list(ours["names"][cluster][:20]) == list(theirs["names"][cluster][:20])
        np.testing.assert_allclose(ours["scores"][cluster][:20], theirs["scores"][cluster][:20], rtol=1e-4)
    figure = sc.pl.rank_genes_groups_dotplot(stored, n_genes=2, show=False, return_fig=True)
    assert figure is not None
    assert len(sc.get.rank_genes_groups_df(stored, group="3")) == 50


def test_colours_and_neighbours(stored):
    assert list(stored.uns["cicl_colors"]) == colours(11)
    assert stored.uns["neighbors"]["params"]["use_rep"] == "X_cicl"
    assert stored.obsp["connectivities"].shape == (700, 700)
    sc.tl.leiden(stored, flavor="igraph", n_iterations=2)
    assert stored.obs["leiden"].nunique() > 3


def test_names_of_clusters(stored, tmp_path):
    (tmp_path / "names.csv").write_text("cluster,label\n0,T cell\n1,T cell\n")
    found = annotate_by_names(stored, tmp_path / "names.csv")
    inside = stored.obs["cicl"].isin(["0", "1"]).to_numpy()
    assert set(found.cell_labels[inside]) == {"T cell"} and set(found.cell_labels[~inside]) == {"unknown"}
    (tmp_path / "names.csv").write_text("cluster,label\n77,T cell\n")
    with pytest.raises(InputError, match="no cluster 77"):
        annotate_by_names(stored, tmp_path / "names.csv")


def test_neighbours_are_those_that_scanpy_finds(stored):
    expected = sc.pp.neighbors(stored, 15, use_rep="X_cicl", copy=True)
    assert stored.uns["neighbors"] == expected.uns["neighbors"]
    for name in ("distances", "connectivities"):
        difference = abs(stored.obsp[name] - expected.obsp[name])
        assert difference.max() < 1e-3 and stored.obsp[name].dtype == expected.obsp[name].dtype
