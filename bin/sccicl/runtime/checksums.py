"""SHA-256 of inputs: what a result was made of can be told later."""

import hashlib
from pathlib import Path
from typing import NamedTuple

from .files import atomic_path


class FileSum(NamedTuple):
    """A file of an input: `name` within the folder that holds the input, size in bytes and SHA-256 in hexadecimal."""

    name: str
    size: int
    sha256: str


def input_sums(path: str | Path) -> list[FileSum]:
    """Of the file `path`, or of every file below the folder `path`, in the order of their names."""
    path = Path(path)
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    return [FileSum(_name(file, path), file.stat().st_size, _sha256_of(file)) for file in files]


def combined(sums: list[FileSum]) -> str:
    """One SHA-256: that of the file, or for several that of the lines `sha256sum` would print for them."""
    if len(sums) == 1:
        return sums[0].sha256
    return hashlib.sha256("".join(f"{item.sha256}  {item.name}\n" for item in sums).encode()).hexdigest()


def as_table(sample: str, sums: list[FileSum]) -> str:
    """Tab-separated sample, file, bytes and sha256, with a header."""
    lines = [("sample", "file", "bytes", "sha256"), *((sample, *map(str, item)) for item in sums)]
    return "".join("\t".join(line) + "\n" for line in lines)


def write_sums(sample: str, sums: list[FileSum], outdir: Path) -> None:
    """Write `<sample>.inputs.tsv`."""
    with atomic_path(outdir / f"{sample}.inputs.tsv") as temporary:
        temporary.write_text(as_table(sample, sums), encoding="utf-8")


def _name(file: Path, top: Path) -> str:
    inside = file.relative_to(top).as_posix()
    name = top.name if inside == "." else f"{top.name}/{inside}"
    # A name may hold a tab or the end of a line, which would break the table.
    return name.encode("unicode_escape").decode() if not name.isprintable() else name


def _sha256_of(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
