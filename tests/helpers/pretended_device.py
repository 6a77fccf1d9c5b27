"""A pretended accelerator: what a GPU refuses fails on a machine that has none.

Tensors say that they are on `pretend:0` and are computed on the CPU. As on a GPU these raise an error: `.numpy()`, an
operation on tensors of both sides, indices of the GPU into a tensor of the host, and a generator of the other side.
Gradients, optimisers, autocast and dropout work. It is torch's backend PrivateUse1, written in Python, for which
torch 2.10 is needed.

    with pretended_device() as device:
        x = torch.randn(3, device=device)
        x.numpy()              # TypeError
        x + torch.ones(3)      # RuntimeError: found at least two devices
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest import mock

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

aten = torch.ops.aten
MOVES = (aten._to_copy.default, aten.copy_.default, aten._pin_memory.default)
INDEXING = (aten.index.Tensor, aten.index_put_.default, aten.index_put.default)
MEMORY_BYTES = 1 << 34


class _Backend:
    """What `torch.pretend` has of `torch.cuda`; dropout is drawn from the generator of the CPU."""

    is_available = staticmethod(lambda: True)
    is_initialized = staticmethod(lambda: True)
    _is_in_bad_fork = staticmethod(lambda: False)
    device_count = staticmethod(lambda: 1)
    current_device = staticmethod(lambda: 0)
    manual_seed_all = staticmethod(lambda _seed: None)
    get_rng_state = staticmethod(lambda *_: torch.get_rng_state())
    set_rng_state = staticmethod(lambda state, *_: torch.set_rng_state(state))
    synchronize = staticmethod(lambda *_: None)
    empty_cache = staticmethod(lambda: None)
    mem_get_info = staticmethod(lambda *_: (MEMORY_BYTES, MEMORY_BYTES))
    reset_peak_memory_stats = staticmethod(lambda *_: None)
    max_memory_allocated = staticmethod(lambda *_: 0)
    get_amp_supported_dtype = staticmethod(lambda: [torch.bfloat16, torch.float16])


_setup_privateuseone_for_python_backend("pretend", _Backend())
_autocast = torch.library.Library("_", "IMPL", "AutocastPrivateUse1")
_autocast.fallback(torch.library.fallthrough_kernel)
DEVICE = torch.device("pretend", 0)


def _is_ours(device: object) -> bool:
    return isinstance(device, (str, torch.device)) and torch.device(device).type == DEVICE.type


class _Tensor(torch.Tensor):
    """A tensor that says it is on the device, round one of the CPU."""

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> "_Tensor":
        options = {"strides": inner.stride(), "storage_offset": inner.storage_offset(), "layout": inner.layout}
        made = torch.Tensor._make_wrapper_subclass(cls, inner.size(), dtype=inner.dtype, device=DEVICE, **options)
        made.inner = inner
        return made

    def __repr__(self) -> str:
        return f"_Tensor({self.inner!r})"

    def numpy(self, *_, **__):
        raise TypeError(
            f"can't convert {DEVICE} device type tensor to numpy. Use Tensor.cpu() to copy the tensor first."
        )

    __array__ = numpy

    def tolist(self) -> list:
        return self.inner.tolist()

    def __reduce_ex__(self, protocol: int):
        # Saved, and loaded on the host, as what it is round.
        return self.inner.__reduce_ex__(protocol)

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _dispatch(func, args, kwargs or {})


def _check_sides(func, args: tuple, tensors: list) -> None:
    """Refuse what a GPU refuses; a number of the host (no dimensions) may meet its tensors."""
    if func in MOVES or not any(isinstance(tensor, _Tensor) for tensor in tensors):
        return
    of_host = [tensor for tensor in tensors if not isinstance(tensor, _Tensor) and tensor.dim() > 0]
    if func in INDEXING and isinstance(args[0], _Tensor):
        # A GPU takes indices of the host, but not values.
        of_host = [value for value in args[2:3] if not isinstance(value, _Tensor) and value.dim() > 0]
    if of_host:
        raise RuntimeError(f"Expected all tensors to be on the same device, but found at least two devices ({func})")


def _dispatch(func, args: tuple, kwargs: dict):
    flat, structure = tree_flatten((args, kwargs))
    tensors = [value for value in flat if isinstance(value, torch.Tensor)]
    _check_sides(func, args, tensors)
    inner = [value.inner if isinstance(value, _Tensor) else value for value in flat]
    inner_args, inner_kwargs = tree_unflatten(inner, structure)
    target = kwargs.get("device")
    if target is not None:
        inner_kwargs = {**inner_kwargs, "device": torch.device("cpu")}
    found = func(*inner_args, **inner_kwargs)
    if func is aten.copy_.default:
        return args[0]
    is_ours = _is_ours(target) if target is not None else any(isinstance(tensor, _Tensor) for tensor in tensors)
    if func is aten._local_scalar_dense.default or not is_ours:
        return found
    # An operation in place gives back the tensor that it was given.
    same = {id(tensor.inner): tensor for tensor in tensors if isinstance(tensor, _Tensor)}

    def outer(value):
        if id(value) in same:
            return same[id(value)]
        return _Tensor(value) if isinstance(value, torch.Tensor) else value

    return tree_map(outer, found)


class _Factories(TorchDispatchMode):
    """Functions that make tensors on the device: no tensor among their arguments leads to `_Tensor`."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if _is_ours(kwargs.get("device")) or any(
            isinstance(value, _Tensor) for value in tree_flatten((args, kwargs))[0]
        ):
            return _dispatch(func, args, kwargs)
        return func(*args, **kwargs)


class _Arguments(TorchFunctionMode):
    """Give the device its number, for which torch would ask a driver, and check the side of a generator."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        def numbered(value):
            return DEVICE if _is_ours_without_number(value) else value

        args, kwargs = tuple(map(numbered, args)), {name: numbered(value) for name, value in (kwargs or {}).items()}
        generator = kwargs.get("generator")
        if isinstance(generator, torch.Generator):
            tensors = [value for value in args if isinstance(value, torch.Tensor)]
            where = tensors[0].device if tensors else torch.device(kwargs.get("device") or "cpu")
            if generator.device.type != where.type:
                raise RuntimeError(
                    f"Expected a '{where.type}' device type for generator but found '{generator.device}'"
                )
        return func(*args, **kwargs)


def _is_ours_without_number(value: object) -> bool:
    if isinstance(value, torch.device):
        return value.type == DEVICE.type and value.index is None
    return isinstance(value, str) and value == DEVICE.type


class _Generator(torch.Generator):
    """A generator of the CPU that says which side it was made for."""

    def __new__(cls, device: torch.device | str = "cpu"):
        made = super().__new__(cls, "cpu")
        made.claimed = DEVICE if _is_ours(device) else torch.device("cpu")
        return made

    @property
    def device(self) -> torch.device:
        return self.claimed


@contextmanager
def pretended_device() -> Iterator[torch.device]:
    """The device, within the block only."""
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(torch, "Generator", _Generator))
        stack.enter_context(_Arguments())
        stack.enter_context(_Factories())
        yield DEVICE
