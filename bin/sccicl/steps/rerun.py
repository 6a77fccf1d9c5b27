"""A finished sample once more, from its own counts and the record in `uns["cicl"]`."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import anndata
import numpy as np
from anndata import AnnData
from sklearn.metrics import adjusted_rand_score

from ..config import Config
from ..downstream.annotation import TITLES
from ..errors import InputError
from ..io.read import read_counts, take_counts
from ..io.record import Preparation
from ..io.validate import RESULT_COLUMNS, add_warning
from ..runtime.checksums import combined, input_sums
from ..runtime.profiling import stage
from .prepare import prepare_counts

# Columns of obs that a result adds: clusters, those of further numbers, and cell types
OURS = re.compile("|".join(RESULT_COLUMNS) + rf"|cicl_[0-9]+|cicl_({'|'.join(TITLES)})(_cell|_confidence)?")
# What the record says of the way from the reads or droplets to the cells
EARLIER = ("reads", "cells", "qc", "joined")


class Recipe(NamedTuple):
    """How a sample was made.

    `n_clusters` is what the training was asked for (`auto` or a number), `reclustered` what the step `cluster` was; the
    columns are None where none were named. With `integrate` the batches of `batch_col` were integrated.
    """

    id: str
    config: Config
    seed: int
    n_clusters: str
    reclustered: str
    input_kind: str
    threads: int | None
    label_col: str | None
    batch_col: str | None
    integrate: bool


def recipe(adata: AnnData, name: str) -> Recipe:
    """Read the record of a result; `name` is its file, for messages.

    Raises
    ------
    InputError
        When the h5ad is no result, or was written by a version that recorded too little.
    """
    record = adata.uns.get("cicl", {})
    if "cicl" not in adata.obs or "params" not in record:
        raise InputError(f"{name}: this h5ad is no result of CICL (no clusters or no uns['cicl']); give an <id>.h5ad")
    missing = [key for key in ("seed", "asked", "prepare", "hardware") if key not in record]
    if missing:
        raise InputError(
            f"{name}: its record has no {', '.join(missing)}, so it was written by an older version: run that version "
            "again"
        )
    made, asked = Preparation.of(adata), record["asked"]
    known = {item.name for item in fields(Config)}
    unknown = sorted(set(record["params"]) - known)
    if unknown:
        raise InputError(
            f"{name}: this version does not know the parameters {', '.join(unknown)} of its record: use the version "
            f"{record['versions'].get('cicl', 'that wrote it')}"
        )
    return Recipe(
        id=str(record["id"]),
        config=Config(**{key: _plain(value) for key, value in record["params"].items()}),
        seed=int(record["seed"]),
        n_clusters=str(asked["n_clusters"]),
        reclustered=str(asked["reclustered"]),
        input_kind=made.input_kind,
        threads=int(record["hardware"]["threads"]),
        label_col=made.label_col,
        batch_col=made.batch_col,
        integrate=bool(made.integrate),
    )


def prepare_again(before: AnnData, how: Recipe, original: Path | None = None) -> AnnData:
    """Prepare the cells of a result anew, from its own counts or from the `original` ones.

    Raises
    ------
    InputError
        When `original` lacks cells or genes of the result.
    """
    made = Preparation.of(before)
    layer = made.counts_layer
    stages: dict[str, dict[str, float]] = {}
    with stage("prepare", stages):
        if original is None:
            counts = take_counts(_bare(before, layer), input_kind=how.input_kind, name=made.input)
        else:
            asked = {"counts_layer": layer, "cells_in": made.cells_in}
            counts = _same_cells(read_counts(original, input_kind=how.input_kind, **asked), before, original)
        prepared = prepare_counts(counts, how.input_kind, how.config, batch_col=how.batch_col, integrate=how.integrate)
    record = prepared.uns["cicl"]
    record.update(id=how.id, stages=stages)
    # How the cells came to be these is the same as before: nothing of it is done again.
    record.update({name: before.uns["cicl"][name] for name in EARLIER if name in before.uns["cicl"]})
    input_sha256 = made.input_sha256
    if original is not None:
        input_sha256 = combined(input_sums(original))
        if made.input_sha256 not in (None, input_sha256):
            add_warning(prepared, f"{original.name} is not the original input of the result: its SHA-256 differs")
    kept = {name: getattr(made, name) for name in ("counts_layer", "cells_in", "label_col", "batch_col")}
    Preparation.update(prepared, **kept, input_sha256=input_sha256)
    return prepared


def _bare(before: AnnData, layer: str | None) -> AnnData:
    """Counts, obs and var of a result as they were before it was one."""
    # What the commands write holds the counts in X; an AnnData from a notebook still has them in its layer.
    counts = before.layers.get(layer, before.X)
    obs = before.obs.drop(columns=[name for name in before.obs if OURS.fullmatch(str(name))])
    return anndata.AnnData(counts, obs=obs, var=before.var.copy())


def _same_cells(counts: AnnData, before: AnnData, original: Path) -> AnnData:
    """The cells and genes of `counts` that the result has: it may have been filtered."""
    for axis, names, there in (
        ("cells", before.obs_names, counts.obs_names),
        ("genes", before.var_names, counts.var_names),
    ):
        if lacking := len(names.difference(there)):
            raise InputError(
                f"{original} lacks {lacking} of the {len(names)} {axis} of the result: give the original input, or "
                f"omit --input"
            )
    uns = dict(counts.uns)
    counts = counts[counts.obs_names.isin(before.obs_names), counts.var_names.isin(before.var_names)].copy()
    counts.uns = uns
    return counts


class Comparison(NamedTuple):
    """`n_different` of `n_cells` cells have another cluster than before; `ari` of both; `changes` of what it ran on."""

    n_cells: int
    n_different: int
    ari: float
    changes: list[str]

    def __str__(self) -> str:
        if not self.n_different:
            return f"all {self.n_cells} cells have the same cluster as before"
        changed = f"; what changed: {', '.join(self.changes)}" if self.changes else ""
        return (
            f"{self.n_different} of {self.n_cells} cells have another cluster than before (ARI of both "
            f"{self.ari:.4f}){changed}"
        )


def compare(before: AnnData, after: AnnData) -> Comparison:
    """Compare the clusters of two results of the same cells, and versions and hardware of both."""
    old, new = (adata.obs["cicl"].astype(str).to_numpy() for adata in (before, after))
    return Comparison(
        len(old), int(np.count_nonzero(old != new)), float(adjusted_rand_score(old, new)), _changes(before, after)
    )


def _changes(before: AnnData, after: AnnData) -> list[str]:
    """Such as `torch 2.10.0 -> 2.11.0`; what both have in common is left out."""
    found = []
    for part in ("versions", "hardware"):
        old, new = (adata.uns["cicl"].get(part, {}) for adata in (before, after))
        for key in sorted({*old, *new}):
            if str(old.get(key)) != str(new.get(key)):
                found.append(f"{key} {old.get(key, 'none')} -> {new.get(key, 'none')}")
    return found


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
