"""Checkpoints: what a fit has found so far is kept in a file, so that the same fit goes on from there.

A fit is known by a key over everything that it depends on. The file is replaced as a whole or not at all, so a machine
that fails while it is written costs the time since the last one, never the run.
"""

import hashlib
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch

from ..runtime.files import atomic_path
from ..runtime.progress import log
from ..runtime.seal import check_archive
from ..runtime.signals import handled

FORMAT = 1
MINUTES = 5.0
KEY_LETTERS = 16
T = TypeVar("T")


class Interrupted(SystemExit):
    """The end of a process that was told to end; its exit status, 128 + signal, is what the shell's would be.

    Nextflow's retry takes such a status for a task that the system has ended, not for one that has failed.
    """

    def __init__(self, number: int):
        super().__init__(128 + number)


# Folders of the package that no training depends on
WITHOUT_EFFECT = ("benchmark", "cli", "report")


def key_of(*parts: Any) -> str:
    """A hash of arrays (their bytes, type and shape) and of anything else by its text."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype.str} {part.shape}".encode())
            digest.update(memoryview(np.ascontiguousarray(part)).cast("B"))
        else:
            digest.update(repr(part).encode())
    return digest.hexdigest()


@cache
def code_key(package: Path = Path(__file__).parents[1]) -> str:
    """A hash of the engine's own code: what an earlier state of it has found may not be what this one would find."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package)
        if name.parts[0] not in WITHOUT_EFFECT:
            digest.update(name.as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


class Progress(NamedTuple):
    """A training after some steps: `epoch` and `batch` are those to go on with, `state` is all that it needs for it."""

    epoch: int
    batch: int
    state: dict[str, Any]


class Checkpoint:
    """The file of one fit. `Checkpoint(None)` keeps nothing and lets signals do what they always do.

    Parameters
    ----------
    folder
        Where the file lies; made if it is not there.
    name, key
        Name of the sample, and hash of all that the result depends on (`key_of`): both name the file, so a fit with
        other cells or parameters never goes on from it.
    minutes
        Time between two files while the model is trained.
    """

    def __init__(self, folder: Path | None, name: str = "", key: str = "", *, minutes: float = MINUTES):
        self.path = None if folder is None else folder / f"{name}.{key[:KEY_LETTERS]}.checkpoint.pt"
        self._key = key
        self._interval_s = 60 * minutes
        self._content: dict[str, Any] = {}
        self._saved = time.monotonic()
        self._signal: int | None = None
        self._is_training = False
        if self.path is not None and self.path.is_file():
            self._load()

    def _load(self) -> None:
        try:
            check_archive(self.path)
            found = torch.load(self.path, map_location="cpu", weights_only=True)
            own = (found["format"], found["key"]) == (FORMAT, self._key)
        except Exception as error:  # what damaged bytes raise is not enumerable
            reason = str(error).split("\n")[0]
            log(f"WARNING: the checkpoint {self.path} cannot be read ({reason}), so the fit starts again")
            return
        if not own:
            log(f"WARNING: the checkpoint {self.path} is of another fit or version, so the fit starts again")
            return
        self._content = found["content"]
        log(f"going on from the checkpoint {self.path}")

    def remember(self, name: str, make: Callable[[], T]) -> T:
        """What `make` returns (tensors, numbers, text, lists and dicts of them), made once for all attempts."""
        if name not in self._content:
            self._content[name] = make()
            self._save()
        return self._content[name]

    def progress(self) -> Progress | None:
        """How far the training has come, None at its start."""
        return Progress(**self._content["training"]) if "training" in self._content else None

    @contextmanager
    def training(self) -> Iterator[None]:
        """While the model is trained SIGTERM waits for the end of a step: `step_done` writes the file and ends then."""
        self._is_training, self._saved = True, time.monotonic()
        try:
            yield
        finally:
            self._is_training = False

    def step_done(self, progress: Callable[[], Progress]) -> None:
        """Write what `progress` returns where it is time to, or a signal has come; end where the signal says so.

        Raises
        ------
        Interrupted
            After SIGTERM.
        """
        if self.path is None or (self._signal is None and time.monotonic() - self._saved < self._interval_s):
            return
        self._content["training"] = progress()._asdict()
        self._save()
        number, self._signal = self._signal, None
        if number is not None:
            told = f"{signal.Signals(number).name}: checkpoint written to {self.path}"
            with suppress(OSError):  # whoever reads the log may have been told to end, too
                log(told if number == signal.SIGUSR1 else f"{told}; the same command goes on from there")
        if number == signal.SIGTERM:
            raise Interrupted(number)

    def _save(self) -> None:
        if self.path is not None:
            with atomic_path(self.path) as temporary, temporary.open("wb") as file:
                torch.save({"format": FORMAT, "key": self._key, "content": self._content}, file)
        self._saved = time.monotonic()

    def remove(self) -> None:
        """Remove the file, when the result is written."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    @contextmanager
    def signals(self) -> Iterator[None]:
        """SIGUSR1 writes a checkpoint, SIGTERM writes one and ends; Slurm sends them before a job's time is over."""
        if self.path is None:
            yield
            return
        with handled(self._received, self._received):
            yield

    def _received(self, number: int, _frame: Any) -> None:
        if self._is_training:
            # A SIGUSR1 after SIGTERM must not take back the end.
            self._signal = number if self._signal != signal.SIGTERM else self._signal
        elif number == signal.SIGTERM:
            # Before the training each part of the result is written as soon as it is there.
            raise Interrupted(number)
