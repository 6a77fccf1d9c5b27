"""Cell types by mapping to a reference: the cells of an earlier run, kept with their labels in its model file."""

import csv
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scipy import sparse

from ..config import Config
from ..errors import InputError
from ..io.gene_names import by_symbols, gene_symbols
from ..io.model_file import ModelFile
from ..model.encoder import encode, new_encoder
from ..numerics.partitions import indicator
from ..numerics.sampling import balanced_sample
from ..preprocess.prepare import apply_preparation
from .annotation import UNKNOWN, Annotation, vote
from .expression import input_kind

MAX_CELLS = 20_000
NEIGHBOURS = 15
MIN_CONFIDENCE = 0.5
# A cluster is unlike its label when it differs from it by this share of the way from the label to the next one.
UNLIKE = 0.75
# It is so too when another label is nearer by this factor.
NEARER = 1.5
# Profiles are of this many cells at least, and compared over genes of at least this log1p expression per 10,000.
MIN_PROFILE_CELLS, MIN_EXPRESSION = 10, 0.3


def with_reference(model: ModelFile, adata: AnnData, label_col: str | None = None) -> ModelFile:
    """The model with the embedding, clusters and labels of its cells, to which new cells can be mapped.

    At most 20,000 cells are kept, equally many of each cluster. Without `label_col` the labels are the clusters. No
    barcode is kept.

    Parameters
    ----------
    model
        What labels new cells.
    adata
        The clustered sample that the model was fitted to.

    Returns
    -------
    A copy with `reference`, a dict: `embedding` (cells, features), `spread` (cells,), the mean distance of each
    cell to its 15 nearest neighbours, `cluster` (cells,), `label` (cells,; -1 unknown), `names` of the labels and
    their `column`; and of all cells `genes`, and the summed expression `cluster_sums` (clusters, genes),
    `label_sums` (labels, genes).
    """
    column = label_col or "cicl"
    cells = balanced_sample(adata.obs["cicl"].to_numpy(), MAX_CELLS)
    labels = adata.obs[column].astype("category").cat.remove_unused_categories()
    embedding = np.ascontiguousarray(adata.obsm["X_cicl"][cells], dtype=np.float32)
    distances, _ = _neighbours(embedding, embedding, NEIGHBOURS + 1)
    reference = {
        "embedding": torch.from_numpy(embedding),
        # A cell is its own first neighbour.
        "spread": torch.from_numpy(distances[:, 1:].mean(axis=1).astype(np.float32)),
        "cluster": torch.from_numpy(adata.obs["cicl"].cat.codes.to_numpy()[cells].astype(np.int64)),
        "label": torch.from_numpy(labels.cat.codes.to_numpy()[cells].astype(np.int64)),
        "names": [str(name) for name in labels.cat.categories],
        "column": column,
        "genes": list(map(str, adata.var_names)),
        "cluster_sums": torch.from_numpy(_sums(adata, adata.obs["cicl"].cat.codes.to_numpy())),
        "label_sums": torch.from_numpy(_sums(adata, labels.cat.codes.to_numpy())),
    }
    return replace(model, reference=reference)


def _sums(adata: AnnData, codes: np.ndarray) -> np.ndarray:
    """Summed expression of the cells of each code, not of -1: (codes, genes), float32."""
    values = sparse.csr_matrix(adata.X)
    if input_kind(adata) == "log":
        values = sparse.csr_matrix((np.expm1(values.data), values.indices, values.indptr), shape=values.shape)
    return (indicator(codes, max(int(codes.max()) + 1, 1)) @ values).toarray().astype(np.float32)


