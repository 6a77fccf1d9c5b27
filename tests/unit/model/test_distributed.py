"""Several processes train as one does; out of memory, a step is taken with less."""

import os
import socket
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
import torch
from sccicl.config import Config
from sccicl.errors import InputError
from sccicl.model import distributed
from sccicl.model import train_step as step_module
from sccicl.model.cell_loader import CellLoader
from sccicl.model.distributed import World
from sccicl.model.train import train

SMALL = {"n_layers": 1, "feed_forward": 16, "projection_hidden": 16, "projection_size": 8, "batch_size": 31}
PER_MINIBATCH = Config(**SMALL, epochs=3, dropout=0)
PER_EPOCH = Config(**SMALL, epochs=3, dropout=0, encoder="pca", embedding_size=5, view="mask", cluster_loss="supcon")

PROGRAM = """
import sys
import weakref
import torch
from sccicl.model.train import train
from sccicl.model.distributed import join_world, leave_world
sys.path.insert(0, sys.argv[1])
from test_distributed import PER_EPOCH, PER_MINIBATCH, cells, given

torch.set_num_threads(1)
join_world(torch.device("cpu"))
group = weakref.ref(torch.distributed.group.WORLD)
found = [
    train(cells(), 3, config, **given(config), quiet=True).history for config in (PER_MINIBATCH, PER_EPOCH)
]
if torch.distributed.get_rank() == 0:
    torch.save(found, sys.argv[2])
leave_world()
assert group() is None, "the threads of a group that is still held outlive Python, and abort"
"""


def cells():
    x = torch.randn(90, 12, generator=torch.Generator().manual_seed(0))
    return x + 4 * torch.eye(12)[torch.arange(90) % 3]


def given(config):
    if config.encoder != "pca":
        return {}
    return {"pseudo_labels": torch.arange(90) % 3, "neighbours": torch.arange(90)[:, None].roll(3, 0)}


