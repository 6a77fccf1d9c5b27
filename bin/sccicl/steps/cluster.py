"""Step cluster: cluster the embedded cells of a sample."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from ..clustering.assign import by_size, cluster
from ..clustering.gaps import gap_density
from ..clustering.stability import bootstrap_stability
from ..config import Config
from ..downstream.annotate_reference import with_reference
from ..errors import InputError
from ..io.model_file import FitFile, ModelFile
from ..io.record import Preparation
from ..model.snapshots import as_record
from ..numerics.ordering import input_order
from ..numerics.pca import principal_components
from ..preprocess.highly_variable_genes import selected_genes
from ..runtime.files import atomic_path
from ..runtime.profiling import stage
from .fit import Auto


def write_clusters(adata: Any, model: ModelFile, outdir: Path, sample: str, label_col: str | None = None) -> None:
    """Write the tables of clusters and of the embedding, and the model with the labels that it hands on."""
    model = with_reference(model, adata, label_col)
    order = input_order(adata.obs)
    obs, embedding = adata.obs.iloc[order], adata.obsm["X_cicl"][order]
    table = pd.DataFrame(
        {
            "barcode": obs.index,
            "cluster": obs["cicl"].to_numpy(),
            "confidence": obs["cicl_confidence"].to_numpy(),
        }
    )
    for column in obs.columns:
        if re.fullmatch("cicl_[0-9]+", str(column)):
            table[f"cluster_{column[5:]}"] = obs[column].to_numpy()
    with atomic_path(outdir / f"{sample}.clusters.csv") as temporary:
        table.to_csv(temporary, index=False, float_format="%.4f")
    columns = [f"cicl_{i}" for i in range(embedding.shape[1])]
    with atomic_path(outdir / f"{sample}.embedding.parquet") as temporary:
        pd.DataFrame(embedding, index=obs.index.astype(object), columns=columns).to_parquet(temporary)
    model.save(outdir / f"{sample}.model.pt")


def cluster_sample(prepared: AnnData, fitted: FitFile, *, n_clusters: int | Auto = "auto") -> ModelFile:
    """Cluster the embedded cells of `prepared`, in place; returns the content of `<id>.model.pt`.

    Sets `obs["cicl"]` (categorical, biggest cluster first), `obs["cicl_confidence"]`, `obsm["X_cicl"]` and
    `uns["cicl"]`, where the stability of every cluster and the density of the valley between any two are, and
    `obs["cicl_8"]` where 8 is a further number that the fit was asked for; drops `obsm["X_cicl_input"]`. `n_clusters`
    auto means the number that the training used.

    Raises
    ------
    InputError
        When the fit was made on other cells.
    """
    genes = selected_genes(prepared)
    if fitted.cells != list(prepared.obs_names):
        raise InputError(
            f"the fit holds {len(fitted.cells)} cells that are not the {prepared.n_obs} of the prepared file: "
            "give the two files of one sample"
        )
    if fitted.genes != genes:
        raise InputError(
            f"the fit is not of the {len(genes)} selected genes of the prepared file: give the two files of one "
            "sample, or run fit again"
        )
    config = Config(**fitted.params)
    k = dict(fitted.k)
    asked, start = k.pop("requested", k["n_clusters"]), fitted.pseudo_labels
    if n_clusters != "auto":
        asked, start = n_clusters, None
        k.update(n_clusters=n_clusters, given=True)
    stages = dict(fitted.stages)
    with stage("cluster", stages):
        found = cluster(
            fitted.embedding,
            k["n_clusters"],
            start=start,
            student_df=config.student_df,
            seed=fitted.seed,
        )
        scores = principal_components(prepared.obsm["X_cicl_input"], 20, seed=fitted.seed)
        stability = bootstrap_stability(scores, found.labels, seed=fitted.seed)
        valley = gap_density(scores, found.labels)
    del prepared.obsm["X_cicl_input"]
    add_clusters(prepared, found.labels, found.confidence, fitted.embedding.numpy(), len(found.centroids))
    prepared.obsm["X_pca"] = scores
    record = prepared.uns["cicl"]
    k["n_clusters"] = len(found.centroids)
    if k["n_clusters"] < asked:
        how = "asked for" if k["given"] else "estimated"
        told = f"{asked} clusters were {how}, but only {k['n_clusters']} can be distinguished"
        record["warnings"] = [*record.get("warnings", []), told]
    if fitted.warnings:
        record["warnings"] = [*record.get("warnings", []), *fitted.warnings]
    record.update({name: getattr(fitted, name) for name in ("params", "seed", "versions", "device", "hardware")})
    record["asked"] = {"n_clusters": fitted.asked, "reclustered": str(n_clusters)}
    record["history"] = {name: np.asarray(values) for name, values in fitted.history.items()}
    record["stability"], record["valley"] = stability, valley
    if fitted.snapshots is not None:
        record["evolution"] = as_record(fitted.snapshots, found.labels)
        record["evolution"]["cells"] = prepared.obs_names[record["evolution"]["cells"]].to_numpy(dtype=str)
    for number, partition in fitted.others.items():
        prepared.obs[f"cicl_{number}"] = as_clusters(by_size(partition.numpy()))
    record["k"] = {name: np.asarray(v) if isinstance(v, list) else v for name, v in k.items()}
    record["stages"] = {**record["stages"], **stages}
    statistics, made = prepared.var.loc[genes], Preparation.of(prepared)
    return ModelFile(
        params=fitted.params,
        versions=fitted.versions,
        n_features=fitted.n_features,
        encoder=fitted.encoder,
        centroids=torch.from_numpy(found.centroids),
        genes=genes,
        gene_mean=torch.from_numpy(statistics["cicl_mean"].to_numpy(copy=True)),
        gene_std=torch.from_numpy(statistics["cicl_std"].to_numpy(copy=True)),
        size_factor_median=math.nan if made.size_factor_median is None else made.size_factor_median,
        input_kind=made.input_kind,
    )


def as_clusters(labels: np.ndarray, k: int | None = None) -> pd.Categorical:
    """Labels 0..k-1, (cells,), as categories of text."""
    k = int(labels.max()) + 1 if k is None else k
    return pd.Categorical.from_codes(labels, categories=[str(i) for i in range(k)])


def add_clusters(
    adata: AnnData, labels: np.ndarray, confidence: np.ndarray, embedding: np.ndarray, k: int, key: str = "cicl"
) -> None:
    """Set `obs[key]`, `obs[key + "_confidence"]` and `obsm["X_" + key]`."""
    adata.obs[key] = as_clusters(labels, k)
    adata.obs[f"{key}_confidence"] = confidence
    adata.obsm[f"X_{key}"] = embedding
