"""Start a command once for each GPU of this machine, and hand on how it ended."""

import os
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import Any

from .signals import handled

# Seconds after the end of one process in which the others may end by themselves
GRACE_S = 10.0
POLL_S = 0.2


def launch(command: Sequence[str], n: int, *, environment: Mapping[str, str] | None = None) -> int:
    """Run `n` processes of a command that meet on this machine (`RANK`, `LOCAL_RANK`, `WORLD_SIZE`, `MASTER_ADDR`).

    SIGTERM and SIGUSR1 are passed on to all of them. When one fails the others, which would wait for it, are ended.

    Returns
    -------
    int
        Exit status of the first that failed, 128 + signal where a signal ended it (137 where the memory was short), so
        that whoever started this knows whether to try again; 0 where all ended well.
    """
    with socket.socket() as free:
        # No name is looked up: in many containers the host's own is not known.
        free.bind(("127.0.0.1", 0))
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": str(n)}
    environment = {**(os.environ if environment is None else environment), **meeting}
    processes: list[subprocess.Popen] = []

    def pass_on(number: int, _frame: Any) -> None:
        for process in processes:
            if process.poll() is None:
                process.send_signal(number)

    with handled(pass_on, pass_on):
        try:
            for rank in range(n):
                own = {**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)}
                processes.append(subprocess.Popen(command, env=own))
            failed = None
            while failed is None and any(process.poll() is None for process in processes):
                failed = next((process.returncode for process in processes if process.poll()), None)
                time.sleep(POLL_S)
            failed = failed or next((process.returncode for process in processes if process.returncode), 0)
            return 128 - failed if failed < 0 else failed
        finally:
            _end(processes)


def _end(processes: list[subprocess.Popen]) -> None:
    until = time.monotonic() + GRACE_S
    for process in processes:
        try:
            process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
