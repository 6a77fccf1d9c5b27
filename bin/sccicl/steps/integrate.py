"""CICL as one integration method among others: an h5ad of joined samples in, the same with an embedding out."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anndata
import numpy as np
import pandas as pd

from ..config import Config
from ..io.validate import MIN_CELLS
from ..io.write_h5ad import write_h5ad
from ..preprocess.batch_correction import integrate_batches
from ..runtime.files import atomic_path, write_json
from ..runtime.progress import log
from .cluster import cluster_sample
from .fit import Auto, fit_sample, parse_n_clusters
from .prepare import prepare_sample

if TYPE_CHECKING:
    import torch

    from ..io.model_file import ModelFile


UNASSIGNED = "unassigned"


def integrate(
    path: str | os.PathLike,
    prefix: str,
    *,
    config: Config,
    n_clusters: int | Auto,
    seed: int,
    device: "torch.device",
    batch_col: str | None = None,
    counts_layer: str | None = None,
    warnings: Sequence[str] = (),
) -> "tuple[Any, ModelFile]":
    """Embed and cluster the cells of an h5ad and keep everything else that it holds.

    Parameters
    ----------
    path
        h5ad with raw counts in X, or in `counts_layer`.
    batch_col
        Column of obs with the batches, which are integrated (see `batch_correction`); without it, or where there
        is one batch only, nothing is corrected, with a warning. A batch of fewer than 10 cells counts as a part of the
        biggest one.
    prefix
        Name of the embedding and the clusters.
    warnings
        For the record, such as that there was no GPU.

    Returns
    -------
    The AnnData as it was read, with `obsm["X_emb"]`, `obs[prefix]` (cluster) and `obs[prefix + "_confidence"]`, and the
    content of the model file. Cells without any count have the mean embedding and are `unassigned`, so that tools which
    join by cell miss none.

    Raises
    ------
    InputError
        When the file cannot be read, or has no such counts or column, or cells without a batch.
    """
    prepared = prepare_sample(
        path,
        prefix,
        config=config,
        batch_col=batch_col,
        counts_layer=counts_layer,
        input_kind="counts",
    )
    told = ["no column of batches was named (--batch-col): nothing is corrected"]
    if batch_col is not None:
        told = _correct_batches(prepared, batch_col, config)
    for text in told:
        log(f"WARNING: {text}")
    n_clusters = parse_n_clusters(n_clusters, prepared.n_obs)
    fitted = fit_sample(prepared, n_clusters, config=config, seed=seed, device=device, warnings=[*warnings, *told])
    model = cluster_sample(prepared, fitted)
    adata = anndata.read_h5ad(path)
    places = adata.obs_names.get_indexer(prepared.obs_names)
    embedding = np.tile(prepared.obsm["X_cicl"].mean(axis=0), (adata.n_obs, 1)).astype(np.float32)
    embedding[places] = prepared.obsm["X_cicl"]
    labels = np.full(adata.n_obs, UNASSIGNED, dtype=object)
    labels[places] = prepared.obs["cicl"].astype(str)
    confidence = np.zeros(adata.n_obs, dtype=np.float32)
    confidence[places] = prepared.obs["cicl_confidence"]
    adata.obsm["X_emb"] = embedding
    order = [*prepared.obs["cicl"].cat.categories, *([UNASSIGNED] if len(places) < adata.n_obs else [])]
    adata.obs[prefix] = pd.Categorical(labels, categories=list(map(str, order)))
    adata.obs[f"{prefix}_confidence"] = confidence
    adata.uns["cicl"] = prepared.uns["cicl"]
    return adata, model


def _correct_batches(prepared: Any, batch_col: str, config: Config) -> list[str]:
    """Correct for the batches in place, as far as there are any, and return what is worth a warning.

    A pipeline that compares methods gives them every data set and subset: none may end for want of batches.
    """
    told = []
    values = prepared.obs[batch_col]
    if not values.isna().any():
        values = values.astype(str)
        sizes = values.value_counts()
        biggest = min(sizes.index, key=lambda name: (-sizes[name], name))
        small = sorted(name for name in sizes.index if sizes[name] < MIN_CELLS and name != biggest)
        if small:
            told.append(
                f"batches of fewer than {MIN_CELLS} cells count as a part of batch '{biggest}': {', '.join(small)}"
            )
            prepared.obs[batch_col] = pd.Categorical(values.where(~values.isin(small), biggest))
        if len(sizes) - len(small) < 2:
            told.append(
                f"all cells are of one batch ('{biggest}' in the obs column '{batch_col}'): nothing is corrected"
            )
            return told
    integrate_batches(prepared, batch_col, config)
    return told


def write_integration(adata: Any, model: "ModelFile", outdir: Path, prefix: str) -> None:
    """Write what pipelines that compare integration methods collect.

    `<prefix>.h5ad`; `X_<prefix>.parquet` and `X_<prefix>.pkl`, the embedding as a DataFrame indexed by cell;
    `<prefix>.parquet` and `<prefix>.pkl`, the clusters likewise; `<prefix>.model.pt`; and `<prefix>_mqc.json`, their
    sizes for MultiQC.
    """
    cells = adata.obs_names.astype(object)
    embedding = pd.DataFrame(adata.obsm["X_emb"], index=cells).rename(columns=str)
    labels = pd.DataFrame({prefix: adata.obs[prefix].astype(object).to_numpy()}, index=cells)
    for name, write in {
        f"X_{prefix}.parquet": embedding.to_parquet,
        f"X_{prefix}.pkl": embedding.to_pickle,
        f"{prefix}.parquet": labels.to_parquet,
        f"{prefix}.pkl": labels.to_pickle,
    }.items():
        with atomic_path(outdir / name) as temporary:
            write(temporary)
    model.save(outdir / f"{prefix}.model.pt")
    write_json(_sizes(labels[prefix], prefix), outdir / f"{prefix}_mqc.json")
    write_h5ad(adata, outdir / f"{prefix}.h5ad")


def _sizes(labels: pd.Series, prefix: str) -> dict[str, Any]:
    sizes = labels.value_counts()
    return {
        "id": f"{prefix}_cluster_sizes",
        "parent_id": prefix,
        "parent_name": prefix,
        "section_name": f"Clusters of {prefix}",
        "description": "Cells in each cluster of CICL.",
        "plot_type": "bargraph",
        "pconfig": {"id": f"{prefix}_cluster_sizes_plot", "title": f"{prefix}: cluster sizes", "ylab": "Cells"},
        "data": {prefix: {f"Cluster {name}": int(size) for name, size in sizes.items()}},
    }
