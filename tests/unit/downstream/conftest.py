"""Models that several tests of annotation share."""

import pytest
import torch
from sccicl.config import PRESETS
from sccicl.downstream.annotate_reference import with_reference
from sccicl.steps.cluster import cluster_sample
from sccicl.steps.fit import fit_sample
from sccicl.steps.prepare import prepare_sample
from simulate import simulate_cells
from typed_model import train_celltypist

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    pytest.importorskip("celltypist")
    # Cells of another draw: the same types, not the same cells.
    return train_celltypist(simulate_cells(200, 4, seed=1), "cell_type", tmp_path_factory.mktemp("model") / "types.pkl")


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """A model of three of four types, with its labels."""
    folder = tmp_path_factory.mktemp("reference")
    cells = simulate_cells(240, 4, seed=1)
    cells = cells[cells.obs["cell_type"] != "type3"].copy()
    cells.write_h5ad(folder / "r.h5ad")
    config = PRESETS["default"].changed(min_steps=20, epochs=1)
    prepared = prepare_sample(folder / "r.h5ad", "r", config=config)
    fitted = fit_sample(prepared, 3, config=config, seed=0, device=CPU, quiet=True)
    model = with_reference(cluster_sample(prepared, fitted), prepared, "cell_type")
    model.save(folder / "r.model.pt")
    return folder / "r.model.pt", prepared
