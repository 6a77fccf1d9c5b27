"""Step fit: train on a prepared sample."""

import re
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from anndata import AnnData

from ..clustering.fit import fit
from ..clustering.initial import Initial
from ..config import Config
from ..errors import InputError
from ..io.backed_counts import parts_of_counts
from ..io.model_file import FitFile, InitFile
from ..io.record import Preparation
from ..model.checkpoint import Checkpoint, code_key, key_of
from ..preprocess.batch_correction import batch_codes
from ..preprocess.features import BatchFeatures, CountFeatures
from ..preprocess.highly_variable_genes import selected_genes
from ..runtime.device import device_name, hardware
from ..runtime.profiling import stage, versions
from ..runtime.signals import handled

Auto = Literal["auto"]


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


def as_prepared(config: Config, prepared: AnnData) -> Config:
    """`config` with the preparation's fields as they were when `prepared` was made."""
    made = Preparation.of(prepared)
    return replace(config, n_genes=made.n_genes, gene_selection=made.gene_selection, max_value=made.max_value)


def open_checkpoint(
    prepared: AnnData,
    n_clusters: int | Auto,
    *,
    config: Config,
    seed: int,
    device: torch.device,
    folder: Path,
    minutes: float,
    initial: InitFile | None = None,
) -> Checkpoint:
    """The checkpoint in `folder` of the fit of these very cells with these parameters.

    The key of `initial` is a hash of the counts: of 1,000,000 cells it is not made twice while a GPU is held.
    """
    key = key_of(
        *(parts_of_counts(prepared) if initial is None else [initial.key]),
        prepared.obsm["X_cicl_input"],
        *(Preparation.of(prepared).input_kind, n_clusters, config.as_dict(), seed),
        *(device.type, code_key()),
    )
    return Checkpoint(folder, str(prepared.uns["cicl"]["id"]), key, minutes=minutes)


def features_of(prepared: AnnData) -> tuple[CountFeatures, np.ndarray | None]:
    """The features of a prepared sample, and the codes of its batches, (cells,), where these are integrated."""
    made = Preparation.of(prepared)
    if not made.integrate:
        return CountFeatures(prepared.X, made.input_kind), None
    batches = batch_codes(prepared.obs[made.batch_col].to_numpy())
    return BatchFeatures(prepared.X, batches, made.input_kind), batches


def fit_sample(
    prepared: AnnData,
    n_clusters: int | Auto,
    *,
    config: Config,
    seed: int,
    device: torch.device,
    others: Sequence[int] = (),
    checkpoint: Checkpoint | None = None,
    warnings: Sequence[str] = (),
    evolution: bool = False,
    quiet: bool = False,
    initial: InitFile | None = None,
) -> FitFile:
    """Train on a prepared sample; the result is the content of `<id>.fit.pt`, with `warnings` for the record.

    `initial` is what `steps.init.init_sample` found for this sample; by default it is found here.

    `others` are further numbers of clusters, which nothing is trained for. With `evolution` the
    result has snapshots of the training.

    Only X and `obsm["X_cicl_input"]` are looked at, and the batches where these are integrated: no other column of obs,
    so no label, reaches the training.
    """
    stages: dict[str, dict[str, float]] = {} if initial is None else dict(initial.stages)
    with stage("fit", stages, device):
        features, batches = features_of(prepared)
        found = fit(
            prepared.obsm["X_cicl_input"],
            features,
            n_clusters,
            config,
            seed=seed,
            device=device,
            others=others,
            checkpoint=checkpoint,
            evolution=evolution,
            quiet=quiet,
            batches=batches,
            initial=None if initial is None else Initial(initial.k, initial.labels),
        )
    return FitFile(
        params=config.as_dict(),
        seed=seed,
        device=device_name(device),
        hardware=hardware(device),
        asked=",".join(map(str, (n_clusters, *others))),
        warnings=list(warnings),
        versions=versions(),
        n_features=prepared.obsm["X_cicl_input"].shape[1],
        encoder={name: value.cpu() for name, value in found.encoder.state_dict().items()},
        embedding=found.embedding,
        pseudo_labels=found.pseudo_labels,
        others=found.others,
        snapshots=found.snapshots,
        cells=list(prepared.obs_names),
        genes=selected_genes(prepared),
        history=found.history,
        k=found.k,
        stages=stages,
    )


def fit_beside_others(prepared: AnnData, n_clusters: int | Auto, **settings: Any) -> None:
    """Do this process's share of a fit that the first process writes.

    SIGTERM and SIGUSR1 are for the first process: it writes a checkpoint and, after SIGTERM, ends; the launcher then
    ends the others. If these ended at once the first would wait for them in vain.
    """
    with handled(signal.SIG_IGN, signal.SIG_IGN):
        fit_sample(prepared, n_clusters, **settings, quiet=True)
