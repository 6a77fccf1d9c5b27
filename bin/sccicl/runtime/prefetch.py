"""Work on a sequence of blocks that overlaps: reading ahead, and several blocks at a time, in their order."""

import os
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
S = TypeVar("S")
_END = object()
# Stored entries of a block of a sparse matrix
MAX_BLOCK_ENTRIES = 1 << 21


def row_blocks(indptr: Sequence[int], max_entries: int = MAX_BLOCK_ENTRIES) -> Iterator[tuple[int, int]]:
    """First row and the one after the last, of blocks of at most `max_entries` entries, but of one row at least."""
    first, n_rows = 0, len(indptr) - 1
    while first < n_rows:
        last = bisect_right(indptr, indptr[first] + max_entries) - 1
        last = min(max(last, first + 1), n_rows)
        yield first, last
        first = last


def n_threads() -> int:
    """Cores that this process may use, as far as OMP_NUM_THREADS allows it, and no more than 4: disks set the pace."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    allowed = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(cores, int(allowed) if allowed.isdigit() else cores, 4))


def prefetch(items: Iterator[T]) -> Iterator[T]:
    """The items; each is made in a thread while the one before is worked on."""
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(next, items, _END)
        while (item := following.result()) is not _END:
            following = pool.submit(next, items, _END)
            yield item


def map_in_order(function: Callable[[S], T], items: Iterable[S]) -> Iterator[T]:
    """`function` of every item, in their order; as many at a time as there are threads, one of which reads."""
    n = n_threads()
    with ThreadPoolExecutor(n) as pool:
        waiting: deque = deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > n:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
