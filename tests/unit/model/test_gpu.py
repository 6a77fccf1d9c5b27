"""What trains and what looks for clusters, on every device: nothing here may need the host's memory by accident.

`pytest -m gpu tests/unit/model` runs this and the losses, K-means, training and checkpoints on an NVIDIA GPU; torch,
numpy, scipy and pytest are enough for it. What needs more is left out where that is not installed.
"""

import dataclasses
import json

import numpy as np
import pytest
import torch
from sccicl.clustering.assign import assign_clusters, cluster
from sccicl.clustering.features import ArrayFeatures
from sccicl.clustering.fit import fit
from sccicl.clustering.initial import find_initial
from sccicl.config import PRESETS
from sccicl.model.checkpoint import Checkpoint, Interrupted
from sccicl.model.encoder import encode
from sccicl.numerics.neighbours import neighbour_indices
from sccicl.numerics.pca import principal_axes, principal_components

# Every operation on the pretended device costs a thousand of another.
SHORT = {"min_steps": 4, "epochs": 1, "batch_size": 50, "feed_forward": 16}
DEFAULT = PRESETS["default"].changed(**SHORT, embedding_size=6, projection_hidden=16, projection_size=8)
PAPER = PRESETS["paper"].changed(**SHORT, n_layers=1, projection_hidden=16, projection_size=8)
N_CELLS, N_TYPES = 90, 3


@pytest.fixture(scope="module")
def x():
    """Cells of three types that any method tells apart, (90, 30)."""
    rng = np.random.default_rng(0)
    return (rng.normal(size=(N_CELLS, 30)) + 6 * np.eye(30)[np.arange(N_CELLS) % N_TYPES]).astype(np.float32)


def is_truth(labels):
    """Whether the labels are the types, whatever their numbers."""
    pairs = set(zip(np.arange(N_CELLS) % N_TYPES, np.asarray(labels).tolist(), strict=True))
    return len(pairs) == N_TYPES == len(set(np.asarray(labels).tolist()))


@pytest.mark.parametrize("config", [DEFAULT, PAPER], ids=["default", "paper"])
def test_a_fit_finds_the_types(x, device, config):
    found = fit(x, ArrayFeatures(x), N_TYPES, config, seed=0, device=device, evolution=True, quiet=True)
    assert found.embedding.device.type == "cpu" and torch.isfinite(found.embedding).all()
    if found.pseudo_labels is not None:
        assert is_truth(found.pseudo_labels)
    final = cluster(found.embedding, N_TYPES, start=found.pseudo_labels)
    assert is_truth(final.labels)
    # New cells: as `map` does it
    h = encode(found.encoder.to(device), torch.from_numpy(x).to(device))
    labels, confidence = assign_clusters(h, torch.from_numpy(final.centroids).to(device), config.student_df)
    np.testing.assert_array_equal(labels, final.labels)
    assert isinstance(confidence, np.ndarray)


def test_the_number_of_clusters_is_estimated(x, device):
    for package in ("igraph", "leidenalg"):
        pytest.importorskip(package)
    found = fit(x, ArrayFeatures(x), "auto", DEFAULT, seed=0, device=device, others=(2,), quiet=True)
    assert not found.k["given"] and len(set(found.pseudo_labels.tolist())) == found.k["n_clusters"] > 1
    assert set(found.others[2].tolist()) == {0, 1}


def test_initial_labels_of_a_cpu_task_serve_the_device(x, device):
    settings = {"seed": 0, "others": (2,)}
    initial = find_initial(ArrayFeatures(x), N_TYPES, DEFAULT, **settings)
    here, there = (
        fit(x, ArrayFeatures(x), N_TYPES, DEFAULT, **settings, device=device, quiet=True, initial=given)
        for given in (None, initial)
    )
    assert torch.equal(here.embedding, there.embedding) and torch.equal(here.others[2], there.others[2])


def test_batches_are_integrated(x, device):
    batches = np.arange(N_CELLS) // N_TYPES % 2
    found = fit(x, ArrayFeatures(x), N_TYPES, DEFAULT, seed=0, device=device, batches=batches, quiet=True)
    assert is_truth(found.pseudo_labels)


class Stopping(Checkpoint):
    """Ends the process, as it were, after some steps of the training."""

    left = 3

    def step_done(self, progress):
        self.left -= 1
        if self.left == 0:
            self._content["training"] = progress()._asdict()
            self._save()
            raise Interrupted(15)


@pytest.mark.parametrize("config", [DEFAULT, PAPER], ids=["default", "paper"])
def test_an_interrupted_fit_ends_at_the_same_bits(x, device, config, tmp_path):
    config = dataclasses.replace(config, dropout=0.3)
    settings = {"seed": 0, "device": device, "quiet": True}
    whole = fit(x, ArrayFeatures(x), N_TYPES, config, **settings)
    with pytest.raises(Interrupted):
        fit(x, ArrayFeatures(x), N_TYPES, config, **settings, checkpoint=Stopping(tmp_path, "a", "key"))
    assert Checkpoint(tmp_path, "a", "key").progress().epoch >= 0  # it can be read, so the fit does not start anew
    torch.manual_seed(99)
    resumed = fit(x, ArrayFeatures(x), N_TYPES, config, **settings, checkpoint=Checkpoint(tmp_path, "a", "key"))
    assert resumed.history == whole.history
    assert torch.equal(resumed.embedding, whole.embedding)


def test_components_and_neighbours_of_the_device_are_those_of_the_cpu(device):
    x = np.random.default_rng(1).normal(size=(500, 450)).astype(np.float32)
    x[:, :8] *= np.arange(20, 4, -2)
    # Beyond what stands out of the noise components are any.
    expected, found = (principal_components(x, 8, device=where) for where in ("cpu", device))
    np.testing.assert_allclose(found, expected, atol=1e-3 * np.abs(expected).max())
    np.testing.assert_array_equal(neighbour_indices(expected, 5, device=device), neighbour_indices(expected, 5))
    cells = torch.from_numpy(x)
    variance = principal_axes(cells, 8, device=device)[2].cpu().numpy()
    np.testing.assert_allclose(variance, np.linalg.eigvalsh(np.cov(x.T))[::-1][:8], rtol=1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_a_gpu_run_finds_the_types_and_records_the_gpu(tmp_path):
    for package in ("anndata", "scanpy", "click", "igraph", "leidenalg", "umap", "matplotlib"):
        pytest.importorskip(package)
    from click.testing import CliRunner
    from sccicl.cli import main
    from simulate import simulate_cells

    simulate_cells().write_h5ad(tmp_path / "five.h5ad")
    words = [
        "run",
        tmp_path / "five.h5ad",
        "--outdir",
        tmp_path / "out",
        "--device",
        "cuda",
        "--label-col",
        "cell_type",
    ]
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    metrics = json.loads((tmp_path / "out" / "five.metrics.json").read_text())
    assert metrics["ari"] > 0.95
    assert metrics["hardware"]["gpu"] == torch.cuda.get_device_name()
    assert metrics["hardware"]["cuda"] == torch.version.cuda and metrics["hardware"]["driver"]
    assert metrics["peak_gpu_memory_mb"]["fit"] > 0
