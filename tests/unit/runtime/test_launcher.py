"""Processes of one command: they meet, and how one ends is told."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sccicl.runtime import launcher
from sccicl.runtime.launcher import launch

BIN = Path(__file__).parents[3] / "bin"


def python(code):
    return [sys.executable, "-c", f"import os, signal, sys, time; rank = int(os.environ['LOCAL_RANK']); {code}"]


def test_every_process_knows_its_place(tmp_path):
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR")
    code = f"open(r'{tmp_path}/' + str(rank), 'w').write(' '.join(os.environ[name] for name in {names}))"
    assert launch(python(code), 3) == 0
    assert [(tmp_path / str(rank)).read_text() for rank in range(3)] == [f"{r} {r} 3 127.0.0.1" for r in range(3)]


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("sys.exit(2)", 2),
        ("os.kill(os.getpid(), signal.SIGKILL)", 137),
        ("sys.exit(143)", 143),
    ],
)
def test_status_of_the_one_that_failed(end, status, monkeypatch):
    """The others wait for it in vain, and are ended."""
    monkeypatch.setattr(launcher, "GRACE_S", 0.1)
    start = time.monotonic()
    assert launch(python(f"({end}) if rank == 1 else time.sleep(600)"), 2) == status
    assert time.monotonic() - start < 300


def test_signals_reach_every_process(tmp_path):
    """As at the end of a job's time: the processes end by themselves, with the status that a retry is known by."""
    on_signal = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))"
    code = f"{on_signal}; open(r'{tmp_path}/' + str(rank), 'w'); time.sleep(600)"
    program = f"import sys; sys.path.insert(0, r'{BIN}'); from sccicl.runtime.launcher import launch\n"
    program += f"sys.exit(launch({python(code)!r}, 2))"
    with subprocess.Popen([sys.executable, "-c", program], env=dict(os.environ)) as process:
        while len(list(tmp_path.iterdir())) < 2:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 143
