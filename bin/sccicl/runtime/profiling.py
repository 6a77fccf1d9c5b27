"""Time, memory and package versions of a step."""

import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from .._version import __version__
from .device import backend_of, is_accelerator

if TYPE_CHECKING:
    import torch


PACKAGES = ("numpy", "scipy", "pandas", "scikit-learn", "anndata", "scanpy", "torch")


def versions() -> dict[str, str]:
    """Versions of the engine, Python and the packages that results depend on."""
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
    on_gpu = device is not None and is_accelerator(device)
    if on_gpu:
        backend_of(device).reset_peak_memory_stats(device)
    start = time.perf_counter()
    yield
    stages[name] = {"seconds": round(time.perf_counter() - start, 3), "peak_memory_mb": round(_peak_memory_mb(), 1)}
    if on_gpu:
        stages[name]["peak_gpu_memory_mb"] = round(backend_of(device).max_memory_allocated(device) / 2**20, 1)
