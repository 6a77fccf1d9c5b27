"""The machine: cache folders, threads, device, seconds and peak memory of a stage, versions."""

import os
import re
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, NoGPUError
from .progress import log

if TYPE_CHECKING:
    import torch


# Beyond any node; torch starts as many as it is told to, and never comes to work.
MAX_THREADS = 1024


def set_threads(threads: int | None) -> None:
    """Use `threads` CPU cores in torch; None leaves torch's choice.

    Raises
    ------
    InputError
        When there are more than `MAX_THREADS`.
    """
    if threads is not None:
        if threads > MAX_THREADS:
            raise InputError(f"{threads} threads are more than {MAX_THREADS}: give --threads the cores of this task")
        import torch

        torch.set_num_threads(threads)


def choose_device(device: str) -> "torch.device":
    """`auto` (a GPU where there is one that works), `cpu`, `cuda` or `cuda:1`.

    Of several processes that were started together each gets a GPU of its own. The GPU becomes torch's current one, on
    which Triton starts its kernels.

    Raises
    ------
    NoGPUError
        When a GPU is asked for and none can be used, with the likeliest reason.
    InputError
        When it is none of these.
    """
    import torch

    if device == "auto":
        chosen, warning = device_or_cpu(device)
        if warning is not None:
            log(f"WARNING: {warning}")
        return chosen
    try:
        chosen = torch.device(device)
    except RuntimeError:
        chosen = None
    if chosen is None or chosen.type not in ("cpu", "cuda"):
        raise InputError(f"--device is '{device}': give auto, cpu, cuda or cuda:N")
    if chosen.type == "cpu":
        return chosen
    chosen = of_this_process(chosen)
    if (reason := _why_no_gpu(chosen)) is not None:
        raise NoGPUError(f"--device {device} asks for a GPU, but {reason}, or allow the CPU with --allow-cpu-fallback")
    if chosen.index is not None:
        torch.cuda.set_device(chosen)
    return chosen


def of_this_process(device: "torch.device") -> "torch.device":
    """The GPU of this process where several were started together (`LOCAL_RANK`), else `device`.

    Known before any GPU is touched: on the first one every process would take up memory, or fail where a GPU serves one
    process only.
    """
    import torch

    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return device
    return torch.device(device.type, int(os.environ.get("LOCAL_RANK", "0")))


def device_or_cpu(device: str) -> tuple["torch.device", str | None]:
    """As `choose_device`, but the CPU and a warning where no GPU can be used.

    `auto` warns only of a GPU that is there and does not work.
    """
    import torch

    if device == "auto":
        if not torch.cuda.is_available():
            return torch.device("cpu"), None
        device = "cuda"
    try:
        return choose_device(device), None
    except NoGPUError as error:
        reason = str(error).removesuffix(", or allow the CPU with --allow-cpu-fallback")
        return torch.device("cpu"), f"trained on the CPU: {reason}"


def _why_no_gpu(chosen: "torch.device") -> str | None:
    """Why the GPU `chosen` cannot be used, and the remedy; None where a sum on it comes out right."""
    import torch

    if torch.version.cuda is None:
        return f"this torch {torch.__version__} is a CPU build: use the GPU image or environment"
    driver = nvidia_driver()
    if not torch.cuda.is_available():
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        if driver is None:
            seen = "no NVIDIA driver is visible"
        elif visible is not None and visible.strip() in ("", "-1", "NoDevFiles"):
            return (
                f"CUDA_VISIBLE_DEVICES is '{visible}', which hides every GPU from torch: ask the queue for a GPU "
                "(--gres=gpu:1), or unset the variable"
            )
        else:
            seen = f"the NVIDIA driver {driver} is there" + (
                f", CUDA_VISIBLE_DEVICES is '{visible}'" if visible else ""
            )
        return (
            f"torch sees none ({seen}): check that the driver is new enough for CUDA {torch.version.cuda}, the "
            "container's GPU option (--nv, --gpus all) and the queue"
        )
    n_gpus = torch.cuda.device_count()
    if (chosen.index or 0) >= n_gpus:
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            return (
                f"process {chosen.index} of this machine, counted from 0, finds {n_gpus} GPU(s): start as many "
                "processes as there are GPUs"
            )
        return f"this machine has {n_gpus} GPU(s), counted from 0: name another"
    try:
        # A GPU that this torch has no kernels for, or that another process holds, shows only when it is used.
        torch.ones(2, device=chosen).sum().item()
    except RuntimeError as error:
        reason = str(error).strip().split("\n")[0]
        return (
            f"the {torch.cuda.get_device_name(chosen)} cannot be used ({reason}): check the image's torch, and who "
            "else uses the GPU"
        )
    return None


def nvidia_driver() -> str | None:
    """Version of the NVIDIA driver, such as `535.183.01`; None where none is loaded or visible."""
    with suppress(OSError):
        found = re.search(r"Kernel Module\s+(?:for \S+\s+)?(\d[\d.]+)", Path("/proc/driver/nvidia/version").read_text())
        if found:
            return found[1]
    with suppress(OSError, subprocess.SubprocessError):
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        answer = subprocess.run(query, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
        return answer.splitlines()[0] if answer else None
    return None


def device_name(device: "torch.device") -> str:
    """Such as `cpu (2 threads)` or `cuda:0 NVIDIA H100 (CUDA 12.8, driver 570.86.15)`."""
    found = hardware(device)
    if device.type == "cuda":
        return f"{device} {found['gpu']} (CUDA {found['cuda']}, driver {found.get('driver', 'unknown')})"
    return f"{device} ({found['threads']} thread{'' if found['threads'] == 1 else 's'})"


def hardware(device: "torch.device") -> dict[str, str | int]:
    """What a training runs on: `threads`, and of a GPU `gpu` (its name), `driver` and `cuda` (of torch)."""
    import torch

    found: dict[str, str | int] = {"threads": torch.get_num_threads()}
    if device.type == "cuda":
        found.update(gpu=torch.cuda.get_device_name(device), cuda=str(torch.version.cuda))
        if (driver := nvidia_driver()) is not None:
            found["driver"] = driver
    return found


def is_accelerator(device: "torch.device") -> bool:
    """Whether `device` has a memory of its own, from which tensors have to be copied to be read on the host."""
    return device.type != "cpu"


def backend_of(device: "torch.device") -> Any:
    """Torch's module of an accelerator, such as `torch.cuda`."""
    import torch

    return getattr(torch, device.type)


def random_state(device: "torch.device") -> "torch.Tensor":
    """State of torch's own generator on `device`, from which dropout is drawn."""
    import torch

    return backend_of(device).get_rng_state(device) if is_accelerator(device) else torch.get_rng_state()


def set_random_state(state: "torch.Tensor", device: "torch.device") -> None:
    """Take over what `random_state` returned."""
    import torch

    if is_accelerator(device):
        backend_of(device).set_rng_state(state, device)
    else:
        torch.set_rng_state(state)


def use_device(name: str, threads: int | None) -> Any:
    """Set the number of threads, and return the `torch.device` that `name` asks for, see `choose_device`."""
    set_threads(threads)
    return choose_device(name)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocator raised `error`: CUDA's has a type of its own, that of the CPU is known by its words."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or "not enough memory: you tried to allocate" in str(error)
