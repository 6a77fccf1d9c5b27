"""Real cells of two batches beside Harmony and Leiden: control and stimulated blood cells of Kang et al. (2018).

CICL_DATA names the folder that holds kang_ifnb_2800.h5ad (obs["cell_type"], obs["sample"]); without it this is skipped.
"""

import os
from pathlib import Path

import anndata
import numpy as np
import pytest
import scanpy as sc
import torch
from sccicl.config import PRESETS
from sccicl.downstream.metrics import ilisi
from sccicl.steps.cluster import cluster_sample
from sccicl.steps.fit import fit_sample
from sccicl.steps.prepare import prepare_sample
from sklearn.metrics import adjusted_rand_score

PATH = Path(os.environ.get("CICL_DATA", "nowhere")) / "kang_ifnb_2800.h5ad"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not PATH.is_file(), reason="no kang_ifnb_2800.h5ad in CICL_DATA")]


def harmony_leiden(adata, n_clusters):
    """Labels and embedding of the usual way, at the resolution that comes nearest to `n_clusters`."""
    harmonypy = pytest.importorskip("harmonypy")
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    sc.pp.highly_variable_genes(adata, n_top_genes=2000, batch_key="sample")
    adata = adata[:, adata.var["highly_variable"]].copy()
    sc.pp.scale(adata, max_value=10)
    sc.pp.pca(adata, n_comps=30, random_state=0)
    corrected = np.asarray(harmonypy.run_harmony(adata.obsm["X_pca"], adata.obs, "sample", random_state=0).Z_corr)
    adata.obsm["X_harmony"] = corrected if len(corrected) == adata.n_obs else corrected.T
    sc.pp.neighbors(adata, use_rep="X_harmony", random_state=0)
    found = []
    for resolution in np.geomspace(0.1, 2, 16):
        sc.tl.leiden(adata, resolution, flavor="igraph", n_iterations=2, directed=False, random_state=0)
        found.append(adata.obs["leiden"].to_numpy())
    return min(found, key=lambda labels: abs(len(set(labels)) - n_clusters)), adata.obsm["X_harmony"]


def test_types_are_found_as_well_as_by_harmony_and_the_batches_mix(record_property):
    prepared = prepare_sample(PATH, "kang", config=PRESETS["default"], batch_col="sample", integrate=True)
    types = prepared.obs["cell_type"].astype(str).to_numpy()
    n_types = len(set(types))
    fitted = fit_sample(prepared, n_types, config=PRESETS["default"], seed=0, device=torch.device("cpu"), quiet=True)
    cluster_sample(prepared, fitted)
    own = adjusted_rand_score(types, prepared.obs["cicl"].astype(str))
    mixing = ilisi(prepared.obsm["X_cicl"], prepared.obs["sample"].to_numpy())
    labels, embedding = harmony_leiden(anndata.read_h5ad(PATH), n_types)
    usual = adjusted_rand_score(types, labels)
    values = {"ari": own, "ari_harmony": usual, "ilisi": mixing}
    values["ilisi_harmony"] = ilisi(embedding, prepared.obs["sample"].to_numpy())
    for name, value in values.items():
        record_property(name, value)
    print(values)
    assert own >= usual
    assert mixing > 1.5
