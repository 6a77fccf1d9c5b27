"""Whether a file of ours is as it was written: a flipped bit is told, and never becomes another result.

Files of torch are zip archives with a CRC-32 of every entry, which torch does not look at. HDF5 has no checksum of its
metadata and of small arrays; a file of ours ends with the SHA-256 of all before. HDF5 reads what its first block tells
the size of, so every reader opens the file as if the seal were not there, and one that changes the file overwrites it.
"""

import hashlib
import os
import zipfile
from pathlib import Path

MAGIC = b"\nCICL sha256 "
SEAL_BYTES = len(MAGIC) + 64 + 1
BLOCK_BYTES = 1 << 20


def seal(path: str | os.PathLike) -> None:
    """Append the SHA-256 of the file to it."""
    digest = _sha256(Path(path), os.path.getsize(path))
    with open(path, "ab") as file:
        file.write(MAGIC + digest + b"\n")


def is_intact(path: str | os.PathLike) -> bool:
    """False where the file is not what its seal says; True without a seal, as in files of others."""
    found = _seal_of(path)
    return found is None or found == _sha256(Path(path), os.path.getsize(path) - SEAL_BYTES)


def is_sealed(path: str | os.PathLike) -> bool:
    """Whether the file has a seal; it has none where another program wrote or changed it."""
    return _seal_of(path) is not None


def _seal_of(path: str | os.PathLike) -> bytes | None:
    size = os.path.getsize(path) - SEAL_BYTES
    if size <= 0:
        return None
    with open(path, "rb") as file:
        file.seek(size)
        found = file.read()
    return found[len(MAGIC) : -1] if found.startswith(MAGIC) else None


def check_archive(path: str | os.PathLike) -> None:
    """Raise ValueError (or what zipfile raises) where an entry of a zip archive is not as it was written."""
    with zipfile.ZipFile(path) as archive:
        if (entry := archive.testzip()) is not None:
            raise ValueError(f"the checksum of {entry} is wrong")


def _sha256(path: Path, size: int) -> bytes:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while size > 0 and (block := file.read(min(BLOCK_BYTES, size))):
            digest.update(block)
            size -= len(block)
    return digest.hexdigest().encode()
