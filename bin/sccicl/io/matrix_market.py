"""Matrix Market files, of which a damaged one must not end the process.

scipy's reader runs over the end of its memory, and is killed, where a NUL follows a number, or where a last line
without an end goes on after its numbers: so it is given neither.
"""

import gzip
from io import BytesIO
from pathlib import Path
from typing import IO

from scipy import io, sparse

from ..errors import InputError

BLOCK_BYTES = 1 << 20


def read_matrix_market(path: Path) -> sparse.coo_matrix:
    """Read a .mtx or .mtx.gz; its rows and columns are those of the file.

    Raises
    ------
    InputError
        When the file is damaged.
    """
    try:
        ended = _is_ended(path)
        with opened(path) as file:
            # By its name scipy decides whether a path is unpacked.
            if ended and isinstance(file, gzip.GzipFile) == (path.suffix == ".gz"):
                return sparse.coo_matrix(io.mmread(path))
            return sparse.coo_matrix(io.mmread(BytesIO(file.read() + b"\n")))
    except (ValueError, EOFError, OverflowError) as error:
        raise InputError(
            f"{path.name} is not a complete Matrix Market file ({error}): copy or write it again"
        ) from error


def opened(path: Path) -> IO[bytes]:
    """Open a file that may be gzipped, whatever it is called: gzip is known by its first bytes."""
    with path.open("rb") as handle:
        zipped = handle.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if zipped else path.open("rb")


def _is_ended(path: Path) -> bool:
    """Whether the last line has an end; ValueError where the file holds a NUL."""
    last = b"\n"
    with opened(path) as file:
        while block := file.read(BLOCK_BYTES):
            if b"\0" in block:
                raise ValueError("it holds a NUL")
            last = block[-1:]
    return last == b"\n"
