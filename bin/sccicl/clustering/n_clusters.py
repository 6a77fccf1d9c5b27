"""The number of clusters: given, or estimated from the sample without a label.

Two clusters are two only if genes that did not make them tell them apart. Cells are clustered on half of the genes,
and pairs of clusters are merged until, in the other half, the cells of every pair lie nearer to their own centroid.
Noise that a clustering cuts through is not found again in other genes, so a sample without structure ends at k = 1.

These merges say whether there are clusters at all, and about how many; so do the communities of two graphs of shared
nearest neighbours. The number itself is the median of the three counts.
"""

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from ..numerics.neighbours import neighbour_indices, shared_neighbour_graph
from ..numerics.pca import principal_components
from ..numerics.sampling import random_sample
from .communities import Communities
from .ensemble import Ensemble
from .features import Features
from .linkage import kmeans_labels

MAX_CLUSTERS = 35
MIN_CELLS_PER_CLUSTER = 8
CELLS = 2_500
COMPONENTS = 15
GENE_SPLITS = 2
# A pair of clusters counts as two where at least this share of their cells is nearer to the own centroid, at the lower
# end of a one-sided 95 % interval.
SEPARABLE = 0.84
CONFIDENCE_Z = 1.64
LEIDEN_RESOLUTIONS = {"components": 0.3, "blocks": 0.5}
CRITERION = "share of cells that held-out genes put into the right one of the two least separable clusters"
SMALLEST_SHARE = 0.005
# Of the last two clusters at most this part as many cells may be misplaced as in simulated cells that differ by chance
# and depth only. Real samples of several types came to 0.1 to 0.3 of it, resamples of one type to 0.75 and more.
MISPLACED_RATIO = 0.5
# Cells of very different depths are separable by chance, and then few samples misplace half as many. More than this
# many times the clusters that chance separates are not chance either: real samples of several types came to 2.5 and
# more times, resamples of one type to 1.5 times at most.
CLUSTERS_RATIO = 2


class Merges(NamedTuple):
    """`separability` of the worst pair before each merge, and `n_clusters` at that time; the last entry has 2."""

    separability: np.ndarray
    n_clusters: np.ndarray

    def estimate(self) -> int:
        """The number of clusters from which on every pair is separable, 1 if none is."""
        enough = np.flatnonzero(self.separability >= SEPARABLE)
        return int(self.n_clusters[enough[0]]) if len(enough) else 1

    def last(self) -> float:
        """Separability of the last two clusters; 0 where there never were two."""
        return float(self.separability[-1]) if len(self.separability) else 0.0


@dataclass(frozen=True)
class KChoice:
    """A number of clusters, and what it was estimated from; all None where it was given.

    Attributes
    ----------
    criterion
        What `score` is.
    candidates, score
        Numbers of clusters, and the separability of the least separable pair of so many, the median over the splits.
    separable, communities
        The counts of clusters that held-out genes separate, and of communities of either graph (see `n_communities`),
        None where the sample has no structure.
    """

    n_clusters: int
    criterion: str | None = None
    candidates: list[int] | None = None
    score: list[float] | None = None
    separable: int | None = None
    communities: list[int] | None = None

    def to_uns(self) -> dict[str, Any]:
        """What is known, and `given`, as `uns["cicl"]["k"]` holds it."""
        known = {name: value for name, value in asdict(self).items() if value is not None}
        return {"given": self.criterion is None, **known}


def choose_k(features: Features, n_clusters: int | str, ensemble: Ensemble | None = None, *, seed: int = 0) -> KChoice:
    """Number of clusters and the evidence for it.

    It is 1 where held-out genes separate no two clusters, or hardly better than in cells that differ by chance and
    depth only. Otherwise it is the median of three counts: clusters that held-out genes separate, and communities of
    two graphs.

    Parameters
    ----------
    features
        The cells with all that is known of them.
    n_clusters
        The number, or `auto`.
    ensemble
        Embeddings of the same cells, needed where the number is to be estimated.

    Raises
    ------
    ValueError
        When `n_clusters` is neither `auto` nor within 1 and the number of cells.
    """
    if n_clusters != "auto":
        if not 1 <= int(n_clusters) <= features.n_cells:
            raise ValueError(f"n_clusters must lie between 1 and the {features.n_cells} cells, not {n_clusters}")
        return KChoice(int(n_clusters))
    if features.n_cells > CELLS:
        features = features.subset(random_sample(features.n_cells, CELLS, seed=seed))
    runs = held_out_merges(features, seed=seed)
    separable = int(np.median([run.estimate() for run in runs]))
    candidates, score = _curve(runs)
    evidence = {"criterion": CRITERION, "candidates": candidates, "score": score, "separable": separable}
    if separable == 1 or not _beats_chance(features, runs, seed):
        return KChoice(1, **evidence)
    communities = n_communities(ensemble)
    return KChoice(int(np.median([separable, *communities])), **evidence, communities=communities)


