"""Step fit: train on a prepared sample."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..config import Config
from ..errors import InputError

if TYPE_CHECKING:
    import torch
    from anndata import AnnData

    from ..io.model_file import FitFile
    from ..model.checkpoint import Checkpoint


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
    from ..io.backed_counts import parts_of_counts
    from ..model.checkpoint import Checkpoint, code_key, key_of

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
) -> "FitFile":
    """Train on a prepared sample; the result is the content of `<id>.fit.pt`, with `warnings` for the record.

    `others` are further numbers of clusters, which nothing is trained for. With `evolution` the
    result has snapshots of the training.

    Only X and `obsm["X_cicl_input"]` are looked at, and the batches where these are integrated: no other column of obs,
    so no label, reaches the training. Cells and genes are worked on in the order of their names, see `ordering`, and
    the result is in that of `prepared`, but for the weights of the encoder, whose features are in the order of names.
    """
    import torch

    from ..clustering.fit import fit
    from ..io.model_file import FitFile
    from ..numerics.ordering import order_of
    from ..preprocess.batch_correction import batch_codes
    from ..preprocess.features import SortedFeatures
    from ..runtime.device import device_name, hardware
    from ..runtime.profiling import stage, versions

    made = prepared.uns["cicl"]["prepare"]
    stages: dict[str, dict[str, float]] = {}
    with stage("fit", stages, device):
        order = order_of(prepared)
        batches = None
        if made.get("integrate"):
            batches = batch_codes(prepared.obs[made["batch_col"]].to_numpy())[order.cells]
        found = fit(
            order.scores(prepared.obsm["X_cicl_input"]),
            SortedFeatures(prepared.X, order.cells, order.genes, made["input_kind"], batches),
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
        embedding=order.back(found.embedding),
        pseudo_labels=None if found.pseudo_labels is None else order.back(found.pseudo_labels),
        others={number: order.back(labels) for number, labels in found.others.items()},
        snapshots=found.snapshots,
        cells=list(prepared.obs_names),
        genes=order.selected(prepared),
        history=found.history,
        k=found.k,
        stages=stages,
    )


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
