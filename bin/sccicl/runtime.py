"""The machine: cache folders, threads, device, seconds and peak memory of a stage, versions."""

import os
import platform
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import InputError

if TYPE_CHECKING:
    import torch

CACHE_VARIABLES = ("MPLCONFIGDIR", "NUMBA_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "XDG_CACHE_HOME")
PACKAGES = ("numpy", "scipy", "pandas", "scikit-learn", "anndata", "scanpy", "torch")


def set_environment() -> None:
    """Set the variables that torch, numba and matplotlib read when they are imported; call it before that.

    Every cache goes to a folder that can be written, as homes are read-only on clusters. What the user has set is kept.
    """
    root = Path(tempfile.gettempdir()) / f"cicl-cache-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
    for variable in CACHE_VARIABLES:
        os.environ.setdefault(variable, str(root / variable.lower()))
    # Threads that wait must not spin: on a busy node two of them took twice as long as one.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # cuBLAS gives the same sums again only with a fixed workspace.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def set_threads(threads: int | None) -> None:
    """Use `threads` CPU cores in torch; None leaves torch's choice."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def choose_device(device: str) -> "torch.device":
    """`auto` (a GPU where there is one), `cpu`, `cuda` or `cuda:1`.

    Raises
    ------
    InputError
        When a GPU is asked for and none can be used, with the likeliest reason.
    """
    import torch

    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        chosen = None
    if chosen is None or chosen.type not in ("cpu", "cuda"):
        raise InputError(f"--device is '{device}': give auto, cpu, cuda or cuda:N")
    if chosen.type == "cpu":
        return torch.device("cpu")
    if torch.version.cuda is None:
        raise InputError(
            f"--device {device} asks for a GPU, but this torch {torch.__version__} is a CPU build: "
            "use the GPU image or environment"
        )
    if not torch.cuda.is_available():
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        hint = (
            f"CUDA_VISIBLE_DEVICES is '{visible}'" if visible is not None else "no NVIDIA driver or device is visible"
        )
        raise InputError(
            f"--device {device} asks for a GPU, but torch sees none ({hint}): check the driver "
            f"(CUDA {torch.version.cuda}), the container's GPU option (--nv, --gpus all) and the queue, "
            "or use --device cpu"
        )
    if (chosen.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"--device {device} does not exist: this machine has {torch.cuda.device_count()} GPU(s), counted from 0"
        )
    return chosen


def device_name(device: "torch.device") -> str:
    """Such as `cpu (2 threads)` or `cuda:0 NVIDIA H100 (CUDA 12.8)`."""
    import torch

    if device.type == "cuda":
        return f"{device} {torch.cuda.get_device_name(device)} (CUDA {torch.version.cuda})"
    return f"{device} ({torch.get_num_threads()} threads)"


def versions() -> dict[str, str]:
    """Versions of the engine, Python and the packages that results depend on."""
    from . import __version__

    found = {"cicl": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _peak_memory_mb() -> float:
    """Peak resident memory since the last reset, in MB."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    import resource

    # macOS counts bytes, every other system kilobytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if platform.system() == "Darwin" else 2**10)


@contextmanager
def stage(name: str, stages: dict[str, dict[str, float]], device: "torch.device | None" = None) -> Iterator[None]:
    """Record seconds and peak memory (MB; of the GPU too) of the block as `stages[name]`."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak; without it the peak is the process's
    on_gpu = device is not None and device.type == "cuda"
    if on_gpu:
        import torch

        torch.cuda.reset_peak_memory_stats(device)
    start = time.perf_counter()
    yield
    stages[name] = {"seconds": round(time.perf_counter() - start, 3), "peak_memory_mb": round(_peak_memory_mb(), 1)}
    if on_gpu:
        stages[name]["peak_gpu_memory_mb"] = round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
