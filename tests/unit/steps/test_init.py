"""Step init: a fit from its file is the fit without it, and a file of other cells or parameters is refused."""

import pytest
import torch
from click.testing import CliRunner
from sccicl.cli import main
from sccicl.clustering import ensemble
from sccicl.io.model_file import FitFile, InitFile
from simulate import simulate_cells


def cicl(*words, code=0):
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exit_code == code, done.output
    return done.output


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """90 cells of three types in two batches, of which 60 make the ensemble."""
    monkeypatch.setattr(ensemble, "ENSEMBLE_CELLS", 60)
    cells = simulate_cells(n_cells=90, n_types=3)
    cells.obs["lane"] = ["left", "right"] * 45
    cells.write_h5ad(tmp_path / "cells.h5ad")
    cicl("prepare", tmp_path / "cells.h5ad", "--outdir", tmp_path)
    return tmp_path / "cells.prepared.h5ad"


SHORT = ("--device", "cpu", "--epochs", 1)


@pytest.mark.parametrize("n_clusters", ["auto", "3,2"])
@pytest.mark.parametrize("integrate", [False, True])
def test_a_fit_from_init_is_the_same_bits(prepared, tmp_path, n_clusters, integrate):
    if integrate:
        cicl("prepare", tmp_path / "cells.h5ad", "--outdir", tmp_path, "--batch-col", "lane", "--integrate")
    asked = ("--n-clusters", n_clusters)
    cicl("init", prepared, "--outdir", tmp_path, *asked)
    found = InitFile.load(tmp_path / "cells.init.pt")
    assert found.k["given"] == (n_clusters != "auto") and all(len(labels) == 60 for labels in found.labels.values())
    cicl("fit", prepared, "--outdir", tmp_path / "one", *asked, *SHORT)
    cicl("fit", prepared, "--outdir", tmp_path / "two", "--init", tmp_path / "cells.init.pt", *asked, *SHORT)
    one, two = (FitFile.load(tmp_path / name / "cells.fit.pt") for name in ("one", "two"))
    assert torch.equal(one.embedding, two.embedding) and torch.equal(one.pseudo_labels, two.pseudo_labels)
    assert one.k == two.k and one.others.keys() == two.others.keys()
    assert all(torch.equal(one.others[n], two.others[n]) for n in one.others)
    assert set(two.stages) == {"init", "fit"} and two.stages["init"] == found.stages["init"]


def test_nothing_is_looked_for_again(prepared, tmp_path, monkeypatch):
    cicl("init", prepared, "--outdir", tmp_path)
    monkeypatch.setattr(ensemble.Ensemble, "__init__", lambda *_, **__: pytest.fail("an ensemble was made"))
    cicl("fit", prepared, "--outdir", tmp_path, "--init", tmp_path / "cells.init.pt", *SHORT)


def test_labels_of_minibatches_need_k_only(prepared, tmp_path):
    cicl("init", prepared, "--outdir", tmp_path, "--preset", "paper", "--n-clusters", 3)
    assert InitFile.load(tmp_path / "cells.init.pt").labels == {}


def test_a_file_of_something_else_is_refused(prepared, tmp_path):
    cicl("init", prepared, "--outdir", tmp_path)
    fit = ("fit", prepared, "--outdir", tmp_path, *SHORT, "--init", tmp_path / "cells.init.pt")
    for words in (("--seed", 1), ("--n-clusters", 3), ("--n-clusters", "auto,3"), ("--preset", "paper")):
        assert "run `cicl.py init`" in cicl(*fit, *words, code=2)
    simulate_cells(n_cells=90, n_types=3, seed=1).write_h5ad(tmp_path / "cells.h5ad")
    cicl("prepare", tmp_path / "cells.h5ad", "--outdir", tmp_path)
    assert "other cells" in cicl(*fit, code=2)
    cicl("fit", prepared, "--outdir", tmp_path, *SHORT)
    assert "no init file" in cicl(*fit[:-1], tmp_path / "cells.fit.pt", code=2)
    assert not list(tmp_path.glob("*.checkpoint.pt"))
