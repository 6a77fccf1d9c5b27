"""Files at which the HDF5 library or SciPy crashes or never ends: tried out or checked before they are read."""

import os
import resource
import signal
import warnings
from contextlib import suppress
from pathlib import Path

import h5py

from ..errors import InputError
from .validate import check_offsets, points_outside

# Of the processor, not of the clock: a slow disk is no damage. Names and attributes of a million cells take a tenth.
LIMIT_S = 10
INDICES_AT_A_TIME = 1 << 24


def probe_hdf5(path: Path) -> None:
    """Read the structure of an HDF5 file, its groups, attributes and types, in a child process.

    HDF5 has no checksum of these, and its library loops or crashes at some damaged ones, such as zeros in a heap of
    texts.

    Raises
    ------
    InputError
        When the child crashes, or has not ended after 10 s of the processor.
    """
    if not hasattr(os, "fork"):
        return
    with warnings.catch_warnings():
        # Python 3.12 warns of forks beside threads; the child calls HDF5 only and ends without cleaning up.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            _, most = resource.getrlimit(resource.RLIMIT_CPU)
            resource.setrlimit(resource.RLIMIT_CPU, (LIMIT_S if most < 0 else min(LIMIT_S, most), most))
            _read_structure(path)
        finally:
            # An exception is told where the file is read.
            os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        raise InputError(
            f"{path.name} is damaged: the HDF5 library {_what_happened(os.WTERMSIG(status))} when it reads its "
            "structure: copy or write it again"
        )


def _what_happened(ended_by: int) -> str:
    return "does not come to an end" if ended_by == signal.SIGXCPU else f"crashes (signal {ended_by})"


def _read_structure(path: Path) -> None:
    def visit(_name: str, item: h5py.Group | h5py.Dataset) -> None:
        for key in item.attrs:
            with suppress(Exception):
                _ = item.attrs[key]
        if isinstance(item, h5py.Dataset):
            with suppress(Exception):
                _ = item.dtype, item.shape, item.chunks

    with h5py.File(path, "r") as file:
        visit("", file)
        file.visititems(visit)


def check_stored_sparse(path: Path) -> None:
    """Check the structure of every sparse matrix of an h5ad, as `validate.checked_sparse` does in memory.

    Raises
    ------
    InputError
        When an index or offset lies outside of its matrix.
    """

    def visit(_name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Group) and {"data", "indices", "indptr"} <= set(item) and "shape" in item.attrs:
            _check_matrix(item, path.name)

    with h5py.File(path, "r") as file:
        file.visititems(visit)


def _check_matrix(matrix: h5py.Group, name: str) -> None:
    indptr, indices = matrix["indptr"][:], matrix["indices"]
    check_offsets(indptr, min(len(indices), len(matrix["data"])), name)
    of_rows = matrix.attrs.get("encoding-type") != "csc_matrix"
    rows, width = matrix.attrs["shape"] if of_rows else matrix.attrs["shape"][::-1]
    if len(indptr) != rows + 1:
        raise points_outside(name, f"it has {len(indptr)} offsets for {rows} {'rows' if of_rows else 'columns'}")
    for start in range(0, len(indices), INDICES_AT_A_TIME):
        some = indices[start : start + INDICES_AT_A_TIME]
        if some.dtype.kind not in "iu" or some.min() < 0 or some.max() >= width:
            raise points_outside(name, f"an index is not one of 0 to {width - 1}")
