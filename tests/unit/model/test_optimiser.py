"""Adam against torch's own, and what it does not load."""

import subprocess
import sys
from pathlib import Path

import torch
from sccicl.model.optimiser import Adam

LOADED = """
import sys, torch
from sccicl.config import Config
from sccicl.model.train import train
config = Config(n_layers=1, feed_forward=16, projection_hidden=16, projection_size=8, batch_size=25, epochs=2)
train(torch.randn(60, 12), 3, config, quiet=True)
print(*[name for name in ("torch._dynamo", "torch._inductor") if name in sys.modules])
"""


def trained(kind):
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Linear(5, 2))
    groups = [{"params": layers[0].parameters(), "lr": 0.1}, {"params": layers[1].parameters(), "lr": 0.01}]
    optimiser = kind(groups, weight_decay=0.01, fused=True)
    for _ in range(4):
        optimiser.zero_grad()
        layers(torch.randn(8, 6)).square().sum().backward()
        optimiser.step()
        optimiser.load_state_dict(optimiser.state_dict())
    return list(layers.parameters()), optimiser.state_dict()


def test_weights_and_state_are_those_of_torch():
    (ours, state), (theirs, reference) = trained(Adam), trained(torch.optim.Adam)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert state["param_groups"] == reference["param_groups"]
    for i, values in reference["state"].items():
        assert all(torch.equal(state["state"][i][name], value) for name, value in values.items())


def test_a_training_does_not_load_the_compiler():
    bin_folder = Path(__file__).resolve().parents[3] / "bin"
    done = subprocess.run([sys.executable, "-c", LOADED], cwd=bin_folder, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
