"""What the fit hands from one part to the next."""

import numpy as np
import pytest
import torch
from sccicl.clustering.features import ArrayFeatures
from sccicl.clustering.fit import fit
from sccicl.config import preset_config
from sklearn.metrics import adjusted_rand_score

CONFIG = preset_config("default").changed(min_steps=10, epochs=1)


@pytest.fixture(scope="module")
def cells():
    """Three types, far apart."""
    rng = np.random.default_rng(2)
    types = np.repeat([0, 1, 2], [60, 40, 20])
    x = (rng.normal(size=(120, 30)) + 6 * np.eye(30)[types]).astype(np.float32)
    return x - x.mean(0), types


def run(x, config, **options):
    return fit(x, ArrayFeatures(x), 3, config, seed=0, device=torch.device("cpu"), quiet=True, **options)


def test_labels_of_all_numbers_come_from_the_ensemble(cells):
    x, types = cells
    found = run(x, CONFIG, others=[2])
    assert adjusted_rand_score(types, found.pseudo_labels) == 1 and len(np.unique(found.others[2])) == 2
