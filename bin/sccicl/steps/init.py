"""Step init: the number of clusters and the initial pseudo-labels of a prepared sample, for which no GPU is needed."""

from collections.abc import Sequence
from pathlib import Path

from anndata import AnnData

from ..clustering.initial import find_initial
from ..config import Config
from ..errors import InputError
from ..io.backed_counts import parts_of_counts
from ..io.model_file import InitFile
from ..io.record import Preparation
from ..model.checkpoint import code_key, key_of
from ..runtime.profiling import stage
from .fit import Auto, features_of


def init_sample(
    prepared: AnnData, n_clusters: int | Auto, *, config: Config, seed: int, others: Sequence[int] = ()
) -> InitFile:
    """Choose k and find the initial pseudo-labels; the result is the content of `<id>.init.pt`.

    Only X is looked at, and the batches where these are integrated.
    """
    stages: dict[str, dict[str, float]] = {}
    with stage("init", stages):
        k, labels = find_initial(features_of(prepared)[0], n_clusters, config, seed=seed, others=others)
    key = _key(prepared, n_clusters, config, seed, others)
    return InitFile(key=key, k=k, labels=labels, stages=stages)


def read_init(
    path: Path, prepared: AnnData, n_clusters: int | Auto, *, config: Config, seed: int, others: Sequence[int] = ()
) -> InitFile:
    """Read the `<id>.init.pt` of this sample.

    Raises
    ------
    InputError
        When it cannot be read, or is of other cells, other parameters or another version.
    """
    found = InitFile.load(path)
    if found.key != _key(prepared, n_clusters, config, seed, others):
        raise InputError(
            f"{path}: it is of other cells, other parameters or another version; run `cicl.py init` on the same "
            "prepared h5ad, with the same --n-clusters, --preset and --seed"
        )
    return found


def _key(prepared: AnnData, n_clusters: int | Auto, config: Config, seed: int, others: Sequence[int]) -> str:
    """A hash of all that k and the initial pseudo-labels depend on."""
    made, batches = Preparation.of(prepared), features_of(prepared)[1]
    asked = (n_clusters, tuple(others), config.pseudo_labels, seed)
    return key_of(
        *parts_of_counts(prepared), *([] if batches is None else [batches]), made.input_kind, asked, code_key()
    )
