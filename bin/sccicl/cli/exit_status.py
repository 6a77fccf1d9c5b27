"""How a command ends that cannot end well: a sentence for users, a status for the scheduler, no half-written file."""

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from ..runtime.device import is_out_of_memory
from ..runtime.signals import handled

# What the shell tells of a process that was killed for its memory, that aborted, or that was interrupted. Nextflow
# tries such a task again, with more memory.
OUT_OF_MEMORY = 128 + signal.SIGKILL
GPU_FAILED = 128 + signal.SIGABRT
INTERRUPTED = 128 + signal.SIGINT
SENT_AGAIN_S = 0.05


@contextmanager
def unwound_by_signals() -> Iterator[list[int]]:
    """SIGTERM and SIGINT end the block as an exception does, so that temporary files go; exit statuses 143 and 130.

    Gives the signals that came, as code that they interrupt can make another error of the exception. SIGUSR1, which
    asks for a checkpoint, changes nothing where there is none to write; by default it ends a process.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def end(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    def end_later(unraisable: "sys.UnraisableHookArgs") -> None:
        # Python drops what is raised in a destructor or in a callback of a weak reference. The signal is sent again,
        # for the code after that.
        if received and isinstance(unraisable.exc_value, (KeyboardInterrupt, SystemExit)):
            threading.Timer(SENT_AGAIN_S, os.kill, (os.getpid(), received[-1])).start()
        else:
            report_unraisable(unraisable)

    # A command in the background of a shell ignores SIGINT.
    sigint = end if signal.getsignal(signal.SIGINT) is signal.default_int_handler else None
    report_unraisable, sys.unraisablehook = sys.unraisablehook, end_later
    try:
        with handled(end, signal.SIG_IGN, sigint):
            yield received
    finally:
        sys.unraisablehook = report_unraisable


def explained(error: BaseException, received: Sequence[int] = ()) -> tuple[str, int] | None:
    """What to tell the user of an error of the machine, and the exit status; None for any other error.

    Every error after a signal is taken for what the signal became.
    """
    if received or isinstance(error, KeyboardInterrupt):
        told = "interrupted; no output is half-written, and the same command can be given again"
        return told, 128 + received[-1] if received else INTERRUPTED
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
