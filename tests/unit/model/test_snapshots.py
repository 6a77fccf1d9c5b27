"""Snapshots of a training, and their figure."""

import numpy as np
import pytest
import torch
from sccicl.config import preset_config
from sccicl.model.snapshots import as_record, snapshot_epochs
from sccicl.model.train import train
from simulate import simulate_cells


def test_snapshots_go_from_the_start_to_the_end():
    assert snapshot_epochs(1) == [0, 1]
    for n in (2, 10, 150, 1000):
        epochs = snapshot_epochs(n)
        assert (epochs[0], epochs[-1]) == (0, n) and len(epochs) <= 6 and epochs == sorted(set(epochs))


def trained(checkpoint=None, **options):
    cells = torch.from_numpy(np.random.default_rng(0).normal(size=(60, 12)).astype(np.float32))
    config = preset_config("default").changed(epochs=8, min_steps=1, batch_size=20)
    labels = torch.arange(60) % 3
    return train(cells, 3, config, pseudo_labels=labels, seed=1, quiet=True, checkpoint=checkpoint, **options)


def test_snapshots_change_nothing():
    seen, unseen = trained(evolution=True), trained()
    assert unseen.snapshots is None and seen.history == unseen.history
    assert all(torch.equal(a, b) for a, b in zip(seen.encoder.parameters(), unseen.encoder.parameters(), strict=True))


def test_snapshots_begin_with_the_first_labels():
    found = trained(evolution=True).snapshots
    assert found["epoch"] == snapshot_epochs(8) and torch.equal(found["cells"], torch.arange(60))
    assert torch.equal(found["pseudo_labels"][0], torch.arange(60) % 3)
    # Cosine distance: directions
    assert all(torch.allclose(h.norm(dim=1), torch.ones(60)) for h in found["embedding"])


def test_names_of_the_clusters_are_the_final_ones():
    labels = [torch.tensor([0, 0, 0, 1, 1, 2]), torch.tensor([0, 0, 1, 1, 1, 2])]
    wide = [torch.randn(6, 40, generator=torch.Generator().manual_seed(i)) for i in (0, 1)]
    snapshots = {"epoch": [0, 4], "cells": torch.tensor([0, 1, 2, 4, 5, 6]), "embedding": wide, "pseudo_labels": labels}
    record = as_record(snapshots, np.array([1, 1, 0, 0, 0, 0, 2]))
    np.testing.assert_array_equal(record["clusters"], [[1, 1, 1, 0, 0, 2], [1, 1, 0, 0, 0, 2]])
    # 12 points span 11 dimensions
    assert record["embedding"].shape == (2, 6, 11)


def test_figure_of_a_run(tmp_path):
    testing = pytest.importorskip("click.testing")
    from sccicl.cli import main

    path = tmp_path / "cells.h5ad"
    simulate_cells(80, 3).write_h5ad(path)
    options = ["--n-clusters", "3", "--epochs", "3", "--min-steps", "1", "--history"]
    result = testing.CliRunner().invoke(main, ["run", str(path), "--outdir", str(tmp_path / "out"), *options])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "cells.evolution.png").stat().st_size > 20_000
