"""What the fit hands from one part to the next."""

import numpy as np
import pytest
import torch
from sccicl.clustering import ensemble
from sccicl.clustering import fit as module
from sccicl.clustering.features import ArrayFeatures
from sccicl.clustering.fit import fit
from sccicl.config import preset_config
from sklearn.metrics import adjusted_rand_score

CONFIG = preset_config("default").changed(min_steps=10, epochs=1)


@pytest.fixture(autouse=True)
def short_pretraining(monkeypatch):
    monkeypatch.setattr("sccicl.model.pretrain.STEPS", 10)


@pytest.fixture(scope="module")
def cells():
    """Three types, far apart."""
    rng = np.random.default_rng(2)
    types = np.repeat([0, 1, 2], [60, 40, 20])
    x = (rng.normal(size=(120, 30)) + 6 * np.eye(30)[types]).astype(np.float32)
    return x - x.mean(0), types


def run(x, config, **options):
    return fit(x, ArrayFeatures(x), 3, config, seed=0, device=torch.device("cpu"), quiet=True, **options)


def test_labels_of_all_numbers_come_from_the_pretrained_embedding_too(cells, monkeypatch):
    x, types = cells
    made, used = [], []
    pretrain, labels = module.pretrained_embedding, ensemble.Ensemble.pseudo_labels

    def pretrain_and_keep(*arguments, **options):
        made.append(pretrain(*arguments, **options))
        return made[0]

    def labels_and_keep(self, k, scores, trained=None):
        used.append((k, trained))
        return labels(self, k, scores, trained)

    monkeypatch.setattr(module, "pretrained_embedding", pretrain_and_keep)
    monkeypatch.setattr(ensemble.Ensemble, "pseudo_labels", labels_and_keep)
    found = run(x, CONFIG, others=[2])
    assert [k for k, _ in used] == [3, 2] and len(made) == 1
    assert all(np.array_equal(trained, made[0]) for _, trained in used)
    assert adjusted_rand_score(types, found.pseudo_labels) == 1 and len(np.unique(found.others[2])) == 2


def test_only_the_cells_of_the_ensemble_are_pretrained_on(cells, monkeypatch):
    x, types = cells
    monkeypatch.setattr(ensemble, "ENSEMBLE_CELLS", 80)
    seen = []
    pretrain = module.pretrained_embedding
    monkeypatch.setattr(module, "pretrained_embedding", lambda x, *a, **o: seen.append(len(x)) or pretrain(x, *a, **o))
    assert adjusted_rand_score(types, run(x, CONFIG).pseudo_labels) == 1 and seen == [80]


def test_the_preset_paper_has_no_pretraining(cells, monkeypatch):
    monkeypatch.setattr(module, "pretrained_embedding", None)
    small = {"epochs": 1, "min_steps": 2, "n_layers": 1, "feed_forward": 8}
    assert len(run(cells[0], preset_config("paper").changed(**small)).embedding) == 120
