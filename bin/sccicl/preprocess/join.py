"""Samples of a group in one AnnData, each after its own quality control."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import anndata
from anndata import AnnData

from ..config import InputKind
from ..errors import InputError
from ..io.gene_names import add_symbols_column
from ..io.plausibility import check_plausible
from ..io.read import read_counts, take_record
from ..io.record import QualityControl
from ..io.validate import add_warning, quoted
from ..numerics.ordering import in_input_order, sort_by_name
from .qc import Limits, quality_control

SAMPLE_COLUMN = "sample"
# With fewer genes in common the samples are likely named in different ways.
LEAST_SHARED = 0.3


def join_samples(
    paths: Sequence[Path],
    names: Sequence[str],
    *,
    limits: Limits,
    input_kind: InputKind = "counts",
    counts_layer: str | None = None,
    cells_in: str | None = None,
) -> AnnData:
    """Read the samples and put their cells one below the other.

    Returns
    -------
    AnnData
        The genes that all samples have; cells are named `<sample>_<barcode>`, and `obs["sample"]` holds the sample.
        `uns["cicl"]["joined"]` tells the numbers of cells, `uns["cicl"]["qc"]` what was removed of each sample.

    Raises
    ------
    InputError
        When there is one sample only, or they have hardly a gene in common.
    """
    if len(paths) < 2:
        raise InputError(
            f"only the sample {quoted(names)} was given, and joining needs two: cluster it alone, or add one"
        )
    # A gene of one sample's cell type alone may be rare in all of them together, but is not to be lost in one.
    of_cells = replace(limits, min_cells=None)
    asked = {"input_kind": input_kind, "counts_layer": counts_layer, "cells_in": cells_in}
    samples = [_one(path, name, of_cells, asked) for path, name in zip(paths, names, strict=True)]
    shared = set.intersection(*(set(sample.var_names) for sample in samples))
    fewest, smallest = min((sample.n_vars, name) for sample, name in zip(samples, names, strict=True))
    if len(shared) < LEAST_SHARED * fewest:
        first, other = samples[0].var_names[0], samples[1].var_names[0]
        raise InputError(
            f"the samples {quoted(names)} have {len(shared)} genes in common, of {fewest} of '{smallest}': name genes "
            f"alike in all of them (they are such as '{first}' in '{names[0]}' and '{other}' in '{names[1]}')"
        )
    genes = [gene for gene in samples[0].var_names if gene in shared]
    joined = anndata.concat([sample[:, genes] for sample in samples], merge="first")
    joined.var = samples[0].var.loc[genes].copy()
    if limits.min_cells is not None:
        joined = joined[:, joined.X.getnnz(axis=0) >= limits.min_cells].copy()
    joined.obs[SAMPLE_COLUMN] = [name for sample, name in zip(samples, names, strict=True) for _ in range(sample.n_obs)]
    sections = [sample.uns["cicl"] for sample in samples]
    joined.uns["cicl"] = {
        "joined": {"samples": list(names), "cells": [sample.n_obs for sample in samples], "batch_col": SAMPLE_COLUMN}
    }
    records = {name: QualityControl.of(sample) for name, sample in zip(names, samples, strict=True)}
    if None not in records.values():
        thresholds = {} if limits.min_cells is None else {"min_cells": float(limits.min_cells)}
        replace(_together(records), genes_out=joined.n_vars, thresholds=thresholds).put(joined)
    for name, section in zip(names, sections, strict=True):
        for warning in section.get("warnings", ()):
            add_warning(joined, f"{name}: {warning}")
    return joined


def _one(path: Path, name: str, limits: Limits, asked: dict[str, Any]) -> AnnData:
    sample = read_counts(path, **asked)
    take_record(sample, path)
    add_symbols_column(sample)
    check_plausible(sample, asked["input_kind"])
    sample = in_input_order(quality_control(sort_by_name(sample), limits, input_kind=asked["input_kind"]))
    sample.obs_names = f"{name}_" + sample.obs_names
    return sample


def _together(records: dict[str, QualityControl]) -> QualityControl:
    """Sums over the samples, and the record of each under `samples`."""
    removed: Counter[str] = Counter()
    for record in records.values():
        removed.update(record.removed)
    doublets = [record.doublets for record in records.values() if record.doublets is not None]
    return QualityControl(
        cells_in=sum(record.cells_in for record in records.values()),
        cells_out=sum(record.cells_out for record in records.values()),
        genes_in=max(record.genes_in for record in records.values()),
        genes_out=max(record.genes_out for record in records.values()),
        removed=dict(removed),
        doublets=sum(doublets) if doublets else None,
        samples={name: record.to_uns() for name, record in records.items()},
    )
