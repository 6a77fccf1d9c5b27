"""Two-dimensional layouts of the cells, for looking at: UMAP and t-SNE."""

import warnings

import numpy as np

MAX_FEATURES = 50
UMAP_NEIGHBOURS = 15
TSNE_PERPLEXITY = 30.0
TSNE_MAX_CELLS = 30_000


def umap(embedding: np.ndarray, seed: int = 0, start: np.ndarray | None = None) -> np.ndarray:
    """UMAP coordinates (McInnes et al. 2018) of embedded cells, the same again for the same seed.

    15 neighbours, or all others where there are fewer; minimal distance 0.5 as in scanpy; started from the first two
    principal components. An embedding wider than 50 columns is first reduced to 50 principal components. Any number of
    cells is laid out, in a time that grows about in proportion (50,000 take about a minute on one core; a seeded layout
    uses no more).

    Parameters
    ----------
    embedding
        Embedded cells, shape (cells, features), finite.
    seed
        Seed of the optimisation.
    start
        Coordinates to start from instead, shape (cells, 2): those of a like embedding keep the cells about there.

    Returns
    -------
    Coordinates, float32, shape (cells, 2).

    Raises
    ------
    ValueError
        If the embedding is not a finite matrix.
    """
    reduced = _reduced(embedding, seed)
    start = _start(reduced, seed) if start is None else start
    if len(reduced) < 4:
        return start
    # numba compiles on import: only who lays out cells waits for it.
    from umap import UMAP

    neighbours = min(UMAP_NEIGHBOURS, len(reduced) - 1)
    model = UMAP(n_neighbors=neighbours, min_dist=0.5, init=start, random_state=seed, n_jobs=1)
    return np.ascontiguousarray(model.fit_transform(reduced), dtype=np.float32)


def tsne(embedding: np.ndarray, seed: int = 0) -> np.ndarray | None:
    """t-SNE coordinates (van der Maaten and Hinton 2008) of embedded cells, the same again for the same seed.

    Perplexity 30, or a third of the other cells where they are fewer; started from the first two principal components
    (Kobak and Berens 2019). An embedding wider than 50 columns is first reduced to 50 principal components. One
    core is used, because sums over several would differ in their last digits from run to run.

    Above 30,000 cells it would take a quarter of an hour or more: nothing is computed, a UserWarning says so, and the
    result is None.

    Parameters
    ----------
    embedding
        Embedded cells, shape (cells, features), finite.
    seed
        Seed of the principal components; the optimisation itself has no randomness.

    Returns
    -------
    Coordinates, float32, shape (cells, 2), or None above 30,000 cells.

    Raises
    ------
    ValueError
        If the embedding is not a finite matrix.
    """
    if len(embedding) > TSNE_MAX_CELLS:
        warnings.warn(
            f"t-SNE was left out: it is computed for at most {TSNE_MAX_CELLS:,} cells and there are {len(embedding):,}",
            stacklevel=2,
        )
        return None
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    reduced = _reduced(embedding, seed)
    start = _start(reduced, seed)
    if len(reduced) < 4:
        return start
    perplexity = min(TSNE_PERPLEXITY, (len(reduced) - 1) / 3)
    model = TSNE(perplexity=perplexity, init=start * 1e-4, random_state=seed, n_jobs=1)
    with threadpool_limits(1):
        return np.ascontiguousarray(model.fit_transform(reduced), dtype=np.float32)


def _reduced(embedding: np.ndarray, seed: int) -> np.ndarray:
    embedding = np.asarray(embedding, dtype=np.float32)
    if embedding.ndim != 2 or not np.isfinite(embedding).all():
        raise ValueError("the embedding must be a matrix of finite numbers, one row per cell")
    if embedding.shape[1] <= MAX_FEATURES:
        return embedding
    from sklearn.decomposition import PCA

    return PCA(min(MAX_FEATURES, len(embedding)), random_state=seed).fit_transform(embedding).astype(np.float32)


def _start(reduced: np.ndarray, seed: int) -> np.ndarray:
    """First two principal components, the first with standard deviation 1; float32, (cells, 2)."""
    centred = (reduced - reduced.mean(0)).astype(np.float64)
    # The covariance is at most 50 x 50, whatever the number of cells.
    axes = np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :2]
    axes = axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])])
    scores = centred @ axes
    start = np.zeros((len(reduced), 2))
    start[:, : scores.shape[1]] = scores / (scores[:, 0].std() or 1.0)
    # Cells that all lie on a line, or on a point, would never leave it (and UMAP divides by the width).
    flat = np.ptp(start, axis=0) < 1e-6
    start[:, flat] = np.random.default_rng(seed).normal(scale=0.01, size=(len(start), int(flat.sum())))
    return start.astype(np.float32)