def test_two_processes_have_the_losses_of_one(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    environment["PYTHONPATH"] = str(Path(__file__).parents[3] / "bin")
    command = [sys.executable, "-c", PROGRAM, str(Path(__file__).parent), str(tmp_path / "history.pt")]
    processes = [
        subprocess.Popen(command, env=environment | {"RANK": str(rank)}, stderr=subprocess.PIPE) for rank in range(2)
    ]
    told = [process.communicate(timeout=900)[1].decode() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], told
    for config, theirs in zip((PER_MINIBATCH, PER_EPOCH), torch.load(tmp_path / "history.pt"), strict=True):
        ours = train(cells(), 3, config, **given(config), quiet=True).history
        for name in ("loss", "instance_loss", "cluster_loss"):
            assert theirs[name] == pytest.approx(ours[name], rel=1e-5)
        assert theirs["label_change"] == ours["label_change"]


class FullMemory:
    """An allocator that fails while the tiles or the rows that go through the model are too big."""

    def __init__(self, monkeypatch, *, max_tile, max_rows):
        self.failures = 0
        loss, project = step_module.contrastive_loss, step_module.Stepper._project

        def contrastive_loss(*args, tile_rows=None, **options):
            self.fail_if((tile_rows or step_module.TILE_ROWS) > max_tile)
            return loss(*args, tile_rows=tile_rows, **options)

        def limited(stepper, rows):
            self.fail_if(len(rows) > max_rows)
            return project(stepper, rows)

        monkeypatch.setattr(step_module, "contrastive_loss", contrastive_loss)
        monkeypatch.setattr(step_module.Stepper, "_project", limited)

    def fail_if(self, is_full):
        if is_full:
            self.failures += 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


@pytest.mark.parametrize("config", [PER_MINIBATCH, PER_EPOCH], ids=["minibatch", "epoch"])
def test_out_of_memory_goes_on_with_less_and_learns_the_same(config, device, monkeypatch, capsys):
    whole = train(cells(), 3, config, **given(config), device=device, quiet=True)
    memory = FullMemory(monkeypatch, max_tile=64, max_rows=40)
    less = train(cells(), 3, config, **given(config), device=device, quiet=True)
    told = capsys.readouterr().err
    rows, tiles = told.index("going on with 32 rows at a time"), told.index("going on with tiles of 128 rows")
    assert f"out of memory on {device}: going on" in told and "tiles of 64 rows" in told
    # What is big on a GPU are the activations.
    assert (tiles < rows) == (device.type == "cpu")
    assert memory.failures == 3  # once for each halving, and never again
    assert less.history["loss"] == pytest.approx(whole.history["loss"], rel=1e-5)


def test_nothing_of_a_failed_step_is_kept(device, monkeypatch):
    """The next try needs the memory of the one before."""
    seen, alive = [], []
    loss = step_module.contrastive_loss

    def failing(first, *others, **options):
        alive.append(sum(tensor() is not None for tensor in seen))
        if len(seen) == 3:
            return loss(first, *others, **options)
        seen.append(weakref.ref(first))
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(step_module, "contrastive_loss", failing)
    train(cells(), 3, PER_EPOCH.changed(epochs=1), **given(PER_EPOCH), device=device, quiet=True)
    assert alive[:4] == [0, 0, 0, 0]


def test_out_of_memory_ends_several_processes(monkeypatch):
    """One that began its step anew would wait in another sum than the others, for ever."""
    FullMemory(monkeypatch, max_tile=64, max_rows=1000)
    world = World()
    monkeypatch.setattr(world, "size", 2)
    monkeypatch.setattr(World, "sum", lambda _world, tensor: tensor)
    monkeypatch.setattr(World, "once", lambda _world, make: make())
    with pytest.raises(InputError, match="in process 0 of 2: give a smaller --batch-size than 31, or more GPUs"):
        train(cells(), 3, PER_EPOCH, **given(PER_EPOCH), world=world, quiet=True)


def test_every_process_joins_with_its_own_gpu(monkeypatch):
    """And never touches another: on the first GPU all would take up memory."""
    joined, current = [], []
    monkeypatch.setattr(
        distributed.dist, "init_process_group", lambda *words, **options: joined.append((words, options))
    )
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    for name, value in {"WORLD_SIZE": "4", "RANK": "3", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    own = torch.device("cuda:1")
    assert distributed.join_world(torch.device("cuda")) == own
    assert joined[0][0] == ("nccl",) and joined[0][1]["device_id"] == own and current == [own]


def test_dropout_is_the_same_in_both_passes_of_a_part(monkeypatch):
    """A part goes through the model twice; with other dropout its gradient would belong to other projections."""
    config = Config(**SMALL, epochs=1, dropout=0.5)
    seen = []
    project = step_module.Stepper._project

    def recorded(stepper, rows):
        z = project(stepper, rows)
        seen.append((torch.is_grad_enabled(), z.detach()))
        return z

    FullMemory(monkeypatch, max_tile=1000, max_rows=40)
    monkeypatch.setattr(step_module.Stepper, "_project", recorded)
    monkeypatch.setattr(step_module.Stepper, "_shrink", lambda self, *_: None)
    stepper_init = step_module.Stepper.__init__

    def parted(self, *args):
        stepper_init(self, *args)
        self.micro_batch = 32

    monkeypatch.setattr(step_module.Stepper, "__init__", parted)
    train(cells(), 3, config, quiet=True)
    parts = [z for with_gradient, z in seen if not with_gradient]
    again = [z for with_gradient, z in seen if with_gradient]
    assert len(parts) == len(again) == 6
    assert all(torch.equal(a, b) for a, b in zip(parts, again, strict=True))


def test_what_no_halving_mends_is_told(monkeypatch):
    FullMemory(monkeypatch, max_tile=1000, max_rows=1)
    with pytest.raises(torch.OutOfMemoryError, match="out of memory"):
        train(cells(), 3, PER_EPOCH, **given(PER_EPOCH), quiet=True)


def test_cells_that_do_not_fit_stay_on_the_host():
    x = torch.arange(12.0).view(4, 3)
    streamed = CellLoader(x, torch.device("meta"), max_bytes=x.nbytes - 1)
    assert not streamed.is_resident and streamed.x is x
    assert CellLoader(x, torch.device("meta"), max_bytes=x.nbytes).is_resident
    kept = CellLoader(x, torch.device("cpu"))
    assert kept.is_resident and torch.equal(kept.take(torch.tensor([2, 0])), x[[2, 0]])
