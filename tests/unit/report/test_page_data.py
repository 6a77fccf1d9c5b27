"""Data that the script of the page draws."""

import numpy as np
import pandas as pd
from clustered import clustered, described, metrics
from sccicl.report.page_data import tree
from sccicl.report.sample import read_sample


def test_tree_of_clusters():
    adata = described(clustered("full"))
    found = tree(read_sample(adata, metrics(adata)))
    assert found["numbers"] == [4, 11]
    np.testing.assert_array_equal(found["moves"][0], pd.crosstab(adata.obs["cicl_4"], adata.obs["cicl"]).to_numpy())
    assert all(sorted(order) == list(range(n)) for order, n in zip(found["parents"], found["numbers"], strict=True))
