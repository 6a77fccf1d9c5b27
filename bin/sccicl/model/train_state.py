"""All that changes while the model is trained, so that a training goes on as if it had never stopped."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..runtime.device import random_state, set_random_state

QUANTITIES = ("epoch", "loss", "instance_loss", "cluster_loss", "label_change")


@dataclass
class TrainingState:
    """The modules, and between two steps: pseudo-labels now and `previous` to this epoch, sums, draws to come.

    `shuffling` draws the order of the cells, `drawing` the views; torch's own generator the dropout.
    """

    modules: nn.ModuleDict
    optimiser: torch.optim.Optimizer
    shuffling: torch.Generator
    drawing: torch.Generator
    pseudo_labels: Tensor
    previous: Tensor
    sums: Tensor
    centroids: Tensor | None
    history: dict[str, list[float]]
    # State of `shuffling` from which the order of this epoch's cells is drawn again.
    order: Tensor
    # Epoch, embedding and pseudo-labels of some cells at some epochs, see evolution.py
    snapshots: dict[str, list]

    def snapshot(self) -> dict[str, Any]:
        """Tensors, numbers and text that `restore` takes."""
        return {
            "modules": self.modules.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "drawing": self.drawing.get_state(),
            "dropout": random_state(self.pseudo_labels.device),
            "order": self.order,
            "pseudo_labels": self.pseudo_labels,
            "previous": self.previous,
            "sums": self.sums,
            "centroids": self.centroids,
            "history": self.history,
            "snapshots": self.snapshots,
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Take over what `snapshot` returned."""
        device = self.pseudo_labels.device
        self.modules.load_state_dict(snapshot["modules"])
        self.optimiser.load_state_dict(snapshot["optimiser"])
        self.drawing.set_state(snapshot["drawing"])
        set_random_state(snapshot["dropout"], device)
        self.order = snapshot["order"]
        self.pseudo_labels, self.previous, self.sums = (
            snapshot[name].to(device) for name in ("pseudo_labels", "previous", "sums")
        )
        self.centroids = None if snapshot["centroids"] is None else snapshot["centroids"].to(device)
        self.history = {name: list(snapshot["history"][name]) for name in QUANTITIES}
        self.snapshots = {name: list(values) for name, values in snapshot["snapshots"].items()}
