"""The steps of a sample, in memory: prepare, fit, cluster, score, plot, report."""

import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .config import Config, InputKind
from .errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from anndata import AnnData

    from .model.checkpoint import Checkpoint
    from .preprocess.qc import Limits


Auto = Literal["auto"]
# Of the records of earlier steps, what the metrics hold: numbers, no curves
CELL_NUMBERS = ("barcodes", "cells", "by_size", "by_profile", "threshold", "umis_in_cells", "median_umis")
QC_NUMBERS = ("cells_in", "cells_out", "genes_in", "genes_out", "removed", "thresholds", "doublets")


def parse_n_clusters(text: str | int, n_cells: int | None = None) -> int | Auto:
    """`auto`, or a number of clusters from 1 to the number of cells.

    Raises
    ------
    InputError
        When it is neither.
    """
    if isinstance(text, str) and text == "auto":
        return "auto"
    if not re.fullmatch("[+-]?[0-9]+", str(text).strip(), re.ASCII):
        raise InputError(f"n_clusters is '{text}': give a whole number or auto")
    k = int(text)
    if k < 1:
        raise InputError(f"n_clusters is {k}: give a number from 1 up, or auto")
    if n_cells is not None and k > n_cells:
        raise InputError(
            f"n_clusters is {k}, but only {n_cells} cells are left after preparation: give a smaller number, or auto"
        )
    return k


def parse_numbers(text: str | int, n_cells: int | None = None) -> tuple[int | Auto, tuple[int, ...]]:
    """`5,8,12`: the first number of clusters (or `auto`), and the others in the order given, each once.

    Raises
    ------
    InputError
        When one of them is no number of clusters, or `auto` is not the first.
    """
    first, *others = [parse_n_clusters(part.strip(), n_cells) for part in str(text).split(",")]
    if "auto" in others:
        raise InputError(
            f"n_clusters is '{text}': auto can only be the first of several numbers, so give it first, or leave it out"
        )
    return first, tuple(dict.fromkeys(k for k in others if k != first))


def prepare_counts(counts: "AnnData", input_kind: InputKind, config: Config) -> "AnnData":
    """Prepare validated counts as `config` says."""
    from .preprocess.prepare import prepare

    return prepare(
        counts,
        input_kind=input_kind,
        n_genes=config.n_genes,
        max_value=config.max_value,
        gene_selection=config.gene_selection,
    )


def prepare_sample(
    path: str | Path,
    sample_id: str,
    *,
    config: Config,
    limits: "Limits | None" = None,
    input_kind: InputKind = "counts",
    counts_layer: str | None = None,
    label_col: str | None = None,
    batch_col: str | None = None,
    integrate: bool = False,
) -> "AnnData":
    """Read, check and prepare one sample; the columns are checked here so that a wrong name costs no training.

    Cells outside `limits` are left out, unless an earlier step has done its quality control.
    """
    from .io.gene_names import add_symbols_column
    from .io.read import check_columns, read_counts, take_record
    from .preprocess.batch_correction import prepare_jointly
    from .preprocess.qc import quality_control
    from .runtime.profiling import stage

    stages: dict[str, dict[str, float]] = {}
    with stage("prepare", stages):
        adata = read_counts(path, input_kind=input_kind, counts_layer=counts_layer)
        take_record(adata, Path(path))
        add_symbols_column(adata)
        if limits is not None and "qc" not in adata.uns["cicl"]:
            adata = quality_control(adata, limits, input_kind=input_kind)
        prepared = prepare_counts(adata, input_kind, config)
        if integrate and batch_col is None:
            raise InputError("--integrate needs the obs column of the batches: name it with --batch-col")
        check_columns(prepared, label_col=label_col, batch_col=batch_col)
        if integrate:
            prepare_jointly(prepared, batch_col, config)
    record = prepared.uns["cicl"]
    record["id"] = sample_id
    record["stages"] = stages
    for column, name in (("label_col", label_col), ("batch_col", batch_col)):
        if name is not None:
            record["prepare"][column] = name
    return prepared


