"""The signals by which a queue ends a job, or says that it will soon."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

Handler = Callable[[int, FrameType | None], None] | signal.Handlers


@contextmanager
def handled(sigterm: Handler, sigusr1: Handler, sigint: Handler | None = None) -> Iterator[None]:
    """Handlers of SIGTERM, SIGUSR1 and, where given, SIGINT within the block; those of before are put back after it."""
    handlers = {signal.SIGTERM: sigterm, signal.SIGUSR1: sigusr1, **({} if sigint is None else {signal.SIGINT: sigint})}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
