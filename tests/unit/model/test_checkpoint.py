"""An interrupted fit goes on to the very same result, and never from what is not its own."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from sccicl.config import Config
from sccicl.io import model_file
from sccicl.model import train
from sccicl.model.checkpoint import Checkpoint, Interrupted, Progress, code_key, key_of
from simulate import simulate_cells

COMMAND = Path(__file__).parents[3] / "bin" / "cicl.py"
SMALL = {"n_layers": 1, "feed_forward": 16, "projection_hidden": 16, "projection_size": 8, "batch_size": 25}
PER_MINIBATCH = Config(**SMALL, epochs=4, dropout=0.3)
PER_EPOCH = Config(**SMALL, epochs=4, dropout=0.3, encoder="pca", embedding_size=5, view="mask", cluster_loss="supcon")


class Stopping(Checkpoint):
    """Receives a signal after a number of steps."""

    def __init__(self, folder, stop_after, number=signal.SIGTERM):
        super().__init__(folder, "a", "key")
        self.left, self.number = stop_after, number

    def step_done(self, progress):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), self.number)
        super().step_done(progress)


@pytest.mark.parametrize("stops", [[1], [3, 2], [4, 4, 4], [15]])
@pytest.mark.parametrize("config", [PER_MINIBATCH, PER_EPOCH], ids=["minibatch", "epoch"])
def test_interrupted_training_ends_at_the_same_bits(config, stops, tmp_path):
    x = torch.randn(90, 12, generator=torch.Generator().manual_seed(0))
    given = {}
    if config is PER_EPOCH:
        given = {"pseudo_labels": torch.arange(90) % 3, "neighbours": torch.arange(90)[:, None].roll(3, 0)}
    whole = train.train(x, 3, config, **given, quiet=True)
    for steps in stops:
        checkpoint = Stopping(tmp_path, steps)
        with checkpoint.signals(), pytest.raises(Interrupted) as ended:
            train.train(x, 3, config, **given, checkpoint=checkpoint, quiet=True)
        assert ended.value.code == 143
    # What the process drew meanwhile must not matter.
    torch.manual_seed(99)
    resumed = train.train(x, 3, config, **given, checkpoint=Checkpoint(tmp_path, "a", "key"), quiet=True)
    assert resumed.history == whole.history and torch.equal(resumed.pseudo_labels, whole.pseudo_labels)
    for ours, theirs in zip(resumed.encoder.parameters(), whole.encoder.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_sigusr1_writes_and_goes_on(tmp_path):
    x = torch.randn(60, 12)
    checkpoint = Stopping(tmp_path, 2, signal.SIGUSR1)
    with checkpoint.signals():
        finished = train.train(x, 3, PER_MINIBATCH, checkpoint=checkpoint, quiet=True)
    assert len(finished.history["epoch"]) == 4
    assert Checkpoint(tmp_path, "a", "key").progress()[:2] == (0, 2)


def test_sigterm_after_the_last_step_is_not_lost(tmp_path, monkeypatch):
    """While the host waits for the device at the end of the last epoch."""
    x = torch.randn(60, 12, generator=torch.Generator().manual_seed(0))
    whole = train.train(x, 3, PER_MINIBATCH, evolution=True, quiet=True)
    close = train._close_epoch

    def closing(state, epoch, config):
        close(state, epoch, config)
        if epoch == PER_MINIBATCH.epochs - 1:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(train, "_close_epoch", closing)
        checkpoint = Checkpoint(tmp_path, "a", "key")
        with checkpoint.signals(), pytest.raises(Interrupted):
            train.train(x, 3, PER_MINIBATCH, checkpoint=checkpoint, evolution=True, quiet=True)
    resumed = train.train(x, 3, PER_MINIBATCH, checkpoint=Checkpoint(tmp_path, "a", "key"), evolution=True, quiet=True)
    assert resumed.history == whole.history and resumed.snapshots["epoch"] == whole.snapshots["epoch"]
    assert all(map(torch.equal, resumed.snapshots["embedding"], whole.snapshots["embedding"]))
    assert all(map(torch.equal, resumed.encoder.parameters(), whole.encoder.parameters()))


@pytest.mark.parametrize("before", [False, True])
def test_snapshots_that_were_not_taken_are_not_left_out(before, tmp_path, capsys):
    """A fit that is given again with --history draws all epochs, also those before the interruption."""
    x = torch.randn(90, 12, generator=torch.Generator().manual_seed(0))
    whole = train.train(x, 3, PER_MINIBATCH, evolution=True, quiet=True)
    checkpoint = Stopping(tmp_path, 10)
    with checkpoint.signals(), pytest.raises(Interrupted):
        train.train(x, 3, PER_MINIBATCH, checkpoint=checkpoint, evolution=before, quiet=True)
    again = Checkpoint(tmp_path, "a", "key")
    resumed = train.train(x, 3, PER_MINIBATCH, checkpoint=again, evolution=True, quiet=True)
    assert resumed.snapshots["epoch"] == whole.snapshots["epoch"]
    assert all(map(torch.equal, resumed.snapshots["embedding"], whole.snapshots["embedding"]))
    assert ("without --history" in capsys.readouterr().err) == (not before)


def test_every_few_minutes_and_no_more_often(tmp_path):
    often = Checkpoint(tmp_path, "often", "key", minutes=0)
    seldom = Checkpoint(tmp_path, "seldom", "key", minutes=60)
    for checkpoint in (often, seldom):
        with checkpoint.training():
            for batch in range(3):
                checkpoint.step_done(lambda batch=batch: Progress(0, batch, {}))
    assert Checkpoint(tmp_path, "often", "key").progress().batch == 2
    assert not seldom.path.exists()


def test_parts_are_made_once(tmp_path):
    made = []

    def labels():
        made.append(1)
        return torch.arange(3)

    for _ in range(2):
        assert Checkpoint(tmp_path, "a", "key").remember("labels", labels).tolist() == [0, 1, 2]
    assert len(made) == 1


@pytest.mark.parametrize("damage", ["cut", "other key", "empty"])
def test_what_cannot_be_used_is_not(damage, tmp_path, capsys):
    checkpoint = Checkpoint(tmp_path, "a", "0" * 64)
    checkpoint.remember("k", lambda: 3)
    if damage == "other key":  # the file's name holds the start of the key only
        again = Checkpoint(tmp_path, "a", "0" * 16 + "1" * 48)
    else:
        whole = checkpoint.path.read_bytes()
        checkpoint.path.write_bytes(whole[: len(whole) // 2] if damage == "cut" else b"")
        again = Checkpoint(tmp_path, "a", "0" * 64)
    assert again.remember("k", lambda: 4) == 4
    assert "WARNING" in capsys.readouterr().err


def test_key_is_of_values_types_and_shapes():
    x = np.arange(6, dtype=np.float32)
    different = [
        key_of(x),
        key_of(x.reshape(2, 3)),
        key_of(x.astype(np.float64)),
        key_of(x + np.float32(1e-6)),
        key_of(x, {"epochs": 1}),
        key_of(x, {"epochs": 2}),
    ]
    assert len(set(different)) == len(different) and key_of(x) == key_of(x.copy())


def test_a_killed_command_goes_on_in_another_folder(tmp_path):
    """As a retry of Nextflow does: the same command in a new folder, where only the checkpoints are shared."""
    simulate_cells(n_cells=60, n_types=3).write_h5ad(tmp_path / "cells.h5ad")
    subprocess.run([sys.executable, COMMAND, "prepare", "cells.h5ad", "--n-genes", "100"], cwd=tmp_path, check=True)
    command = [sys.executable, COMMAND, "fit", tmp_path / "cells.prepared.h5ad", "--n-clusters", "3", "--device", "cpu"]
    command += ["--threads", "1", "--min-steps", "300", "--batch-size", "60", "--checkpoint-dir", tmp_path / "kept"]
    folders = [tmp_path / name for name in ("whole", "killed", "retry")]
    for folder in folders:
        folder.mkdir()
    subprocess.run([*command[:-1], tmp_path / "other"], cwd=folders[0], check=True)
    with subprocess.Popen([*command, "--checkpoint-minutes", "0"], cwd=folders[1], stderr=subprocess.PIPE) as process:
        for _ in range(6000):  # a busy machine takes minutes until the training
            files = list((tmp_path / "kept").glob("cells.*.checkpoint.pt"))
            if files and "training" in torch.load(files[0], weights_only=True)["content"]:
                break
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        told = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 143, told
    assert "SIGTERM: checkpoint written" in told and "Traceback" not in told
    assert list(folders[1].iterdir()) == []
    again = subprocess.run(command, cwd=folders[2], check=True, capture_output=True, text=True)
    assert "going on from the checkpoint" in again.stderr and "warm-up" not in again.stderr
    whole, resumed = (model_file.load(folder / "cells.fit.pt", "fit") for folder in (folders[0], folders[2]))
    assert whole["history"] == resumed["history"] and torch.equal(whole["embedding"], resumed["embedding"])
    assert list((tmp_path / "kept").iterdir()) == [] and list((tmp_path / "other").iterdir()) == []


def test_key_changes_with_the_code_of_every_folder_that_matters(tmp_path):
    package = tmp_path / "sccicl"
    shutil.copytree(COMMAND.parent / "sccicl", package, ignore=shutil.ignore_patterns("__pycache__"))

    def key():
        code_key.cache_clear()
        return code_key(package)

    before = key()
    assert before == code_key(COMMAND.parent / "sccicl")
    for folder in sorted({path.parent for path in package.rglob("*.py")}):
        (folder / "more.py").write_text("x = 1")
        matters = not {"benchmark", "cli", "report"} & set(folder.relative_to(package).parts)
        assert (key() != before) == matters, folder.name
        (folder / "more.py").unlink()
    (package / "model" / "loss.py").rename(package / "model" / "other.py")
    assert key() != before
