"""Adjusted Rand indices against scikit-learn."""

import numpy as np
import pytest
from sccicl.numerics.partitions import adjusted_rand_indices
from sklearn.metrics import adjusted_rand_score


@pytest.mark.parametrize("n_cells", [1, 2, 7, 300])
def test_every_pair(n_cells):
    rng = np.random.default_rng(n_cells)
    partitions = [rng.integers(0, k, n_cells) for k in (1, 2, 2, 5, 9)]
    partitions += [np.arange(n_cells), 7 + 3 * partitions[2], partitions[2] - 5]
    found = adjusted_rand_indices(partitions)
    for i, first in enumerate(partitions):
        for j, second in enumerate(partitions):
            assert found[i, j] == pytest.approx(adjusted_rand_score(first, second), abs=1e-12), (i, j)
