"""Outputs that are there whole or not at all."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import pandas as pd
from anndata.io import write_elem

from ..runtime.files import atomic_path
from ..runtime.seal import seal

if TYPE_CHECKING:
    from anndata import AnnData


@contextmanager
def hdf5_file(path: Path) -> Iterator["h5py.File"]:
    """Open a new HDF5 file to write to; where the disk is full the OSError comes at the end of the block, or before."""
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
    # As anndata's own write_h5ad, which takes no open file.
    adata.strings_to_categoricals()
    with atomic_path(path) as temporary:
        with hdf5_file(temporary) as file:
            write_elem(file, "/", adata, dataset_kwargs={"compression": "gzip", "compression_opts": 1})
            if adata.raw is None and "raw" in file:
                del file["raw"]
        seal(temporary)


def storable(frame: pd.DataFrame) -> pd.DataFrame:
    """Copy `frame` so that every h5ad reader takes it: what is not numbers or truth values becomes strings."""
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