def prepare_to_file(
    path: Path,
    sample_id: str,
    outfile: Path,
    *,
    config: Config,
    memory_gb: float,
    input_sha256: str,
    **options: Any,
) -> None:
    """Read and prepare one sample into the h5ad `outfile`, within about `memory_gb` of memory.

    A matrix that is too big for that is prepared from file to file, if its format can be read in blocks and neither
    quality control nor integration is asked for, which look at all cells at once. The checksum of the input is kept in
    `uns["cicl"]["prepare"]`; `options` are those of `prepare_sample`.
    """
    from .io.read_backed import stored_matrix
    from .io.write_h5ad import write_h5ad
    from .preprocess.prepare_backed import fits_in_memory, write_prepared
    from .runtime.progress import log

    max_bytes = int(memory_gb * 2**30)
    in_blocks = {name: options[name] for name in options if name not in ("limits", "integrate")}
    with ExitStack() as stack:
        try:
            matrix = stack.enter_context(stored_matrix(path, options.get("counts_layer")))
        except Exception:  # whatever is wrong with the file, the reader of whole files says it best
            matrix = None
        if matrix is not None and not fits_in_memory(matrix, config, max_bytes):
            if options.get("limits") is None and not options.get("integrate"):
                record = {"input_sha256": input_sha256}
                write_prepared(
                    matrix, path, outfile, sample_id, record, config=config, max_bytes=max_bytes, **in_blocks
                )
                return
            log(
                f"{path} takes more than {memory_gb:g} GB; for its quality control or integration it is read as a whole"
            )
    prepared = prepare_sample(path, sample_id, config=config, **options)
    prepared.uns["cicl"]["prepare"]["input_sha256"] = input_sha256
    write_h5ad(prepared, outfile)


def as_prepared(config: Config, prepared: "AnnData") -> Config:
    """`config` with the preparation's fields as they were when `prepared` was made."""
    record = prepared.uns["cicl"]["prepare"]
    return replace(
        config,
        n_genes=int(record["n_genes"]),
        gene_selection=str(record["gene_selection"]),
        # Values that are None are not stored.
        max_value=record.get("max_value"),
    )


def open_checkpoint(
    prepared: "AnnData",
    n_clusters: int | Auto,
    *,
    config: Config,
    seed: int,
    device: "torch.device",
    folder: Path,
    minutes: float,
) -> "Checkpoint":
    """The checkpoint in `folder` of the fit of these very cells with these parameters."""
    from .io.backed_counts import parts_of_counts
    from .model.checkpoint import Checkpoint, code_key, key_of

    key = key_of(
        *parts_of_counts(prepared),
        prepared.obsm["X_cicl_input"],
        *(prepared.uns["cicl"]["prepare"]["input_kind"], n_clusters, config.as_dict(), seed),
        *(device.type, code_key()),
    )
    return Checkpoint(folder, str(prepared.uns["cicl"]["id"]), key, minutes=minutes)


