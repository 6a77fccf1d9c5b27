"""One step of the optimiser: views in, weights moved; it goes on with less where the device has no memory left."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ..config import Config
from ..errors import InputError
from ..runtime.device import backend_of, is_accelerator, is_out_of_memory, random_state, set_random_state
from ..runtime.progress import log
from .distributed import World
from .encoder import encode
from .loss import Losses, contrastive_loss
from .loss_symmetric import TILE_ROWS
from .precision import products_type, tensor_core_products

MIN_TILE_ROWS = 64
MIN_MICRO_BATCH = 32
# Rows that go through the model at a time on a CPU: tensors of all rows at once, freed, leave gaps in the memory that
# the next, bigger ones do not fit in.
CPU_ROWS = 1024


class _Given(torch.autograd.Function):
    """A scalar whose gradient with respect to a tensor is the one given.

    `tensor.backward(gradient)` is the same, but compares the two shapes by torch's symbolic ones, whose import takes
    half a second.
    """

    @staticmethod
    def forward(ctx, x: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return x.new_zeros(())

    @staticmethod
    def backward(ctx, _one: Tensor) -> tuple[Tensor, None]:
        return ctx.saved_tensors[0], None


class Stepper:
    """Takes steps on the losses of two views.

    After an out-of-memory error it halves the tiles of the loss, then the rows that go through the model at a time (on
    a GPU the rows first), and does the step again. Rows that go through in parts go through twice (Gao et al. 2021,
    gradient caching): first for all projections, without gradient, so that every cell still meets all others; then,
    with the gradient of the loss with respect to the projections known, for the weights.

    Parameters
    ----------
    modules
        `encoder` and `head`.
    world
        The processes that share a minibatch.
    """

    def __init__(
        self,
        modules: nn.ModuleDict,
        optimiser: torch.optim.Optimizer,
        config: Config,
        device: torch.device,
        world: World,
    ):
        self._modules, self._optimiser, self._config = modules, optimiser, config
        self._device, self._world = device, world
        self.products = products_type(device, config.batch_size)
        self.tile_rows: int | None = None
        self.micro_batch: int | None = None

    def __call__(self, views: Tensor, pseudo_labels: Tensor) -> Losses:
        """Take a step; returns the losses without gradient.

        Parameters
        ----------
        views
            The first view of all N cells of the minibatch, then the second, (2N, genes).
        pseudo_labels
            Pseudo-labels, (N,).
        """
        while True:
            try:
                with tensor_core_products(self._device):
                    return self._take(views, pseudo_labels)
            except RuntimeError as error:
                # A step that is being recorded as a graph is not taken, and cannot be taken again.
                if not is_out_of_memory(error) or self._is_recording():
                    raise
                # Its text only: the error holds the frames of the failed step, and these all of its tensors.
                short_of = str(error)
            # Outside of the handler, which would keep them alive as well.
            self._optimiser.zero_grad()
            self._shrink(len(views), short_of)

    @property
    def is_whole(self) -> bool:
        """Whether all rows go through the model at once, with tiles of the usual size."""
        return self.tile_rows is None and self.micro_batch is None

    def _is_recording(self) -> bool:
        return self._device.type == "cuda" and torch.cuda.is_current_stream_capturing()

    def embed(self, x: Tensor) -> Tensor:
        """H = f(X) of cells without dropout and gradient, (cells, features), each process its share of them."""
        own = self._world.share_of(len(x))
        with self.autocast():
            h = encode(self._modules["encoder"], x[own])
        return self._world.gather(h, own, len(x))

    def _shrink(self, n_rows: int, short_of: str) -> None:
        """Take less at a time: what is big on a CPU are the tiles of a loss, on a GPU the activations of the rows."""
        if self._world.size > 1:
            # The others wait for this process's share of a sum, and cannot know that it begins anew.
            raise InputError(
                f"out of memory on {self._device}, in process {self._world.rank} of {self._world.size}: give a smaller "
                f"--batch-size than {self._config.batch_size}, or more GPUs"
            )
        if is_accelerator(self._device):
            backend_of(self._device).empty_cache()
        rows, micro = self.tile_rows or TILE_ROWS, min(self.micro_batch or n_rows, n_rows)
        can_halve_tiles, can_halve_rows = rows > MIN_TILE_ROWS, micro > MIN_MICRO_BATCH
        if can_halve_rows and (is_accelerator(self._device) or not can_halve_tiles):
            self.micro_batch = max(MIN_MICRO_BATCH, micro // 2)
            log(f"WARNING: out of memory on {self._device}: going on with {self.micro_batch} rows at a time")
        elif can_halve_tiles:
            self.tile_rows = rows // 2
            log(f"WARNING: out of memory on {self._device}: going on with tiles of {self.tile_rows} rows")
        else:
            raise torch.OutOfMemoryError(short_of)

    def _take(self, views: Tensor, pseudo_labels: Tensor) -> Losses:
        config, world = self._config, self._world
        own = world.share_of(len(views))
        parts = views[own].split(self.micro_batch or len(views))
        self._optimiser.zero_grad()
        states = []
        if len(parts) == 1:
            graph = self._project(parts[0])
            projected = graph.detach()
        else:
            with torch.no_grad():
                projected = torch.cat([self._project(part) for part in parts if states.append(self._dropout()) is None])
        z = world.gather(projected, own, len(views)).requires_grad_()
        losses = contrastive_loss(
            *z.chunk(2),
            pseudo_labels,
            temperature=config.temperature,
            weight=config.cluster_loss_weight,
            instance_weight=config.instance_loss_weight,
            form=config.cluster_loss,
            tile_rows=self.tile_rows,
            products=self.products,
            share=(world.rank, world.size),
            reduce=world.sum,
        )
        (gradient,) = torch.autograd.grad(losses.total, z)
        if len(parts) == 1:
            _Given.apply(graph, gradient[own]).backward()
        else:
            for part, state, share in zip(parts, states, gradient[own].split(self.micro_batch), strict=True):
                with self._with_dropout(state):
                    _Given.apply(self._project(part), share).backward()
        world.sum_gradients(self._modules)
        self._optimiser.step()
        return Losses(*(value.detach() for value in losses))

    def _project(self, rows: Tensor) -> Tensor:
        parts = (rows,) if is_accelerator(self._device) else rows.split(CPU_ROWS)
        with self.autocast():
            projected = [self._modules["head"](self._modules["encoder"](part)).float() for part in parts]
        return torch.cat(projected) if len(projected) > 1 else projected[0]

    def autocast(self) -> torch.autocast:
        """Within it products are made in the type that is faster here."""
        return torch.autocast(self._device.type, self.products, enabled=self.products is not None)

    def _dropout(self) -> Tensor | None:
        """State of the generator that dropout draws from."""
        if self._config.dropout == 0:
            return None
        return random_state(self._device)

    @contextmanager
    def _with_dropout(self, state: Tensor | None) -> Iterator[None]:
        """Draw the same dropout again, and leave the generator as it was."""
        if state is None:
            yield
            return
        after = self._dropout()
        set_random_state(state, self._device)
        try:
            yield
        finally:
            set_random_state(after, self._device)