def _neighbours(cells: np.ndarray, reference: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.neighbors import NearestNeighbors

    return NearestNeighbors(n_neighbors=min(k, len(reference))).fit(reference).kneighbors(cells)


def relabel(model: ModelFile, labels: dict[str, str], name: str = "given") -> ModelFile:
    """The model with other labels for its reference cells: cluster -> label, all clusters or some.

    Raises
    ------
    InputError
        When the model keeps no cells, or has no cluster of a name.
    """
    reference = _reference_of(model, "the model")
    k = len(model.centroids)
    wrong = [cluster for cluster in labels if cluster not in map(str, range(k))]
    if wrong:
        raise InputError(f"the model has no cluster '{wrong[0]}': name one of 0 to {k - 1}")
    names = list(dict.fromkeys(labels.values()))
    code = {int(cluster): names.index(label) for cluster, label in labels.items()}
    sums = torch.zeros(len(names), reference["cluster_sums"].shape[1])
    for cluster, label in code.items():
        sums[label] += reference["cluster_sums"][cluster]
    codes = torch.tensor([code.get(int(cluster), -1) for cluster in reference["cluster"]])
    changed = {"label": codes, "names": names, "column": name, "label_sums": sums}
    return replace(model, reference={**reference, **changed})


def read_labels(path: str | os.PathLike) -> dict[str, str]:
    """Read a CSV with the columns `cluster` and `label`, in any order, beside others: cluster -> label.

    Raises
    ------
    InputError
        When it is not such a table, or names a cluster twice.
    """
    path = Path(path)
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}); give a CSV with the columns cluster and label") from error
    if not rows or not {"cluster", "label"} <= set(rows[0]):
        raise InputError(f"{path}: the columns cluster and label are not there; begin with the line cluster,label")
    found: dict[str, str] = {}
    for number, row in enumerate(rows, 2):
        cluster, label = (row["cluster"] or "").strip(), (row["label"] or "").strip()
        if not cluster or not label:
            raise InputError(f"{path}, line {number}: cluster or label is empty; give both or take the line out")
        if found.setdefault(cluster, label) != label:
            raise InputError(f"{path}, line {number}: cluster {cluster} has another label above; keep one of them")
    return found


def _reference_of(model: ModelFile, name: str) -> dict[str, Any]:
    if model.reference is None:
        raise InputError(
            f"{name} keeps no cells with labels, as those of older versions do not: run that sample again, with "
            "--label_col if it has labels"
        )
    return model.reference


