"""How a command ends that cannot end well: a sentence for users, a status for the scheduler, no half-written file."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ..runtime.device import is_out_of_memory
from ..runtime.signals import handled

# What the shell tells of a process that was killed for its memory, that aborted, or that was interrupted. Nextflow
# tries such a task again, with more memory.
OUT_OF_MEMORY = 128 + signal.SIGKILL
GPU_FAILED = 128 + signal.SIGABRT
INTERRUPTED = 128 + signal.SIGINT


@contextmanager
def unwound_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the block as an exception does, so that temporary files go; exit status 143.

    SIGUSR1, which asks for a checkpoint, changes nothing where there is none to write; by default it ends a process.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with handled(_end, signal.SIG_IGN):
        yield


def _end(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def explained(error: BaseException) -> tuple[str, int] | None:
    """What to tell the user of an error of the machine, and the exit status; None for any other error."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; no output is half-written, and the same command can be given again", INTERRUPTED
    reason = str(error).strip().split("\n")[0]
    if _is_of_memory(error):
        told = f" ({reason})" if reason else ""
        return f"there is not enough memory{told}: give the command more, or fewer cells or genes", OUT_OF_MEMORY
    if isinstance(error, RuntimeError) and "CUDA" in reason:
        return (
            f"the GPU failed ({reason}): give the same command again, on another GPU or with --device cpu; it resumes "
            "from its checkpoint",
            GPU_FAILED,
        )
    return None


def _is_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    if not isinstance(error, RuntimeError):
        return False
    return is_out_of_memory(error)
