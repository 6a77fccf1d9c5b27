"""`fit --gpus N` as a command: processes that meet, one result, and the status of the one that failed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sccicl.io.model_file import FitFile
from simulate import simulate_cells

COMMAND = Path(__file__).parents[3] / "bin" / "cicl.py"
SHORT = [
    "--n-clusters",
    "3",
    "--threads",
    "1",
    "--preset",
    "paper",
    "--epochs",
    "2",
    "--n-layers",
    "1",
    "--dropout",
    "0",
]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    simulate_cells(n_cells=60, n_types=3).write_h5ad(folder / "cells.h5ad")
    subprocess.run([sys.executable, COMMAND, "prepare", "cells.h5ad", "--n-genes", "60"], cwd=folder, check=True)
    return folder / "cells.prepared.h5ad"


def fit(prepared, folder, *words):
    environment = {name: value for name, value in os.environ.items() if name not in ("WORLD_SIZE", "RANK")}
    command = [sys.executable, COMMAND, "fit", prepared, "--outdir", folder, "--device", "cpu", *SHORT, *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)


def test_two_processes_write_what_one_writes(prepared, tmp_path):
    for name, words in (("one", []), ("two", ["--gpus", "2"])):
        done = fit(prepared, tmp_path / name, *words)
        assert done.returncode == 0, done.stderr
    one, two = (FitFile.load(tmp_path / name / "cells.fit.pt") for name in ("one", "two"))
    assert two.history["loss"] == pytest.approx(one.history["loss"], rel=1e-4)
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == ["cells.fit.pt"]


def test_status_of_bad_input(tmp_path):
    (tmp_path / "bad.prepared.h5ad").write_text("no h5ad")
    done = fit(tmp_path / "bad.prepared.h5ad", tmp_path, "--gpus", "2")
    assert done.returncode == 2 and "ERROR" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("processes", ["1", "2"])
def test_sigusr1_writes_a_checkpoint_and_the_fit_goes_on(prepared, tmp_path, processes):
    environment = {name: value for name, value in os.environ.items() if name not in ("WORLD_SIZE", "RANK")}
    command = [sys.executable, COMMAND, "fit", prepared, "--outdir", tmp_path, "--device", "cpu", *SHORT]
    command += ["--epochs", "150", "--gpus", processes]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as process:
        while not list(tmp_path.glob("*.checkpoint.pt")):  # with the choice of k: all processes have met
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGUSR1)
        told = process.communicate(timeout=900)[1].decode()
    assert process.returncode == 0, told
    assert len(FitFile.load(tmp_path / "cells.fit.pt").history["loss"]) == 150
