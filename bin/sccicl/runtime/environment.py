"""Environment variables of a process."""

import os
import tempfile
from pathlib import Path

CACHE_VARIABLES = ("MPLCONFIGDIR", "NUMBA_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "XDG_CACHE_HOME")


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
