"""What users take instead of CICL, as scanpy, scikit-learn and scvi-tools do it: an embedding, and a way to cut it."""

import logging
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from ..config import InputKind
from ..io.feature_filter import without_other_features

if TYPE_CHECKING:
    from anndata import AnnData


N_GENES = 2000
MAX_VALUE = 10.0
LEIDEN_COMPONENTS = 50
PARTITION_GENES = (500, 750, 1000, 1500, 2000, 3000, 4000)
PARTITION_COMPONENTS = (8, 14, 24, 40)
RESOLUTION_RANGE = (1e-3, 30.0)
RESOLUTION_STEPS = 25


def read_cells(path: str, input_kind: InputKind) -> "AnnData":
    """Cells and genes with counts; X holds log1p of counts / size factor, `layers["counts"]` the values as read.

    `var["rank"]` is the place of a gene by normalised dispersion, 0 for the most variable (scanpy's flavour `seurat`).
    """
    import anndata
    import scanpy as sc
    from scipy import sparse

    # Spike-ins and read counters are no genes for any of the methods.
    cells = without_other_features(anndata.read_h5ad(path), path)
    cells.X = sparse.csr_matrix(cells.X, dtype=np.float32)
    sc.pp.filter_cells(cells, min_counts=1e-9)
    sc.pp.filter_genes(cells, min_counts=1e-9)
    cells.layers["counts"] = cells.X.copy()
    if input_kind != "log":
        sc.pp.normalize_total(cells)
        sc.pp.log1p(cells)
    dispersion = sc.pp.highly_variable_genes(cells, inplace=False)["dispersions_norm"].to_numpy()
    order = np.argsort(-np.nan_to_num(dispersion, nan=-np.inf), kind="stable")
    cells.var["rank"] = np.argsort(order)
    return cells


def variable_genes(cells: "AnnData", n_genes: int = N_GENES) -> "AnnData":
    """A copy with the `n_genes` most variable genes; all where there are no more."""
    return cells[:, (cells.var["rank"] < n_genes).to_numpy()].copy()


def components(cells: "AnnData", n_components: int, seed: int, *, n_genes: int = N_GENES) -> np.ndarray:
    """Principal components of the z-scores (clipped at 10) of variable genes, (cells, components)."""
    import scanpy as sc

    chosen = variable_genes(cells, n_genes)
    chosen.X = chosen.X.toarray()
    sc.pp.scale(chosen, max_value=MAX_VALUE)
    return sc.pp.pca(chosen.X, n_comps=min(n_components, *(n - 1 for n in chosen.shape)), random_state=seed)


def pca20(cells: "AnnData", seed: int) -> np.ndarray:
    """20 components of 2,000 genes."""
    return components(cells, 20, seed)


def pca30(cells: "AnnData", seed: int) -> np.ndarray:
    """30 components of 2,000 genes."""
    return components(cells, 30, seed)


def pca_of_many(cells: "AnnData", seed: int) -> list[np.ndarray]:
    """28 embeddings: 8, 14, 24 and 40 components of 500 to 4,000 genes; fewer where the data have fewer genes."""
    numbers = sorted({min(n, cells.n_vars) for n in PARTITION_GENES})
    whole = [components(cells, max(PARTITION_COMPONENTS), seed, n_genes=n) for n in numbers]
    return [pca[:, :n] for pca in whole for n in PARTITION_COMPONENTS]


def neighbours(cells: "AnnData", seed: int) -> "AnnData":
    """Graph of 15 nearest neighbours on 50 components of 2,000 genes, scanpy's defaults."""
    return graph(components(cells, LEIDEN_COMPONENTS, seed), seed)


def graph(embedding: np.ndarray, seed: int) -> "AnnData":
    """Graph of 15 nearest neighbours on an embedding."""
    import anndata
    import scanpy as sc

    cells = anndata.AnnData(embedding)
    sc.pp.neighbors(cells, use_rep="X", random_state=seed)
    return cells


def scvi_latent(cells: "AnnData", seed: int) -> np.ndarray:
    """Latent space of scVI with default parameters, from counts of 2,000 genes, (cells, 10).

    Values that are no counts are rounded, as the model is one of counts.
    """
    import scvi

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    scvi.settings.seed = seed
    chosen = variable_genes(cells)
    counts = chosen.layers["counts"].copy()
    counts.data = np.round(counts.data)
    chosen.X = counts
    kept = np.asarray(counts.sum(1)).ravel() > 0
    model_cells = chosen[kept].copy()
    scvi.model.SCVI.setup_anndata(model_cells)
    model = scvi.model.SCVI(model_cells)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.train(enable_progress_bar=False)
    # A cell without counts in these genes has no latent place: it gets the mean one.
    latent = np.tile(model.get_latent_representation().mean(0), (cells.n_obs, 1))
    latent[kept] = model.get_latent_representation()
    return latent


def kmeans(embedding: np.ndarray, k: int, seed: int) -> np.ndarray:
    """K-means, the best of 20 starts, (cells,)."""
    from sklearn.cluster import KMeans

    return KMeans(k, n_init=20, random_state=seed).fit_predict(embedding)


def kmeans_medoid(embeddings: Iterable[np.ndarray], k: int, seed: int) -> np.ndarray:
    """K-means of every embedding; of these partitions the one that agrees best, by mean ARI, with the others."""
    from sklearn.cluster import KMeans

    partitions = [KMeans(k, n_init=10, random_state=seed).fit_predict(embedding) for embedding in embeddings]
    return partitions[medoid(partitions)]


def medoid(partitions: list[np.ndarray]) -> int:
    """Index of the partition with the highest mean ARI with the others; the first of those that tie."""
    from sklearn.metrics import adjusted_rand_score

    agreement = np.zeros((len(partitions), len(partitions)))
    for i, first in enumerate(partitions):
        for j in range(i):
            agreement[i, j] = agreement[j, i] = adjusted_rand_score(first, partitions[j])
    return int(agreement.sum(1).argmax())


def leiden(cells: "AnnData", resolution: float, seed: int) -> np.ndarray:
    """Leiden with scanpy's defaults on a graph of neighbours, (cells,)."""
    import scanpy as sc

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the default flavour will change one day
        sc.tl.leiden(cells, resolution=resolution, random_state=seed)
    return cells.obs["leiden"].cat.codes.to_numpy()


def leiden_1(cells: "AnnData", _k: None, seed: int) -> np.ndarray:
    """Leiden at resolution 1, scanpy's default."""
    return leiden(cells, 1.0, seed)


def leiden_k(cells: "AnnData", k: int, seed: int) -> np.ndarray:
    """Leiden at the resolution that gives `k` clusters, or as near to that as bisection comes."""
    low, high = np.log(RESOLUTION_RANGE)
    best = None
    for _ in range(RESOLUTION_STEPS):
        middle = (low + high) / 2
        labels = leiden(cells, float(np.exp(middle)), seed)
        found = len(np.unique(labels))
        if best is None or abs(found - k) < abs(len(np.unique(best)) - k):
            best = labels
        if found == k:
            break
        low, high = (middle, high) if found < k else (low, middle)
    return best


def leiden_1_of_embedding(embedding: np.ndarray, _k: None, seed: int) -> np.ndarray:
    """Leiden at resolution 1 on the graph of neighbours of an embedding."""
    return leiden(graph(embedding, seed), 1.0, seed)
