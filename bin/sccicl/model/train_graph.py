"""CUDA graphs of the training steps: a small step spends its time in starting kernels, and a graph starts all at once.

Weights are those of steps taken one by one (compared on an H200). What is tested without a GPU is the order of the
calls, and that steps are taken as they are where no graph can be made.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ..runtime.progress import log

ENABLED = True
# Steps of a batch size before its graph is made: kernels are compiled, and memory and the optimiser's state are there.
WARM_STEPS = 3


class GraphedSteps:
    """Takes steps by replaying a graph of them, one for each size of minibatches.

    The graph reads the rows of the minibatch from a tensor of its own. What the step changes, it has to change in
    place, and it must not ask the device for a value. Steps are taken as they are on other devices, where `may_capture`
    says so, and from then on where a graph could not be made.

    Parameters
    ----------
    step
        Takes a step on the cells (rows,) of a minibatch.
    generator
        Of the views, on the device; torch's own is known to every graph.
    may_capture
        Whether a step may be made a graph of now.
    """

    def __init__(
        self,
        step: Callable[[Tensor], None],
        device: torch.device,
        generator: torch.Generator,
        may_capture: Callable[[], bool],
    ):
        self._step, self._generator, self._may_capture = step, generator, may_capture
        self._is_on = ENABLED and device.type == "cuda"
        self._taken: dict[int, int] = {}
        self._graphs: dict[int, tuple[Tensor, Callable[[], None]]] = {}
        self._stream = torch.cuda.Stream(device) if self._is_on else None

    def __call__(self, batch: Tensor) -> None:
        """Take the step of a minibatch."""
        size = len(batch)
        if not self._is_on or not self._may_capture():
            self._graphs.clear()  # and the memory that each of them holds
            self._step(batch)
            return
        if size not in self._graphs:
            taken = self._taken[size] = self._taken.get(size, 0) + 1
            if taken <= WARM_STEPS:
                self._warm_up(batch)
                return
            rows = batch.clone()
            try:
                # Nothing is computed while it is recorded.
                self._graphs[size] = rows, self._capture(rows)
            except Exception as error:  # whatever cannot be recorded can be done step by step
                reason = str(error).strip().split("\n")[0]
                log(f"WARNING: no CUDA graph of the training step could be made ({reason}): the training is slower")
                self._is_on = False
                self._graphs.clear()
                self._step(batch)
                return
        rows, replay = self._graphs[size]
        rows.copy_(batch)
        replay()

    def _warm_up(self, batch: Tensor) -> None:
        # On a stream of its own, as graphs are recorded on one: gradients belong to the stream that made them.
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            self._step(batch)
        torch.cuda.current_stream().wait_stream(self._stream)

    def _capture(self, rows: Tensor) -> Callable[[], None]:
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._generator)
        with torch.cuda.graph(graph, stream=self._stream):
            self._step(rows)
        return graph.replay
