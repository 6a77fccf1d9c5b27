"""Steps as CUDA graphs: their order, on the CPU with a stand-in for the graph, and their weights on a GPU."""

import weakref

import pytest
import torch
from sccicl.config import PRESETS
from sccicl.model import train as train_module
from sccicl.model import train_graph
from sccicl.model.train import train
from sccicl.model.train_graph import GraphedSteps

SMALL = {"n_layers": 1, "feed_forward": 16, "projection_hidden": 16, "projection_size": 8, "batch_size": 32}
CONFIGS = {name: PRESETS[name].changed(**SMALL, epochs=6, min_steps=1, dropout=0.2) for name in ("default", "paper")}


class StandIn(GraphedSteps):
    """Turned on without a GPU; "recording" takes the step's own function, which replay calls with the kept rows."""

    fails = False

    def __init__(self, step, device, generator, may_capture):
        super().__init__(step, device, generator, may_capture)
        self._is_on, self.replays = True, 0
        made.append(self)

    def _warm_up(self, batch):
        self._step(batch)

    def _capture(self, rows):
        if self.fails:
            raise RuntimeError("operation not permitted when stream is capturing\nmore")

        def replay():
            self.replays += 1
            self._step(rows)

        return replay


made = []


def trained(name, device="cpu"):
    x = torch.randn(90, 12, generator=torch.Generator().manual_seed(0))
    given = {}
    if name == "default":
        given = {"pseudo_labels": torch.arange(90) % 3, "neighbours": torch.arange(90)[:, None].roll(3, 0)}
    return train(x, 3, CONFIGS[name], **given, device=device, quiet=True)


def same(first, second):
    pairs = zip(first.encoder.parameters(), second.encoder.parameters(), strict=True)
    return first.history == second.history and all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("name", CONFIGS)
def test_replayed_steps_are_the_steps(name, fails, monkeypatch, capsys):
    eager = trained(name)
    monkeypatch.setattr("sccicl.model.train.GraphedSteps", StandIn)
    monkeypatch.setattr(StandIn, "fails", fails)
    made.clear()
    assert same(trained(name), eager)
    # 3 minibatches of 30 cells in each of 6 epochs
    assert made[0].replays == (0 if fails else 18 - train_graph.WARM_STEPS)
    told = capsys.readouterr().err
    assert told.count("WARNING: no CUDA graph of the training step could be made (operation not permitted") == fails


def test_no_graph_where_it_may_not_be():
    taken = []
    steps = StandIn(taken.append, torch.device("cpu"), torch.Generator(), lambda: False)
    for _ in range(10):
        steps(torch.arange(3))
    assert len(taken) == 10 and steps.replays == 0


def test_graphs_that_are_not_replayed_any_more_hold_no_memory():
    """As after a step that the memory was too small for: the next one needs it."""
    may = [True]
    steps = StandIn(lambda rows: None, torch.device("cpu"), torch.Generator(), lambda: may[0])
    for _ in range(train_graph.WARM_STEPS + 1):
        steps(torch.arange(3))
    rows = weakref.ref(steps._graphs[3][0])
    may[0] = False
    steps(torch.arange(3))
    assert rows() is None and steps.replays == 1


@pytest.mark.parametrize("n_clusters", [5, 20])
def test_a_graph_finds_the_centroids_that_it_was_made_with(n_clusters, monkeypatch):
    """Minibatches of 9 and 10 cells: with more clusters than that their number changes with the size."""
    states, at_replay = [], {}
    start = train_module._start
    monkeypatch.setattr(train_module, "_start", lambda *given: states.append(start(*given)) or states[-1])

    class Recording(StandIn):
        def _capture(self, rows):
            replay, made_with = super()._capture(rows), states[-1].centroids

            def recorded():
                at_replay.setdefault(states[-1].centroids is made_with, []).append(len(rows))
                replay()

            return recorded

    monkeypatch.setattr(train_module, "GraphedSteps", Recording)
    x = torch.randn(95, 12, generator=torch.Generator().manual_seed(0))
    train(x, n_clusters, CONFIGS["paper"].changed(batch_size=10), quiet=True)
    assert False not in at_replay
    assert (True in at_replay) == (n_clusters == 5)


def test_each_size_has_a_graph_and_reads_its_own_rows():
    taken = []
    steps = StandIn(lambda rows: taken.append(rows.tolist()), torch.device("cpu"), torch.Generator(), lambda: True)
    batches = [torch.arange(size) + start for start in range(8) for size in (3, 4)]
    for batch in batches:
        steps(batch)
    assert taken == [batch.tolist() for batch in batches]
    assert steps.replays == 2 * (8 - train_graph.WARM_STEPS)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
@pytest.mark.parametrize("name", CONFIGS)
def test_weights_of_graphs_are_those_of_steps(name, monkeypatch, capsys):
    graphs = trained(name, "cuda")
    assert "no CUDA graph" not in capsys.readouterr().err
    monkeypatch.setattr(train_graph, "ENABLED", False)
    assert_close(graphs, trained(name, "cuda"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
@pytest.mark.parametrize("n_clusters", [5, 20])
def test_weights_of_graphs_where_minibatches_have_few_cells(n_clusters, monkeypatch):
    """Minibatches of 9 and 10 cells: a graph for each size, and none where there are more clusters than that."""
    x = torch.randn(95, 12, generator=torch.Generator().manual_seed(0))
    config = CONFIGS["paper"].changed(batch_size=10)
    graphs = train(x, n_clusters, config, device="cuda", quiet=True)
    monkeypatch.setattr(train_graph, "ENABLED", False)
    assert_close(graphs, train(x, n_clusters, config, device="cuda", quiet=True))


def assert_close(first, second):
    for a, b in zip(first.encoder.parameters(), second.encoder.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
