"""A clustered sample with everything that figures and reports read, made from real cells without running the engine."""

import anndata
import numpy as np
import pandas as pd
import scanpy

SOURCE = {"file": "Blood.pkl", "version": "1.7.1", "n_genes": 700, "n_features": 765, "n_types": 4}
BARE = {"history", "k", "params", "versions", "stages", "prepare", "device", "seed", "warnings"}


def clustered(sample_id: str = "pbmc", *, n_cells: int = 700, seed: int = 0) -> anndata.AnnData:
    """PBMC with Louvain clusters in place of CICL's, and an invented training history."""
    source = scanpy.datasets.pbmc68k_reduced()[:n_cells]
    rng = np.random.default_rng(seed)
    clusters = pd.Series(source.obs["louvain"].astype(str).to_numpy())
    names = {old: str(new) for new, old in enumerate(clusters.value_counts().index)}
    k, n, epochs = len(names), source.n_obs, 50
    obs = pd.DataFrame(
        {
            "bulk_labels": source.obs["bulk_labels"].astype(str).to_numpy(),
            "sample": rng.choice(["donor 1", "donor 2"], n),
            "cicl": pd.Categorical(clusters.map(names), categories=[str(i) for i in range(k)]),
            "cicl_confidence": rng.beta(4, 2, n).astype(np.float32),
        },
        index=source.obs_names.to_numpy(),
    )
    pca = source.obsm["X_pca"].astype(np.float32)
    adata = anndata.AnnData(source.X.astype(np.float32), obs=obs, var=pd.DataFrame(index=source.var_names.to_numpy()))
    adata.obsm["X_cicl"] = pca
    adata.obsm["X_umap"] = source.obsm["X_umap"].astype(np.float32)
    adata.obsm["X_tsne"] = pca[:, 1:3].copy()
    decay = np.exp(-np.arange(epochs) / (9 + 3 * seed))
    adata.uns["cicl"] = {
        "id": sample_id,
        "prepare": {"input": f"{sample_id}.h5ad", "n_genes": 500, "n_cells_read": n + 3, "n_cells_dropped": 3},
        "stages": {stage: {"seconds": 3.5, "peak_memory_mb": 420.0} for stage in ("prepare", "fit", "cluster")},
        "warnings": ["3 cells without counts were dropped"],
        "params": {
            "n_genes": 500,
            "epochs": epochs,
            "batch_size": 6000,
            "temperature": 0.5,
            "cluster_loss_weight": 0.1,
        },
        "seed": 1,
        "versions": {"cicl": "0.1.0", "torch": "2.10.0"},
        "device": "cpu",
        "history": {
            "epoch": np.arange(1, epochs + 1),
            "loss": 3 + 2.2 * decay,
            "instance_loss": 2.8 + 2 * decay,
            "cluster_loss": 2 + 2 * decay,
            "label_change": 0.4 * decay,
        },
        "k": {
            "given": False,
            "n_clusters": k,
            "candidates": np.arange(2, 16),
            "score": 0.99 - 0.02 * np.arange(2, 16),
            "criterion": "share of cells that held-out genes put into the right one of two clusters",
            "separable": 9,
            "communities": np.array([13, 11]),
        },
    }
    return adata


def described(adata: anndata.AnnData) -> anndata.AnnData:
    """The sample with counts, markers, cell types, another number of clusters, stability and quality control."""
    from sccicl.downstream.annotation import Annotation, annotation_record, attach_annotation
    from sccicl.downstream.markers import attach_markers, find_markers, markers_record

    rng = np.random.default_rng(0)
    adata.X = rng.poisson(np.expm1(np.clip(adata.X, 0, 3))).astype(np.float32)
    attach_markers(adata, markers_record(find_markers(adata, max_p=1), adata.uns["cicl"]["id"]))
    names = {name: f"type {int(name) % 4}" for name in adata.obs["cicl"].cat.categories}
    labels = adata.obs["cicl"].astype(str).map(names).to_numpy(dtype=object)
    found = Annotation("celltypist", labels, np.full(adata.n_obs, 0.8), names, SOURCE)
    attach_annotation(adata, annotation_record(adata, [found], adata.uns["cicl"]["id"]))
    adata.obs["cicl_4"] = pd.Categorical(adata.obs["cicl"].cat.codes.astype(int) % 4).rename_categories(str)
    adata.uns["cicl"]["stability"] = np.linspace(0.95, 0.45, len(names))
    adata.uns["cicl"]["qc"] = {
        "cells_in": adata.n_obs + 65,
        "cells_out": adata.n_obs,
        "genes_in": adata.n_vars + 12,
        "genes_out": adata.n_vars,
        "removed": {"few_genes": 42, "high_mito": 23},
        "thresholds": {"min_genes": 900.0, "max_mito": 12.5},
        "histograms": {
            "genes": {"edges": np.array([100, 1000, 2000, 3000]), "all": [52, 520, 193], "kept": [10, 500, 190]}
        },
        "doublets": 23,
    }
    adata.uns["cicl"]["cells"] = {
        "barcodes": 50_000,
        "cells": adata.n_obs + 65,
        "by_size": 700,
        "by_profile": 65,
        "threshold": 512.0,
        "umis_in_cells": 0.83,
        "median_umis": 4321.0,
        "rank": np.array([1, 10, 100, 765, 50_000]),
        "umis": np.array([20_000, 12_000, 9_000, 512, 1]),
    }
    adata.uns["cicl"]["reads"] = {"protocol": "10XV3", "summary": {"Number of Reads": 1e6, "Q30 Bases": 0.9512}}
    return adata


def bare(adata: anndata.AnnData) -> anndata.AnnData:
    """The same sample with its clusters and nothing else."""
    adata = adata.copy()
    adata.obs = adata.obs[["cicl"]]
    adata.uns["cicl"] = {key: value for key, value in adata.uns["cicl"].items() if key not in BARE}
    del adata.obsm["X_umap"], adata.obsm["X_tsne"]
    return adata


def metrics(adata: anndata.AnnData, *, labels: bool = True) -> dict:
    """What the scoring step writes about the sample."""
    sizes = adata.obs["cicl"].value_counts(sort=False)
    scores = {"ari": 0.612, "nmi": 0.701, "ami": 0.689, "label_col": "bulk_labels"} if labels else {}
    return {
        "id": adata.uns["cicl"]["id"],
        "n_cells": adata.n_obs,
        "n_genes": adata.n_vars,
        "n_clusters": len(sizes),
        "k_given": False,
        **scores,
        "silhouette": 0.274,
        "cluster_sizes": {str(name): int(size) for name, size in sizes.items()},
        "seconds": {"prepare": 3.5, "fit": 61.2, "cluster": 1.4},
        "peak_memory_mb": {"prepare": 420.0, "fit": 812.0},
        "device": "cpu",
        "versions": {"cicl": "0.1.0", "torch": "2.10.0"},
        "warnings": ["3 cells without counts were dropped"],
    }