def held_out_merges(features: Features, *, seed: int = 0, n_splits: int = GENE_SPLITS) -> list[Merges]:
    """One run for each scaling, random halving of the genes, and direction between the halves."""
    depth = features.log_depth()
    if depth is not None:
        depth = (depth - depth.mean()) / max(depth.std(), 1e-9)
        depth = np.stack([depth, depth**2], 1)
    runs = []
    for values in features.scalings():
        rng = np.random.default_rng(seed)
        for split in range(n_splits):
            genes = rng.permutation(values.shape[1])
            halves = genes[: len(genes) // 2], genes[len(genes) // 2 :]
            first, second = (principal_components(values[:, half], COMPONENTS, seed=seed) for half in halves)
            runs += [_merge(first, second, depth, seed + split), _merge(second, first, depth, seed + split)]
    return runs


def _merge(made_of: np.ndarray, tested_on: np.ndarray, depth: np.ndarray | None, seed: int) -> Merges:
    """Cluster in one half of the genes, then merge the pair that the other half separates least, down to one."""
    n_cells = len(made_of)
    neighbours = neighbour_indices(made_of, min(10, max(5, n_cells // 15)))
    smooth = 0.5 * made_of + 0.5 * made_of[neighbours].mean(1)
    k = int(np.clip(n_cells // MIN_CELLS_PER_CLUSTER, min(6, n_cells), MAX_CLUSTERS))
    labels = np.unique(kmeans_labels(smooth, k, seed, n_init=2), return_inverse=True)[1].ravel()
    separability, numbers = [], []
    while (k := int(labels.max()) + 1) > 1:
        size = np.bincount(labels).astype(np.float64)
        share = right_share(tested_on, labels, depth)
        lower = wilson_lower_bound(share, size[:, None])
        # Of few cells even an interval of all of them reaches far down.
        all_right = (share == 1) & (size[:, None] >= MIN_CELLS_PER_CLUSTER)
        lower[all_right] = np.maximum(lower[all_right], SEPARABLE)
        pair = (lower + lower.T) / 2
        # A cluster too small to judge is merged before any other.
        tiny = size < max(3, SMALLEST_SHARE * n_cells)
        pair[tiny] -= 2
        pair[:, tiny] -= 2
        np.fill_diagonal(pair, np.inf)
        first, second = sorted(divmod(int(pair.argmin()), k))
        separability.append(max(float(pair[first, second]), 0.0))
        numbers.append(k)
        labels = np.unique(np.where(labels == second, first, labels), return_inverse=True)[1].ravel()
    return Merges(np.array(separability), np.array(numbers))


def right_share(x: np.ndarray, labels: np.ndarray, covariates: np.ndarray | None = None) -> np.ndarray:
    """Share of the cells of cluster i that are nearer to its centroid than to that of j: (k, k), the diagonal is 0.

    Distances are Mahalanobis with the pooled covariance within clusters; a cell is left out of its own centroid. What
    `covariates` (cells, covariates) explain within clusters is taken out first: depth alone makes no cell type.
    """
    x = x.astype(np.float64)
    size = np.bincount(labels).astype(np.float64)
    member = np.eye(len(size))[labels]
    if covariates is not None:
        inner = covariates - (member.T @ covariates / size[:, None])[labels]
        effect = np.linalg.pinv(inner.T @ inner, hermitian=True) @ (inner.T @ x)
        x = x - covariates @ effect
    centroids = member.T @ x / size[:, None]
    residual = x - centroids[labels]
    within = residual.T @ residual / max(len(x) - len(size), 1)
    within += (1e-3 * np.trace(within) / len(within) + 1e-12) * np.eye(len(within))
    whitening = np.linalg.cholesky(np.linalg.inv(within))
    x, centroids = x @ whitening, centroids @ whitening
    distance = np.maximum((x**2).sum(1)[:, None] - 2 * x @ centroids.T + (centroids**2).sum(1), 0)
    own_size = size[labels]
    own = distance[np.arange(len(x)), labels] * (own_size / np.maximum(own_size - 1, 1)) ** 2
    return member.T @ (own[:, None] < distance) / size[:, None]


def wilson_lower_bound(share: np.ndarray, n: np.ndarray, z: float = CONFIDENCE_Z) -> np.ndarray:
    """Lower end of the score interval of a share seen in `n` trials (Wilson 1927)."""
    centre = share + z**2 / (2 * n)
    return (centre - z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))) / (1 + z**2 / n)


def _beats_chance(features: Features, runs: list[Merges], seed: int) -> bool:
    """Whether simulated cells without structure have clusters that are much less separable, or far fewer of them."""
    null = features.null_sample(seed)
    if null is None:
        return True
    by_chance = held_out_merges(null, seed=seed, n_splits=1)
    if np.median([run.estimate() for run in runs]) > CLUSTERS_RATIO * np.median([run.estimate() for run in by_chance]):
        return True
    misplaced, misplaced_by_chance = (1 - np.median([run.last() for run in found]) for found in (runs, by_chance))
    return bool(misplaced <= MISPLACED_RATIO * misplaced_by_chance)


def n_communities(ensemble: Ensemble) -> list[int]:
    """Leiden communities that hold at least 0.5 % of the cells, of two shared-neighbour graphs.

    That of the joined components at resolution 0.3, and that of all blocks at 0.5; of more than 1,500 cells those of a
    random 1,500.
    """
    view = ensemble.sample
    graphs = {"components": shared_neighbour_graph(view.components), "blocks": view.graph}
    found = []
    for name, resolution in LEIDEN_RESOLUTIONS.items():
        size = np.bincount(Communities(graphs[name], seed=ensemble.seed).at(resolution))
        found.append(max(1, int((size >= SMALLEST_SHARE * size.sum()).sum())))
    return found


def _curve(runs: list[Merges]) -> tuple[list[int], list[float]]:
    """Median separability of the least separable pair for every number of clusters that most runs passed."""
    candidates, score = [], []
    for k in range(2, MAX_CLUSTERS + 1):
        values = [run.separability[run.n_clusters == k][0] for run in runs if (run.n_clusters == k).any()]
        if len(values) * 2 >= len(runs):
            candidates.append(k)
            score.append(float(np.median(values)))
    return candidates, score
