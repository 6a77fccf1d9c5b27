"""What a result does not depend on: columns of obs not at all, the order of cells and genes and the threads hardly."""

import numpy as np
import pytest
import torch
from sccicl import steps, warmup
from sccicl.config import preset_config
from simulate import simulate_cells
from sklearn.metrics import adjusted_rand_score

CONFIG = preset_config("default").changed(pool_runs=2, epochs=1, min_steps=30)
# Types that come apart and one pair that hardly does: labels could move.
CELLS = simulate_cells(300, 4, 300, markers=25, fold=4.0)


@pytest.fixture(autouse=True)
def short_warm_up(monkeypatch):
    monkeypatch.setattr(warmup, "STEPS", 60)


def clustered(cells, folder):
    cells.write_h5ad(folder / "s.h5ad")
    prepared = steps.prepare_sample(folder / "s.h5ad", "s", config=CONFIG)
    fitted = steps.fit_sample(prepared, 4, config=CONFIG, seed=0, device=torch.device("cpu"), quiet=True)
    steps.cluster_sample(prepared, fitted)
    return prepared


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    before, warmup.STEPS = warmup.STEPS, 60
    yield clustered(CELLS.copy(), tmp_path_factory.mktemp("expected"))
    warmup.STEPS = before


def test_the_same_again_and_with_other_columns_of_obs(expected, tmp_path):
    rng = np.random.default_rng(0)
    cells = CELLS.copy()
    cells.obs["noise"], cells.obs["text"] = rng.normal(size=300), "x"
    cells.obs["cell_type"] = rng.permutation(cells.obs["cell_type"].astype(str))
    again = clustered(cells, tmp_path)
    assert (again.obs["cicl"].to_numpy() == expected.obs["cicl"].to_numpy()).all()
    np.testing.assert_array_equal(again.obsm["X_cicl"], expected.obsm["X_cicl"])


@pytest.mark.parametrize("axis", ["cells", "genes"])
def test_another_order_finds_the_same_clusters(axis, expected, tmp_path):
    order = np.random.default_rng(1).permutation(300)
    moved = CELLS[order].copy() if axis == "cells" else CELLS[:, order].copy()
    found = clustered(moved, tmp_path).obs["cicl"].reindex(expected.obs_names)
    ari = adjusted_rand_score(found.astype(str), expected.obs["cicl"].astype(str))
    print(f"{axis} in another order: ARI {ari:.3f}")
    assert ari > 0.95


def test_two_threads_find_the_clusters_of_one(expected, tmp_path):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3 - min(before, 2))
        found = clustered(CELLS.copy(), tmp_path).obs["cicl"]
    finally:
        torch.set_num_threads(before)
    ari = adjusted_rand_score(found.astype(str), expected.obs["cicl"].astype(str))
    print(f"one and two threads: ARI {ari:.3f}")
    assert ari > 0.95