def fit_sample(
    prepared: "AnnData",
    n_clusters: int | Auto,
    *,
    config: Config,
    seed: int,
    device: "torch.device",
    others: Sequence[int] = (),
    checkpoint: "Checkpoint | None" = None,
    warnings: Sequence[str] = (),
    evolution: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Train on a prepared sample; the result is the content of `<id>.fit.pt`, with `warnings` for the record.

    `others` are further numbers of clusters, which the pool is cut into without another training. With `evolution` the
    result has snapshots of the training.

    Only X and `obsm["X_cicl_input"]` are looked at, and the batches where these are integrated: no other column of obs,
    so no label, reaches the training. Cells and genes are worked on in the order of their names, see `canonical`, and
    the result is in that of `prepared`, but for the weights of the encoder, whose features are in the order of names.
    """
    import torch

    from .clustering.fit import fit
    from .numerics.ordering import order_of
    from .preprocess.batch_correction import batch_codes
    from .preprocess.features import OrderedEvidence
    from .runtime.device import device_name, hardware
    from .runtime.profiling import stage, versions

    made = prepared.uns["cicl"]["prepare"]
    stages: dict[str, dict[str, float]] = {}
    with stage("fit", stages, device):
        order = order_of(prepared)
        batches = None
        if made.get("integrate"):
            batches = batch_codes(prepared.obs[made["batch_col"]].to_numpy())[order.cells]
        found = fit(
            order.scores(prepared.obsm["X_cicl_input"]),
            OrderedEvidence(prepared.X, order.cells, order.genes, made["input_kind"], batches),
            n_clusters,
            config,
            seed=seed,
            device=device,
            others=others,
            checkpoint=checkpoint,
            evolution=evolution,
            quiet=quiet,
            batches=batches,
        )
    if found.snapshots is not None:
        found.snapshots["cells"] = torch.from_numpy(order.cells)[found.snapshots["cells"]]
    return {
        "params": config.as_dict(),
        "seed": seed,
        "device": device_name(device),
        "hardware": hardware(device),
        "asked": ",".join(map(str, (n_clusters, *others))),
        "warnings": list(warnings),
        "versions": versions(),
        "n_features": prepared.obsm["X_cicl_input"].shape[1],
        "encoder": {name: value.cpu() for name, value in found.encoder.state_dict().items()},
        "embedding": order.back(found.embedding),
        "pseudo_labels": None if found.pseudo_labels is None else order.back(found.pseudo_labels),
        "others": {number: order.back(labels) for number, labels in found.others.items()},
        "snapshots": found.snapshots,
        "cells": list(prepared.obs_names),
        "genes": order.selected(prepared),
        "history": found.history,
        "k": found.k,
        "stages": stages,
    }


def fit_beside_others(prepared: "AnnData", n_clusters: int | Auto, **settings: Any) -> None:
    """Do this process's share of a fit that the first process writes.

    SIGTERM is for the first process: it writes a checkpoint and ends, and the launcher then ends the others. If these
    ended at once the first would wait for them in vain.
    """
    import signal

    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        fit_sample(prepared, n_clusters, **settings, quiet=True)
    finally:
        signal.signal(signal.SIGTERM, before)


def cluster_sample(prepared: "AnnData", fitted: dict[str, Any], *, n_clusters: int | Auto = "auto") -> dict[str, Any]:
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
    import torch

    from .clustering.assign import by_size, cluster
    from .clustering.gaps import valley_density
    from .clustering.stability import bootstrap_stability
    from .model.snapshots import as_record
    from .numerics.ordering import order_of
    from .numerics.pca import principal_components
    from .runtime.profiling import stage

    order = order_of(prepared)
    genes = order.selected(prepared)
    if fitted["cells"] != list(prepared.obs_names):
        raise InputError(
            f"the fit holds {len(fitted['cells'])} cells that are not the {prepared.n_obs} of the prepared file: "
            "give the two files of one sample"
        )
    if fitted.get("genes") != genes:
        raise InputError(
            f"the fit is not of the {len(genes)} selected genes of the prepared file: give the two files of one "
            "sample, or run fit again"
        )
    config = Config(**fitted["params"])
    k = dict(fitted["k"])
    asked, start = k.pop("requested", k["n_clusters"]), fitted["pseudo_labels"]
    if n_clusters != "auto":
        asked, start = n_clusters, None
        k.update(n_clusters=n_clusters, given=True)
    stages = dict(fitted["stages"])
    with stage("cluster", stages):
        found = cluster(
            fitted["embedding"][order.cells],
            k["n_clusters"],
            start=None if start is None else start[order.cells],
            student_df=config.student_df,
            seed=fitted["seed"],
        )
        scores = principal_components(order.scores(prepared.obsm["X_cicl_input"]), 20, seed=fitted["seed"])
        stability = bootstrap_stability(scores, found.labels, seed=fitted["seed"])
        valley = valley_density(scores, found.labels)
    del prepared.obsm["X_cicl_input"]
    labels, confidence = order.back(found.labels), order.back(found.confidence)
    add_clusters(prepared, labels, confidence, fitted["embedding"].numpy(), len(found.centroids))
    record = prepared.uns["cicl"]
    k["n_clusters"] = len(found.centroids)
    if k["n_clusters"] < asked:
        how = "asked for" if k["given"] else "estimated"
        told = f"{asked} clusters were {how}, but only {k['n_clusters']} can be told apart"
        record["warnings"] = [*record.get("warnings", []), told]
    if fitted["warnings"]:
        record["warnings"] = [*record.get("warnings", []), *fitted["warnings"]]
    record.update({name: fitted[name] for name in ("params", "seed", "versions", "device", "hardware")})
    record["asked"] = {"n_clusters": fitted["asked"], "reclustered": str(n_clusters)}
    record["history"] = {name: np.asarray(values) for name, values in fitted["history"].items()}
    record["stability"], record["valley"] = stability, valley
    if fitted["snapshots"] is not None:
        record["evolution"] = as_record(fitted["snapshots"], labels)
    for number, partition in fitted["others"].items():
        prepared.obs[f"cicl_{number}"] = as_clusters(by_size(partition.numpy()))
    record["k"] = {name: np.asarray(v) if isinstance(v, list) else v for name, v in k.items()}
    record["stages"] = {**record["stages"], **stages}
    statistics = prepared.var.loc[genes]
    return {
        "params": fitted["params"],
        "versions": fitted["versions"],
        "n_features": fitted["n_features"],
        "encoder": fitted["encoder"],
        "centroids": torch.from_numpy(found.centroids),
        "genes": genes,
        "gene_mean": torch.from_numpy(statistics["cicl_mean"].to_numpy()),
        "gene_std": torch.from_numpy(statistics["cicl_std"].to_numpy()),
        "size_factor_median": float(record["prepare"].get("size_factor_median", float("nan"))),
        "input_kind": record["prepare"]["input_kind"],
    }


def as_clusters(labels: np.ndarray, k: int | None = None) -> "pd.Categorical":
    """Labels 0..k-1, (cells,), as categories of text."""
    import pandas as pd

    k = int(labels.max()) + 1 if k is None else k
    return pd.Categorical.from_codes(labels, categories=[str(i) for i in range(k)])


def add_clusters(
    adata: "AnnData", labels: np.ndarray, confidence: np.ndarray, embedding: np.ndarray, k: int, key: str = "cicl"
) -> None:
    """Set `obs[key]`, `obs[key + "_confidence"]` and `obsm["X_" + key]`."""
    adata.obs[key] = as_clusters(labels, k)
    adata.obs[f"{key}_confidence"] = confidence
    adata.obsm[f"X_{key}"] = embedding


def map_sample(adata: "AnnData", model: dict[str, Any], *, device: "torch.device") -> tuple[np.ndarray, np.ndarray]:
    """Cluster (cells,) and confidence (cells,) of new cells by a saved model."""
    import torch

    from .clustering.assign import assign_clusters
    from .downstream.annotate_reference import embed_cells

    h = torch.from_numpy(embed_cells(adata, model, device)).to(device)
    return assign_clusters(h, model["centroids"].to(device), Config(**model["params"]).student_df)


def score_sample(adata: "AnnData", *, label_col: str | None = None) -> dict[str, Any]:
    """The content of `<id>.metrics.json`: agreement with `obs[label_col]` where given, silhouette, seconds, memory."""
    from .clustering.gaps import without_gap
    from .downstream.metrics import agreement, ilisi, silhouette
    from .io.read import check_columns
    from .numerics.ordering import canonical_order

    check_columns(adata, label_col=label_col)
    record = adata.uns["cicl"]
    clusters = adata.obs["cicl"].to_numpy()
    # Sums over cells and draws of some of them do not depend on the order of the file.
    order = canonical_order(adata.obs_names)
    embedding = adata.obsm["X_cicl"][order]
    metrics: dict[str, Any] = {
        "id": record["id"],
        "n_cells": adata.n_obs,
        "n_genes": adata.n_vars,
        "n_clusters": len(adata.obs["cicl"].cat.categories),
        "k_given": bool(record["k"]["given"]),
        "k": dict(record["k"]),
    }
    if label_col is not None:
        metrics["label_col"] = label_col
        metrics.update(agreement(adata.obs[label_col].to_numpy(), clusters))
    if "batch_col" in record["prepare"]:
        metrics["batch_col"] = record["prepare"]["batch_col"]
        metrics["ilisi"] = ilisi(embedding, adata.obs[metrics["batch_col"]].to_numpy()[order])
    for section, kept in (("cells", CELL_NUMBERS), ("qc", QC_NUMBERS)):
        if section in record:
            metrics[section] = {name: record[section][name] for name in kept if name in record[section]}
    metrics["silhouette"] = silhouette(embedding, clusters[order])
    if "stability" in record:
        stability = np.atleast_1d(record["stability"])
        metrics["stability"] = [None if np.isnan(value) else float(value) for value in stability]
    if "valley" in record:
        metrics["without_gap"] = [list(map(str, pair)) for pair in without_gap(record["valley"])]
    metrics["cluster_sizes"] = {name: int(n) for name, n in adata.obs["cicl"].value_counts(sort=False).items()}
    for quantity in ("seconds", "peak_memory_mb", "peak_gpu_memory_mb"):
        found = {name: float(values[quantity]) for name, values in record["stages"].items() if quantity in values}
        if found:
            metrics[quantity] = found
    metrics["device"] = record["device"]
    metrics["hardware"] = dict(record["hardware"])
    metrics["input_sha256"] = record["prepare"].get("input_sha256")
    metrics["versions"] = dict(record["versions"])
    metrics["warnings"] = [str(warning) for warning in record.get("warnings", [])]
    return metrics