def map_labels(embedding: np.ndarray, reference: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Label and confidence of embedded cells by their 15 nearest reference cells, each (cells,).

    The confidence is the share of the label among these neighbours, times how near they are: their own mean distance to
    their neighbours over the distance of the cell to them, at most 1. A cell unlike any of the reference is far from
    all of it, whatever its neighbours agree on.
    """
    known = np.asarray(reference["label"]) >= 0
    if not known.any():
        raise InputError("no cell of the reference model has a label: give labels to its clusters")
    points, spread = np.asarray(reference["embedding"])[known], np.asarray(reference["spread"])[known]
    labels = np.asarray(reference["label"])[known]
    distances, places = _neighbours(embedding, points, NEIGHBOURS)
    votes = np.zeros((len(embedding), len(reference["names"])))
    np.add.at(votes, (np.arange(len(embedding))[:, None], labels[places]), 1 / places.shape[1])
    best = votes.argmax(axis=1)
    away = distances.mean(axis=1)
    near = np.divide(spread[places].mean(axis=1), away, out=np.ones_like(away), where=away > 0)
    return np.array(reference["names"], dtype=object)[best], votes[np.arange(len(best)), best] * np.clip(near, 0, 1)


def unlikeness(adata: AnnData, reference: dict[str, Any], voted: dict[str, str]) -> dict[str, float]:
    """How much each cluster differs from its label, as a share of how much that label differs from the next.

    Cells of a type that the reference lacks can lie amid others in an embedding that knows nothing of their genes. Here
    all genes count: the distance is 1 - the correlation of log-normalised summed expression. What all clusters have in
    common against their labels, as another donor or treatment has, is taken off first (the median, of three clusters or
    more). The unit is the distance from the label to the most similar other one, at least the median of these. A
    cluster that is much nearer to another label (1.5 times) counts as 1 away from its own at least.

    Parameters
    ----------
    adata
        Clustered sample, its var_names those of the reference.
    voted
        Label of each cluster.

    Returns
    -------
    Of the clusters of 10 cells or more: 0 is the same, 1 as far away as another label. Empty where the reference has
    one label, or fewer than half of its genes are in the sample.
    """
    place = {name: i for i, name in enumerate(map(str, adata.var_names))}
    genes = [(i, place[name]) for i, name in enumerate(reference["genes"]) if name in place]
    if len(reference["names"]) < 2 or len(genes) < len(reference["genes"]) / 2:
        return {}
    theirs, ours = map(list, zip(*genes, strict=True))
    labels = _profiles(np.asarray(reference["label_sums"])[:, theirs])
    codes = adata.obs["cicl"].cat.codes.to_numpy()
    names = [str(name) for name in adata.obs["cicl"].cat.categories]
    big = [i for i, name in enumerate(names) if (codes == i).sum() >= MIN_PROFILE_CELLS and voted.get(name) != UNKNOWN]
    if not big:
        return {}
    clusters = _profiles(_sums(adata, codes)[np.ix_(big, ours)])
    own = [reference["names"].index(voted[names[i]]) for i in big]
    seen = (np.vstack([labels, clusters]) > MIN_EXPRESSION).any(axis=0)
    labels, clusters = labels[:, seen], clusters[:, seen]
    if len(big) >= 3:
        clusters = clusters - np.median(clusters - labels[own], axis=0)
    between = 1 - np.corrcoef(labels)
    np.fill_diagonal(between, np.inf)
    nearest = between.min(axis=1)
    unit = np.maximum(nearest, np.median(nearest))
    away = 1 - np.corrcoef(clusters, labels)[: len(big), len(big) :]
    found = {}
    for i, distances, label in zip(big, away, own, strict=True):
        other_is_nearer = distances[label] > NEARER * distances.min()
        found[names[i]] = float(max(distances[label] / max(unit[label], 1e-9), 1.0 if other_is_nearer else 0.0))
    return found


def _profiles(sums: np.ndarray) -> np.ndarray:
    total = sums.sum(axis=1, keepdims=True)
    return np.log1p(np.divide(sums, total, out=np.zeros_like(sums), where=total > 0) * 1e4)


def load_reference(path: str | os.PathLike) -> ModelFile:
    """Read a model that keeps its cells with labels.

    Raises
    ------
    InputError
        When the file is no such model.
    """
    model = ModelFile.load(path)
    _reference_of(model, Path(path).name)
    return model


def annotate_by_reference(
    adata: AnnData,
    path: str | os.PathLike,
    *,
    device: torch.device,
    min_confidence: float = MIN_CONFIDENCE,
) -> Annotation:
    """Label cells by the most similar cells of an earlier run, and clusters by majority voting.

    Parameters
    ----------
    adata
        Clustered sample with values in X of the kind that the reference had; genes are matched by `var_names`, or by
        symbols in `var`.
    path
        The `<id>.model.pt` of the earlier run.
    min_confidence
        Cells below are `unknown`; see `map_labels`. The cells of a cluster that is unlike its label (see `unlikeness`:
        above 0.75) are given a confidence below 0.5.

    Raises
    ------
    InputError
        When the model keeps no cells, is of another kind of values, or shares fewer than half of its genes.
    """
    path = Path(path)
    model = load_reference(path)
    reference = model.reference
    if (kind := input_kind(adata)) != model.input_kind:
        raise InputError(
            f"{path.name} was trained on values of kind '{model.input_kind}' and the sample holds '{kind}': give a "
            "model of the same kind (--input-kind)"
        )
    new = _with_genes_of(adata, model.genes)
    new.obs["cicl"] = adata.obs["cicl"].array
    clusters = adata.obs["cicl"].astype(str).to_numpy()
    labels, confidence = map_labels(embed_cells(new, model, device), reference)
    unlike = unlikeness(new, reference, vote(labels, clusters))
    for cluster, times in unlike.items():
        if times > UNLIKE:
            inside = clusters == cluster
            confidence[inside] = np.minimum(confidence[inside], MIN_CONFIDENCE * UNLIKE / times)
    labels = np.where(confidence < min_confidence, UNKNOWN, labels)
    return Annotation(
        "reference",
        labels,
        confidence,
        vote(labels, clusters),
        {
            "file": path.name,
            "column": reference["column"],
            "n_types": len(reference["names"]),
            "n_cells": len(reference["label"]),
            "min_confidence": min_confidence,
            "n_unknown": int((labels == UNKNOWN).sum()),
            "unlike": [cluster for cluster, times in unlike.items() if times > UNLIKE],
        },
        [f"{path.name}: {warning}" for warning in new.uns["cicl"].get("warnings", [])],
    )


def embed_cells(adata: AnnData, model: ModelFile, device: torch.device) -> np.ndarray:
    """Embedding of new cells by a saved model, (cells, features)."""
    config = Config(**model.params)
    x = apply_preparation(
        adata,
        genes=model.genes,
        mean=model.gene_mean.numpy(),
        std=model.gene_std.numpy(),
        size_factor_median=model.size_factor_median,
        input_kind=model.input_kind,
        max_value=config.max_value,
    )
    encoder = new_encoder(model.n_features, config)
    encoder.load_state_dict(model.encoder)
    return encode(encoder.to(device), torch.from_numpy(x).to(device)).cpu().numpy()


def _with_genes_of(adata: AnnData, genes: list[str]) -> AnnData:
    """The counts, by symbols where the model knows more of these; no warning of the sample comes along."""
    names = pd.Index(gene_symbols(adata)) if by_symbols(adata, genes) else adata.var_names
    new = anndata.AnnData(adata.X, obs=adata.obs[[]].copy(), var=pd.DataFrame(index=names.astype(object)))
    if not names.is_unique:
        new = new[:, ~names.duplicated()].copy()
    new.uns["cicl"] = {"prepare": {"input": str(adata.uns["cicl"].get("id", "the sample"))}}
    return new
