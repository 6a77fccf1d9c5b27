"""Measure whether many samples in one process leave anything behind: memory, open files, threads, temporary files.

usage: python benchmarks/long_run.py [N_SAMPLES]

By default 1,000 samples of 100 cells, each with a seed of its own, go through prepare, fit, cluster, score and report
by the command line's own functions, in a training as short as it can be; every tenth through markers and plot as well.
A row is printed for every hundredth part. Linux only, as /proc is read.
"""

import contextlib
import gc
import io
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "bin"), str(ROOT / "tests" / "helpers")]
os.environ.setdefault("OMP_NUM_THREADS", "1")
WITH_FIGURES = 10
SHORT = ["--epochs", "1", "--min-steps", "1", "--batch-size", "64"]


class Held(NamedTuple):
    """What a process holds: resident memory in MB, open files, threads, files in its temporary folder."""

    memory_mb: float
    files: int
    threads: int
    temporary: int


def held(temporary: Path) -> Held:
    """What this process holds now."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    threads = len(list(Path("/proc/self/task").iterdir()))
    files = len(list(Path("/proc/self/fd").iterdir()))
    inside = sum(1 for _ in temporary.rglob("*"))
    return Held(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, files, threads, inside)


def one_sample(folder: Path, seed: int) -> None:
    """Take a sample of 100 cells from counts to report, and remove its files."""
    from sccicl.cli import main
    from simulate import simulate_cells

    out = folder / "out"
    figures = seed % WITH_FIGURES == 0
    clustered = out / "s.clustered.h5ad"
    simulate_cells(100, 3, 80, seed=seed).write_h5ad(folder / "s.h5ad")
    for words in (
        ["prepare", folder / "s.h5ad", "--n-genes", 60],
        ["fit", out / "s.prepared.h5ad", "--n-clusters", 3, "--seed", seed, "--device", "cpu", "--threads", 1, *SHORT],
        ["cluster", out / "s.prepared.h5ad", "--fit", out / "s.fit.pt"],
        ["score", clustered, "--label-col", "cell_type"],
        *([["markers", clustered], ["plot", clustered, "--metrics", out / "s.metrics.json"]] if figures else []),
        ["report", out / "s.h5ad" if figures else clustered, out / "s.metrics.json"],
    ):
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            main([*map(str, words), "--outdir", str(out)], standalone_mode=False)
    for file in [*out.iterdir(), folder / "s.h5ad"]:
        file.unlink()


def long_run(n_samples: int, rows: int = 100) -> list[tuple[int, Held]]:
    """Number of samples done and what is held, at `rows` moments; temporary files go where they are counted."""
    seen = []
    with tempfile.TemporaryDirectory() as name:
        folder, temporary = Path(name), Path(name) / "tmp"
        temporary.mkdir()
        before, os.environ["TMPDIR"], tempfile.tempdir = os.environ.get("TMPDIR"), str(temporary), None
        try:
            for number in range(1, n_samples + 1):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    one_sample(folder, number)
                if number % max(1, n_samples // rows) == 0:
                    seen.append((number, held(temporary)))
                    print("\t".join(map(str, (number, f"{time.monotonic():.0f}", *seen[-1][1]))), flush=True)
        finally:
            tempfile.tempdir = None
            os.environ.pop("TMPDIR") if before is None else os.environ.update(TMPDIR=before)
    return seen


if __name__ == "__main__":
    print("samples\tclock_s\tmemory_mb\tfiles\tthreads\ttemporary_files", flush=True)
    long_run(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
