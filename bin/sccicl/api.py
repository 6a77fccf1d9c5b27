"""For notebooks: `sccicl.cicl` on an AnnData, and the scikit-learn style estimator `CICL` on an array."""

import difflib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from anndata import AnnData
from sklearn.base import BaseEstimator, ClusterMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from threadpoolctl import threadpool_limits

from .clustering.assign import assign_clusters, cluster
from .clustering.features import ArrayFeatures
from .clustering.fit import fit
from .config import Config, InputKind, preset_config
from .downstream.scanpy_slots import add_colours
from .errors import InputError
from .io.read import take_counts
from .model.encoder import encode
from .numerics.ordering import in_input_order
from .runtime.device import choose_device
from .steps.cluster import cluster_sample
from .steps.fit import fit_sample, parse_n_clusters
from .steps.prepare import prepare_counts

# What messages of the command line name, in the words of this function
ARGUMENTS = {"counts-layer": "layer", "seed": "random_state", "layer": "layer"}


def cicl(
    adata: AnnData,
    n_clusters: int | str = "auto",
    *,
    layer: str | None = None,
    use_raw: bool | None = None,
    input_kind: InputKind = "counts",
    random_state: int | np.random.RandomState | None = 0,
    key_added: str = "cicl",
    preset: str = "default",
    device: str = "auto",
    threads: int | None = None,
    copy: bool = False,
    **parameters: Any,
) -> AnnData | None:
    """Cluster cells by contrastive learning (Jiang et al. 2023), as `scanpy.tl.leiden` does by a graph of neighbours.

    No quality control is done: filter cells before, as by `scanpy.pp.filter_cells`. No neighbours or principal
    components are needed.

    Parameters
    ----------
    adata
        Cells x genes with raw counts in X.
    n_clusters
        Number of clusters, or `"auto"` to estimate it.
    layer
        Layer that holds the raw counts; X by default.
    use_raw
        Take the counts in `adata.raw`.
    input_kind
        `"normalised"` or `"log"` where there are no counts.
    random_state
        Random seed. The same seed, cells and number of threads give the same bits on one machine. None: another seed in
        each call, which is recorded.
    key_added
        Name under which the result is stored.
    preset
        `"default"`, or `"paper"` for the parameters of the paper; `parameters` replace single values (see
        `sccicl.config.Config`).
    device
        `"auto"` (a GPU where there is one), `"cpu"`, `"cuda"` or `"cuda:1"`.
    threads
        CPU cores to use. By default `OMP_NUM_THREADS`, or all cores: not what another function has set in this
        process, as `scanpy.tl.umap` does.
    copy
        Return a copy with the result instead of changing `adata`.

    Returns
    -------
    The copy, or None. Sets these fields:

    `adata.obs[key_added]`
        Cluster of each cell, categories "0", "1", ... from the largest down.
    `adata.obs[key_added + "_confidence"]`
        How clearly the cell belongs to its cluster, 0 to 1.
    `adata.obsm["X_" + key_added]`
        Embedding, (cells, features); for `scanpy.pp.neighbors(adata, use_rep="X_cicl")`.
    `adata.uns[key_added]`
        Parameters, random state, versions, history of the training, stability of the clusters, choice of their number.
    `adata.uns[key_added + "_colors"]`
        Colours of the clusters for scanpy's plots, those of CICL's report.

    Raises
    ------
    InputError
        A ValueError: the values are not of `input_kind`, or cells have no counts at all.
    TypeError
        An argument is unknown.

    Examples
    --------
    >>> import scanpy as sc, sccicl
    >>> adata = sc.read_10x_h5("filtered_feature_bc_matrix.h5")
    >>> sccicl.cicl(adata)
    >>> sc.pp.neighbors(adata, use_rep="X_cicl")
    >>> sc.tl.umap(adata)
    >>> sc.pl.umap(adata, color="cicl")
    """
    import scanpy as sc

    _check_names(parameters)
    if layer is not None and use_raw:
        raise ValueError("cicl() got both layer and use_raw: give one of them")
    if adata.isbacked:
        raise ValueError(
            "adata is backed by a file: load it with adata.to_memory(), or use cicl.py run for large files"
        )
    seed = _seed_of(random_state)
    start = sc.logging.info("clustering by CICL")
    with _in_words_of_python(), _threads(threads):
        config = preset_config(preset).changed(**parameters)
        target = adata.copy() if copy else adata
        counts = take_counts(target, input_kind=input_kind, counts_layer="raw" if use_raw else layer)
        prepared = prepare_counts(counts, input_kind, config)
        if prepared.n_obs != target.n_obs:
            raise InputError(
                f"{target.n_obs - prepared.n_obs} cells have no counts: remove them first, "
                "as by scanpy.pp.filter_cells(adata, min_counts=1)"
            )
        prepared.uns["cicl"].update(id=key_added, stages={})
        number = parse_n_clusters(n_clusters, target.n_obs)
        fitted = fit_sample(
            prepared,
            number,
            config=config,
            seed=seed,
            device=choose_device(device),
            quiet=int(sc.settings.verbosity) < int(sc.Verbosity.info),
        )
        cluster_sample(prepared, fitted)
        prepared = in_input_order(prepared)
    target.obs[key_added] = prepared.obs["cicl"]
    target.obs[f"{key_added}_confidence"] = prepared.obs["cicl_confidence"]
    target.obsm[f"X_{key_added}"] = prepared.obsm["X_cicl"]
    target.uns[key_added] = prepared.uns["cicl"]
    add_colours(target, key_added)
    sc.logging.info(
        "    finished",
        time=start,
        deep=(
            f"found {target.obs[key_added].cat.categories.size} clusters and added\n"
            f"    '{key_added}', the cluster labels (adata.obs, categorical)\n"
            f"    '{key_added}_confidence' (adata.obs), 'X_{key_added}' (adata.obsm), '{key_added}' (adata.uns)"
        ),
    )
    for warning in prepared.uns["cicl"].get("warnings", []):
        sc.logging.warning(str(warning))
    return target if copy else None


