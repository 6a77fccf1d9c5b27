"""Environment variables of a process."""

import atexit
import os
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

CACHE_VARIABLES = ("MPLCONFIGDIR", "NUMBA_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "XDG_CACHE_HOME")


def set_environment() -> None:
    """Set the variables that torch, numba and matplotlib read when they are imported; call it before that.

    Every cache goes to a folder that can be written, as homes are read-only on clusters. What the user has set is kept.
    """
    if any(variable not in os.environ for variable in CACHE_VARIABLES):
        root = _own_folder(Path(tempfile.gettempdir()))
        for variable in CACHE_VARIABLES:
            os.environ.setdefault(variable, str(root / variable.lower()))
    # Threads that wait must not spin: on a busy node two of them took twice as long as one.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # cuBLAS gives the same sums again only with a fixed workspace.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # Steps that are made smaller where memory is short need what bigger ones have left in pieces.
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")


def _own_folder(parent: Path) -> Path:
    """A folder that only this user can write to: Triton and numba load programs from their caches.

    Everybody can guess its name. Where somebody else made it, or others can write to it, a new one with a random name
    is taken, which is removed when the process ends.
    """
    if not hasattr(os, "getuid"):
        return parent / "cicl-cache-user"
    folder = parent / f"cicl-cache-{os.getuid()}"
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022:
            return folder
    own = Path(tempfile.mkdtemp(prefix="cicl-cache-", dir=parent))
    atexit.register(shutil.rmtree, own, ignore_errors=True)
    return own
