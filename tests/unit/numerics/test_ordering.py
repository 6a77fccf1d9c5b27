"""Samples sorted by name, and back."""

import anndata
import numpy as np
import pandas as pd
from sccicl.numerics.ordering import in_input_order, input_order, sort_by_name
from scipy import sparse


def sample(cells, genes):
    values = sparse.csr_matrix(np.arange(1, len(cells) * len(genes) + 1, dtype=np.float32).reshape(len(cells), -1))
    adata = anndata.AnnData(values, obs=pd.DataFrame(index=cells), var=pd.DataFrame(index=genes))
    adata.obsm["X_emb"], adata.uns["kept"] = values.toarray()[:, :2], "as it is"
    return adata


def test_sorted_by_code_points_and_back():
    adata = sample(["b", "a10", "a2", "B"], ["g2", "g10", "G"])
    found = sort_by_name(adata)
    assert list(found.obs_names) == ["B", "a10", "a2", "b"] and list(found.var_names) == ["G", "g10", "g2"]
    assert found.X.has_sorted_indices
    np.testing.assert_array_equal(found.X.toarray(), adata[found.obs_names, found.var_names].X.toarray())
    back = in_input_order(found)
    assert back.obs.equals(adata.obs) and back.var.equals(adata.var) and back.uns == adata.uns
    assert (back.X != adata.X).nnz == 0 and (back.obsm["X_emb"] == adata.obsm["X_emb"]).all()


def test_cells_that_are_left_keep_their_order():
    found = sort_by_name(sample(["b", "a10", "a2", "B"], ["g2", "g10", "G"]))[[0, 2, 3], 1:].copy()
    assert list(found.obs_names[input_order(found.obs)]) == ["b", "a2", "B"]
    assert list(in_input_order(found).obs_names) == ["b", "a2", "B"]
    assert list(in_input_order(found).var_names) == ["g2", "g10"]


def test_nothing_is_copied_where_nothing_changes():
    adata = sample(["a", "b"], ["g", "h"])
    assert sort_by_name(adata) is adata and in_input_order(adata) is adata
    assert list(input_order(adata.obs)) == [0, 1]
