"""The initial pseudo-labels: of many partitions of one sample the one that the most distinct of them agree on.

No gene set, no scaling and no way to cut is right for every sample. Components of several gene sets and scalings are
therefore joined, and cells are drawn to their neighbours in all of them; what comes of it is cut in several ways, and
again with each of the sets left out. One criterion, which favours none of the ways, ranks the partitions; of the better
half the one is taken that agrees most with the others, as the single best one may be best by chance.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from scipy import sparse

from ..model.checkpoint import Checkpoint
from ..model.kmeans import assign, means
from ..numerics.neighbours import shared_neighbour_graph, smoothed
from ..numerics.partitions import adjusted_rand_indices, indicator
from ..numerics.pca import joined_components
from ..numerics.sampling import random_sample
from .communities import Communities
from .features import Features
from .linkage import cut_merges, graph_ward_merges, shrunk_to_sphere, tempered_ward

ENSEMBLE_CELLS = 5_000
# Communities are counted in a sample of fewer cells than it takes to make partitions.
SAMPLE_CELLS = 1_500
COMPONENTS = 20
# Partitions, at least, that the consensus is looked for among
MIN_COMPARED = 3
# Within clusters at least this share of the mean variance of a component is taken to be there.
RIDGE = 1e-6


class Ensemble:
    """Embeddings of one sample that know no clusters yet, to look for any number of clusters in.

    Of more than 5,000 cells a random 5,000 make the ensemble.

    Parameters
    ----------
    features
        The cells with all that is known of them.
    """

    def __init__(self, features: Features, *, seed: int = 0, checkpoint: Checkpoint | None = None):
        self.n_cells = features.n_cells
        self.chosen = random_sample(features.n_cells, ENSEMBLE_CELLS, seed=seed)
        self._features, self.seed = features, seed
        self._checkpoint = checkpoint or Checkpoint(None)

    @cached_property
    def views(self) -> list["View"]:
        """All blocks of components together, then all but one of them in turn."""
        return views_of(self._blocks, self.seed)

    @property
    def graph(self) -> sparse.csr_matrix:
        """Mean of the shared-neighbour graphs of all blocks, (cells of the ensemble, cells of the ensemble)."""
        return self.views[0].graph

    @cached_property
    def _blocks(self) -> list[np.ndarray]:
        """Components of every gene set and scaling, (cells of the ensemble, components) each."""
        found = self._checkpoint.remember("ensemble", self._make_blocks)
        return [block.numpy() for block in found]

    def _make_blocks(self) -> list[torch.Tensor]:
        is_whole = len(self.chosen) == self.n_cells
        features = self._features if is_whole else self._features.subset(self.chosen)
        return [torch.from_numpy(block) for block in features.blocks(self.seed)]

    def labels(self, k: int) -> np.ndarray:
        """Labels 0..k-1 of its cells by `consensus` of all partitions; fewer than k where cells are identical."""
        if k == 1:
            return np.zeros(len(self.chosen), dtype=np.int64)
        found = consensus(self.views[0].components, [labels for view in self.views for labels in view.cuts.into(k)])
        return np.unique(found, return_inverse=True)[1].ravel()

    @cached_property
    def sample(self) -> "View":
        """All blocks of at most 1,500 cells, a random sample of those of the ensemble."""
        rows = random_sample(len(self.chosen), SAMPLE_CELLS, seed=self.seed)
        if len(rows) == len(self.chosen):
            return self.views[0]
        blocks = [block[rows] for block in self._blocks]
        return View(blocks, [block_graph(block) for block in blocks], self.seed)


class View:
    """Joined components of some blocks, and the same cells drawn to their neighbours.

    Parameters
    ----------
    blocks
        (cells, components) each.
    graphs
        The shared-neighbour graph of every block.
    starts
        Of each graph of `cuts`, see `Communities`; shared by the views of one sample.
    """

    def __init__(
        self, blocks: list[np.ndarray], graphs: list[sparse.csr_matrix], seed: int, starts: Sequence[dict] = ()
    ):
        self.components = joined_components(blocks, COMPONENTS)
        self.graph = (sum(graphs) / len(graphs)).tocsr()
        self.embedding = smoothed(self.components, self.graph)
        self._seed, self._starts = seed, starts

    @cached_property
    def cuts(self) -> "Cuts":
        """Ways to cut the embedding; Leiden on the graph of the blocks and on that of the embedding."""
        graphs = [self.graph, shared_neighbour_graph(self.embedding)]
        return Cuts(self.embedding, graphs, self._seed, self._starts)


class Cuts:
    """Ways to cut one embedding into any number of clusters.

    Parameters
    ----------
    x
        (cells, features).
    graphs
        Graphs of the same cells for Leiden, (cells, cells) each.
    starts
        Of each graph, see `Communities`.
    """

    def __init__(self, x: np.ndarray, graphs: Sequence[sparse.csr_matrix], seed: int, starts: Sequence[dict] = ()):
        self._x, self._seed = x, seed
        starts = starts or [{} for _ in graphs]
        self._graphs = [Communities(g, seed=seed, starts=s) for g, s in zip(graphs, starts, strict=True)]
        self._found: dict[int, list[np.ndarray]] = {}

    @cached_property
    def _merges(self) -> np.ndarray:
        return graph_ward_merges(self._x)

    def into(self, k: int) -> list[np.ndarray]:
        """Labels (cells,) of every way to cut into k; what was found for a number is kept.

        Tempered linkage, Ward linkage along the graph of nearest neighbours, and k communities of each graph; a graph
        without so many has the labels of the tempered linkage.
        """
        if k not in self._found:
            linked = tempered_ward(self._x, k, self._seed)
            found = [communities.into(k) for communities in self._graphs]
            found = [linked if labels is None else labels for labels in found]
            self._found[k] = [linked, cut_merges(self._merges, k), *found]
        return self._found[k]


def labels_of_all(labels: np.ndarray, scores: np.ndarray, *, seed: int) -> np.ndarray:
    """Labels of all cells, (cells,), from those of the cells of the ensemble with the same seed.

    Others get the label whose centroid in `scores`, the principal components of all cells (cells, components), is
    nearest.
    """
    chosen = random_sample(len(scores), ENSEMBLE_CELLS, seed=seed)
    if len(chosen) == len(scores):
        return labels
    x = torch.from_numpy(scores)
    centroids, _ = means(x[chosen], torch.from_numpy(labels), int(labels.max()) + 1)
    everywhere = assign(x, centroids)[0].numpy()
    everywhere[chosen] = labels
    return everywhere


def views_of(blocks: list[np.ndarray], seed: int) -> list[View]:
    """The view of all blocks, then of all but one of them in turn where there are several."""
    graphs = [block_graph(block) for block in blocks]
    left_out = range(len(blocks)) if len(blocks) > 1 else ()
    kept = [range(len(blocks)), *([i for i in range(len(blocks)) if i != gone] for gone in left_out)]
    starts: list[dict[int, int]] = [{}, {}]
    return [View([blocks[i] for i in some], [graphs[i] for i in some], seed, starts) for some in kept]


def block_graph(block: np.ndarray) -> sparse.csr_matrix:
    """Sum of the shared-neighbour graphs of the first components, as they are and at cosine distance."""
    leading = block[:, :COMPONENTS]
    return shared_neighbour_graph(leading) + shared_neighbour_graph(shrunk_to_sphere(leading, 1.0))


def consensus(x: np.ndarray, partitions: list[np.ndarray]) -> np.ndarray:
    """Of the half of the partitions with the smallest generalised variance within clusters the medoid.

    The medoid has the highest mean adjusted Rand index with the others. Of partitions that agree as much the one with
    the smaller variance is taken.

    Parameters
    ----------
    x
        (cells, features).
    """
    spread = np.array([log_variance_within(x, labels) for labels in partitions])
    best = np.argsort(spread, kind="stable")[: max(MIN_COMPARED, round(len(partitions) / 2))]
    agreement = adjusted_rand_indices([partitions[i] for i in best]).mean(1)
    return partitions[best[int(np.argmax(agreement.round(6)))]]


def log_variance_within(x: np.ndarray, labels: np.ndarray) -> float:
    """Logarithm of |W|, the generalised variance within clusters of x (cells, features); Friedman & Rubin (1967).

    W is the pooled covariance within clusters. But for constants log |W| is the negative log-likelihood of normal
    clusters with one common covariance, whatever the scale of a feature (doi:10.1080/01621459.1967.10500923). K-means'
    sum of squares is dominated by the features of greatest variance and so by cuts through the biggest clusters; here
    each direction counts by its own variance.
    """
    x = x.astype(np.float64) - x.mean(0)
    size = np.bincount(labels)
    total = indicator(labels, len(size)) @ x
    within = (x.T @ x - (total.T / np.maximum(size, 1)) @ total) / len(x)
    ridge = RIDGE * max(np.square(x).sum() / x.size, 1e-300)
    return float(np.linalg.slogdet(within + ridge * np.eye(len(within)))[1])
