"""Atomic file writes."""

import errno
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import InputError

FULL = {number: os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)}


def check_folder(folder: Path, option: str = "--outdir") -> None:
    """Raise InputError when no file can be written to `folder`, which need not be there yet; nothing is made.

    For the start of a command, as the outputs come last: it should not cost the training.
    """
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise InputError(f"{existing} is a file, so it holds no outputs: give a folder with {option}")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(f"nothing can be written to the folder {existing}: choose another one with {option}")


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path that becomes `path` when the block ends well.

    The temporary file lies in the same folder and keeps the suffix, as writers choose a format by it.
    After an error it is removed and whatever was at `path` before is untouched.

    Raises
    ------
    InputError
        When nothing can be written to the folder, or it is full.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    except OSError as error:
        raise InputError(
            f"nothing can be written to the folder {path.parent} ({error.strerror}): choose another one with --outdir"
        ) from error
    os.close(handle)
    temporary = Path(name)
    try:
        with _full_disk_told(path):
            yield temporary
            _synchronise(temporary)
        # mkstemp makes the file private; an output has the permissions that any new file here would have.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _full_disk_told(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError) as error:  # torch and HDF5 make errors of their own of the system's
        reason = next((text for number, text in FULL.items() if _is_of(error, number, text)), None)
        if reason is None:
            raise
        raise InputError(
            f"{path} cannot be written ({reason}): make room, or choose a folder on another disk with --outdir, and "
            "run the same command again"
        ) from error


def _is_of(error: BaseException | None, number: int, text: str) -> bool:
    """Whether the error, or one that it came from, is the system's of that number."""
    while error is not None:
        if getattr(error, "errno", None) == number or text in str(error) or f"errno = {number}" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _synchronise(path: Path) -> None:
    """Wait until the file is on the disk: a machine that loses its power leaves the whole file, or none."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _plain(value: Any) -> Any:
    import numpy as np

    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def write_json(value: dict, path: str | os.PathLike) -> None:
    """Write `value` to `path` as JSON; NumPy scalars and arrays become numbers and lists."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, default=_plain, allow_nan=False) + "\n", encoding="utf-8")
