"""Progress: a bar with ETA on a terminal, a line per interval in a log file."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")

LOG_INTERVAL_S = 30.0


def progress(items: Iterable[T], description: str, total: int, *, quiet: bool = False) -> Iterator[T]:
    """Yield `items` and show how many of `total` are done and when the rest will be."""
    if quiet:
        yield from items
    elif sys.stderr.isatty():
        yield from tqdm(items, desc=description, total=total, leave=False)
    else:
        start = shown = time.monotonic()
        for done, item in enumerate(items, 1):
            yield item
            now = time.monotonic()
            if done == total or now - shown >= LOG_INTERVAL_S:
                left = (now - start) / done * (total - done)
                log(f"{description}: {done}/{total}, {now - start:.0f} s, about {left:.0f} s left")
                shown = now


def log(message: str) -> None:
    """One line on standard error, which Nextflow keeps in .command.err."""
    tqdm.write(message, file=sys.stderr)