def _seed_of(random_state: int | np.random.RandomState | None) -> int:
    """A seed, as scikit-learn and scanpy take it: a number is taken as it is, otherwise one is drawn."""
    if isinstance(random_state, int | np.integer) and not isinstance(random_state, bool):
        if not 0 <= random_state < 2**32:
            raise ValueError(f"random_state must be from 0 to 2**32 - 1, not {random_state}")
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))


def _check_names(parameters: dict[str, Any], caller: str = "cicl()") -> None:
    known = [field.name for field in fields(Config)]
    for name in parameters:
        if name not in known:
            near = difflib.get_close_matches(name, [*known, "layer", "random_state", "key_added", "n_clusters"], 1)
            hint = {"seed": "random_state", "counts_layer": "layer", "resolution": "n_clusters"}.get(
                name, *near[:1] or [""]
            )
            if name == "restrict_to":
                raise TypeError(
                    "cicl() has no argument 'restrict_to': call it on a copy of these cells, adata[mask].copy()"
                )
            raise TypeError(
                f"{caller} got an unexpected keyword argument '{name}'" + (f". Did you mean '{hint}'?" if hint else "")
            )


@contextmanager
def _in_words_of_python() -> Iterator[None]:
    """Messages name the arguments of this function where those of the command line name its options."""
    try:
        yield
    except InputError as error:
        said = re.sub(
            r"--([a-z][a-z-]*)", lambda found: ARGUMENTS.get(found[1], found[1].replace("-", "_")), str(error)
        )
        if said == str(error):
            raise
        raise type(error)(said) from None


@contextmanager
def _threads(threads: int | None) -> Iterator[None]:
    """Use so many cores within the block: other packages change torch's number, and with it the last bits of sums."""
    if threads is None:
        given = os.environ.get("OMP_NUM_THREADS", "")
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        threads = int(given) if given.isdecimal() and int(given) else cores
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)


class CICL(ClusterMixin, TransformerMixin, BaseEstimator):
    """Cluster the rows of an array, which are taken as they are: prepared cells, such as z-scores of selected genes.

    Parameters
    ----------
    n_clusters
        Number of clusters, or `"auto"` to estimate it.
    preset, parameters
        As in `sccicl.cicl`; `parameters` is a dict.
    random_state
        Random seed, as in `sccicl.cicl`.
    device
        `"auto"`, `"cpu"`, `"cuda"` or `"cuda:1"`.

    Attributes
    ----------
    labels_
        Cluster of each row given to `fit`, 0 for the largest.
    confidence_
        How clearly a row belongs to its cluster, 0 to 1.
    embedding_
        (rows, features).
    n_clusters_
        Number of clusters found.
    history_
        Losses and share of changed pseudo-labels per epoch.
    """

    def __init__(
        self,
        n_clusters: int | str = "auto",
        *,
        preset: str = "default",
        parameters: dict[str, Any] | None = None,
        random_state: int | np.random.RandomState | None = 0,
        device: str = "auto",
    ):
        self.n_clusters = n_clusters
        self.preset = preset
        self.parameters = parameters
        self.random_state = random_state
        self.device = device

    def fit(self, X: np.ndarray, y: None = None) -> "CICL":
        """Train on X, (cells, features), and cluster it; `y` is ignored."""
        X = validate_data(self, X, dtype=np.float32, ensure_min_samples=2, ensure_min_features=2)
        _check_names(self.parameters or {}, "CICL()")
        seed = _seed_of(self.random_state)
        with _in_words_of_python():
            self._config = preset_config(self.preset).changed(**(self.parameters or {}))
            found = fit(
                X,
                ArrayFeatures(X),
                parse_n_clusters(self.n_clusters, len(X)),
                self._config,
                seed=seed,
                device=choose_device(self.device),
                quiet=True,
            )
        self._encoder, self.history_ = found.encoder, found.history
        clusters = cluster(
            found.embedding,
            found.k["n_clusters"],
            start=found.pseudo_labels,
            student_df=self._config.student_df,
            seed=seed,
        )
        self.labels_, self.confidence_, self.cluster_centers_ = clusters
        self.n_clusters_ = len(self.cluster_centers_)
        self.embedding_ = found.embedding.numpy()
        return self

    def _encode(self, X: np.ndarray) -> torch.Tensor:
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, reset=False)
        device = next(self._encoder.parameters()).device
        return encode(self._encoder, torch.from_numpy(np.ascontiguousarray(X)).to(device))

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Embedding of cells, new ones too: (cells, features)."""
        return self._encode(X).cpu().numpy()

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Cluster of cells, new ones too: (cells,)."""
        h = self._encode(X)
        return assign_clusters(h, torch.from_numpy(self.cluster_centers_).to(h), self._config.student_df)[0]
