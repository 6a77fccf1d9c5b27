"""Progress: a bar with ETA on a terminal, a line per interval in a log file."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
LOG_INTERVAL_S = 30.0


def progress(items: Iterable[T], description: str, total: int, *, done: int = 0, quiet: bool = False) -> Iterator[T]:
    """Yield `items` and show how many of `total` are done and when the rest will be; `done` are so at the start."""
    if quiet:
        yield from items
    elif sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, desc=description, total=total, initial=done, leave=False)
    else:
        start = shown = time.monotonic()
        for number, item in enumerate(items, done + 1):
            yield item
            now = time.monotonic()
            if number == total or now - shown >= LOG_INTERVAL_S:
                left = (now - start) / (number - done) * (total - number)
                log(f"{description}: {number}/{total}, {now - start:.0f} s, about {left:.0f} s left")
                shown = now


def log(message: str) -> None:
    """One line on standard error, which Nextflow keeps in .command.err."""
    from tqdm import tqdm

    tqdm.write(message, file=sys.stderr)
