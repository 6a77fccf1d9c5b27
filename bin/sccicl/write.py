"""Outputs that are there whole or not at all."""

import errno
import io
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import InputError
from .integrity import seal

if TYPE_CHECKING:
    import h5py
    import pandas as pd
    from anndata import AnnData


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


@contextmanager
def hdf5_file(path: Path) -> Iterator["h5py.File"]:
    """Open a new HDF5 file to write to; where the disk is full the OSError comes at the end of the block, or before."""
    import h5py

    with _Deferring(path, "w+") as stream:
        try:
            with h5py.File(stream, "w") as file:
                yield file
        finally:
            if stream.error is not None:
                raise stream.error


class _Deferring(io.FileIO):
    """Remember what went wrong when it was written to, and let HDF5 go on.

    HDF5 cannot close a file that it could not write: it prints an error for each object, and crashes when Python ends.
    """

    error: OSError | None = None
    _system_write = io.FileIO.write

    def write(self, data: Any) -> int:
        size = len(memoryview(data).cast("B"))
        if self.error is None:
            try:
                rest = memoryview(data).cast("B")
                while len(rest):
                    rest = rest[self._system_write(rest) :]
            except OSError as error:
                self.error = error
        return size

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size or 0


def write_h5ad(adata: "AnnData", path: str | os.PathLike) -> None:
    """Write `adata` to `path` (gzip, sealed by `integrity.seal`), whole or not at all.

    Columns of `obs` and `var` that h5ad cannot hold, or that older anndata cannot read, become strings, in `adata` too.
    """
    adata.obs, adata.var = storable(adata.obs), storable(adata.var)
    from anndata.io import write_elem

    # As anndata's own write_h5ad, which takes no open file.
    adata.strings_to_categoricals()
    with atomic_path(path) as temporary:
        with hdf5_file(temporary) as file:
            write_elem(file, "/", adata, dataset_kwargs={"compression": "gzip", "compression_opts": 1})
            if adata.raw is None and "raw" in file:
                del file["raw"]
        seal(temporary)


def storable(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Copy `frame` so that every h5ad reader takes it: what is not numbers or truth values becomes strings."""
    import pandas as pd

    frame = frame.copy(deep=False).infer_objects()
    frame.index = frame.index.astype(object)
    for name, column in frame.items():
        if isinstance(column.dtype, pd.CategoricalDtype):
            if column.cat.categories.dtype.kind not in "iufb":
                frame[name] = column.cat.rename_categories(column.cat.categories.map(str).astype(object))
        elif column.dtype.kind not in "iufb":
            strings = column.map(str, na_action="ignore").astype(object)
            frame[name] = pd.Categorical(strings) if strings.isna().any() else strings
    return frame


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def write_json(value: dict, path: str | os.PathLike) -> None:
    """Write `value` to `path` as JSON; NumPy scalars and arrays become numbers and lists."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, default=_plain, allow_nan=False) + "\n", encoding="utf-8")
