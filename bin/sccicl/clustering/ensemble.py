"""The first pseudo-labels: of several partitions of one sample the one that the others agree with most, label-free.

No gene set, no seed and no measure of distance is right for every sample, and where two partitions are nearly as good,
luck decides between them in a single run. What most runs agree on is not luck.
"""

from functools import cached_property

import numpy as np
import torch

from ..config import Config
from ..model.checkpoint import Checkpoint
from ..model.kmeans import assign, means
from ..model.pretrain import pretrained_embedding
from ..numerics.partitions import adjusted_rand_indices
from ..numerics.sampling import random_sample
from ..runtime.progress import log
from .distance import MIDDLE, length_noise, measures
from .features import Features
from .linkage import shrunk_to_sphere, tempered_ward

ENSEMBLE_CELLS = 10_000
# Whether partitions agree shows in fewer cells than it takes to make them.
AGREEMENT_CELLS = 2_500


class Ensemble:
    """Embeddings of one sample by encoders that know no clusters yet, to look for any number of clusters in.

    Of more than 10,000 cells a random 10,000 make the ensemble.

    Parameters
    ----------
    features
        The cells with all that is known of them.
    config
        `pool_runs` encoders of its form are trained, from different genes and seeds.
    """

    def __init__(
        self,
        features: Features,
        config: Config,
        *,
        seed: int = 0,
        device: torch.device | str = "cpu",
        checkpoint: Checkpoint | None = None,
        quiet: bool = False,
    ):
        self.n_cells = features.n_cells
        self.chosen = random_sample(features.n_cells, ENSEMBLE_CELLS, seed=seed)
        self._features, self._config, self._seed, self._device = features, config, seed, device
        self._checkpoint, self._quiet = checkpoint or Checkpoint(None), quiet

    @cached_property
    def embeddings(self) -> list[np.ndarray]:
        """(cells of the ensemble, features) each; the encoders are trained when they are first asked for."""
        return [h.numpy() for h in self._checkpoint.remember("ensemble", self._train)]

    @cached_property
    def _depth(self) -> np.ndarray | None:
        """Of the pool's cells; kept, as features of a file read all cells for it."""
        depth = self._features.log_depth()
        return None if depth is None else depth[self.chosen]

    def _train(self) -> list[torch.Tensor]:
        is_whole = len(self.chosen) == self.n_cells
        features = self._features if is_whole else self._features.subset(self.chosen)
        sets = list(features.gene_sets())
        found = []
        for run in range(self._config.pool_runs):
            x = sets[run % len(sets)]
            h = pretrained_embedding(x, self._config, features.neighbours, seed=self._seed + run, device=self._device)
            found.append(torch.from_numpy(h))
            if not self._quiet:
                log(f"ensemble: {run + 1} of {self._config.pool_runs} encoders trained")
        return found

    def pseudo_labels(self, k: int, scores: np.ndarray) -> np.ndarray:
        """Pseudo-labels (cells,) 0..k-1 that the partitions agree on most; fewer than k where cells are identical.

        Cells outside the ensemble get the label whose centroid in `scores`, the principal components of all cells
        (cells, components), is nearest.
        """
        if k == 1:
            return np.zeros(self.n_cells, dtype=np.int64)
        labels = np.unique(medoid(self._partitions(k)), return_inverse=True)[1].ravel()
        if len(self.chosen) == self.n_cells:
            return labels
        x = torch.from_numpy(scores)
        centroids, _ = means(x[self.chosen], torch.from_numpy(labels), int(labels.max()) + 1)
        everywhere = assign(x, centroids)[0].numpy()
        everywhere[self.chosen] = labels
        return everywhere

    def mean_pairwise_ari(self, k: int) -> float:
        """Mean adjusted Rand index of the pairs of partitions into k, 1 where all are the same.

        Of more than 2,500 cells a random 2,500 are cut.
        """
        if k == 1:
            return 1.0
        rows = random_sample(len(self.chosen), AGREEMENT_CELLS, seed=self._seed)
        pairs = rand_indices(self._partitions(k, rows))
        return float(pairs[np.triu_indices(len(pairs), 1)].mean())

    def _partitions(self, k: int, rows: np.ndarray | slice = slice(None)) -> list[np.ndarray]:
        """Every embedding cut at two measures of distance; how noisy the lengths are decides which."""
        depth = None if self._depth is None else self._depth[rows]
        embeddings = [h[rows] for h in self.embeddings]

        def cut(run: int, power: float) -> np.ndarray:
            return tempered_ward(shrunk_to_sphere(embeddings[run], power), k, self._seed + run)

        runs = range(len(embeddings))
        noise = np.mean([length_noise(embeddings[run], cut(run, MIDDLE), depth) for run in runs])
        return [cut(run, power) for run in runs for power in measures(float(noise))]


def medoid(partitions: list[np.ndarray]) -> np.ndarray:
    """The partition with the highest mean adjusted Rand index with the others; the first of those that tie."""
    return partitions[int(rand_indices(partitions).sum(1).argmax())]


def rand_indices(partitions: list[np.ndarray]) -> np.ndarray:
    """Adjusted Rand index of every pair, (partitions, partitions); the diagonal is 0."""
    found = adjusted_rand_indices(partitions)
    np.fill_diagonal(found, 0)
    return found
