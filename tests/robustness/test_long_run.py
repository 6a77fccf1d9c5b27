"""Many samples in one process leave nothing behind: no file open, no thread, no temporary file, no memory."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_many_samples_leave_nothing_behind():
    """60 samples; memory is compared after 20, when all is imported and compiled."""
    words = [sys.executable, ROOT / "benchmarks/long_run.py", "60"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    header, *rows = (line.split("\t") for line in done.stdout.splitlines())
    seen = {int(row[0]): dict(zip(header, map(float, row), strict=True)) for row in rows}
    first, last = seen[20], seen[60]
    assert (last["files"], last["threads"], last["temporary_files"]) == (
        first["files"],
        first["threads"],
        first["temporary_files"],
    )
    assert last["memory_mb"] - first["memory_mb"] < 32
