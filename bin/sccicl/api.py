"""For notebooks: `sccicl.cicl` on an AnnData, and the scikit-learn style estimator `CICL` on an array."""

from typing import Any

import numpy as np
import torch
from anndata import AnnData
from sklearn.base import BaseEstimator, ClusterMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from .clustering.assign import assign_clusters, cluster
from .clustering.features import ArrayFeatures
from .clustering.fit import fit
from .config import InputKind, preset_config
from .errors import InputError
from .model.encoder import encode
from .runtime.device import choose_device
from .steps.cluster import cluster_sample
from .steps.fit import fit_sample, parse_n_clusters
from .steps.prepare import prepare_counts


def cicl(
    adata: AnnData,
    n_clusters: int | str = "auto",
    *,
    key_added: str = "cicl",
    preset: str = "default",
    counts_layer: str | None = None,
    input_kind: InputKind = "counts",
    seed: int = 0,
    device: str = "auto",
    copy: bool = False,
    **parameters: Any,
) -> AnnData | None:
    """Cluster the cells of `adata`.

    Parameters
    ----------
    adata
        Cells x genes with raw counts in X, or in `counts_layer` (`"raw"` for `adata.raw`).
    n_clusters
        Number of clusters, or `"auto"` to estimate it.
    key_added
        Name under which the result is stored.
    preset
        `default` or `paper`; `parameters` (fields of `sccicl.config.Config`) replace single values of it.
    input_kind
        `normalised` or `log` where no counts exist.
    copy
        Return a copy with the result instead of changing `adata`.

    Returns
    -------
    The copy, or None. Sets these fields:

    `adata.obs[key_added]`
        Cluster of each cell, categories "0", "1", ... from the biggest down.
    `adata.obs[key_added + "_confidence"]`
        How sure the cluster is, 0 to 1.
    `adata.obsm["X_" + key_added]`
        The embedding, (cells, features).
    `adata.uns[key_added]`
        Parameters, seed, versions, history of the training and the choice of k.

    Raises
    ------
    InputError
        When the values are not of `input_kind`, or cells have no counts at all.
    """
    from .io.read import take_counts

    config = preset_config(preset).changed(**parameters)
    target = adata.copy() if copy else adata
    counts = take_counts(target, input_kind=input_kind, counts_layer=counts_layer)
    prepared = prepare_counts(counts, input_kind, config)
    if prepared.n_obs != target.n_obs:
        raise InputError(
            f"{target.n_obs - prepared.n_obs} cells have no counts: drop them first, "
            "as by scanpy.pp.filter_cells(adata, min_counts=1)"
        )
    prepared.uns["cicl"].update(id=key_added, stages={})
    n_clusters = parse_n_clusters(n_clusters, target.n_obs)
    fitted = fit_sample(prepared, n_clusters, config=config, seed=seed, device=choose_device(device))
    cluster_sample(prepared, fitted)
    target.obs[key_added] = prepared.obs["cicl"]
    target.obs[f"{key_added}_confidence"] = prepared.obs["cicl_confidence"]
    target.obsm[f"X_{key_added}"] = prepared.obsm["X_cicl"]
    target.uns[key_added] = prepared.uns["cicl"]
    return target if copy else None


class CICL(ClusterMixin, TransformerMixin, BaseEstimator):
    """Cluster the rows of an array, which are taken as they are: prepared cells, such as z-scores of selected genes.

    Parameters
    ----------
    n_clusters
        Number of clusters, or `"auto"` to estimate it.
    preset, parameters
        As in `sccicl.cicl`; `parameters` is a dict.
    seed
        Seed of everything random.
    device
        `auto`, `cpu`, `cuda` or `cuda:1`.

    Attributes
    ----------
    labels_
        Cluster of each row given to `fit`, 0 for the biggest.
    confidence_
        How sure the cluster is, 0 to 1.
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
        seed: int = 0,
        device: str = "auto",
    ):
        self.n_clusters = n_clusters
        self.preset = preset
        self.parameters = parameters
        self.seed = seed
        self.device = device

    def fit(self, X: np.ndarray, y: None = None) -> "CICL":
        """Train on X, (cells, features), and cluster it; `y` is not looked at."""
        X = validate_data(self, X, dtype=np.float32, ensure_min_samples=2, ensure_min_features=2)
        self._config = preset_config(self.preset).changed(**(self.parameters or {}))
        device = choose_device(self.device)
        found = fit(
            X,
            ArrayFeatures(X),
            parse_n_clusters(self.n_clusters, len(X)),
            self._config,
            seed=self.seed,
            device=device,
            quiet=True,
        )
        self._encoder, self.history_ = found.encoder, found.history
        clusters = cluster(
            found.embedding,
            found.k["n_clusters"],
            start=found.pseudo_labels,
            student_df=self._config.student_df,
            seed=self.seed,
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
