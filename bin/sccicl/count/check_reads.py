"""A look at the first reads of a sample before they are aligned: do they fit the protocol and the whitelist."""

import gzip
import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

from ..config import Protocol
from ..errors import InputError

SAMPLED_READS = 100_000
LEAST_MATCH = 0.25
POOR_MATCH = 0.7
MOST_DISTINCT = 0.9
# A read this short holds a barcode and a UMI, and no piece of a transcript.
BARCODE_READ_LENGTH = 40
COMPLEMENT = str.maketrans("ACGT", "TGCA")


class Chemistry(NamedTuple):
    """Lengths of the barcode and of the UMI at the start of read 1, and the name of the whitelist in Cell Ranger."""

    barcode: int
    umi: int
    whitelist: str


CHEMISTRIES: dict[Protocol, Chemistry] = {
    "10XV2": Chemistry(16, 10, "737K-august-2016.txt"),
    "10XV3": Chemistry(16, 12, "3M-february-2018.txt"),
    "10XV4": Chemistry(16, 12, "3M-3pgex-may-2023.txt"),
}


class Read(NamedTuple):
    """Name without the mate, and sequence."""

    name: str
    sequence: str


def check_reads(
    lanes: Sequence[tuple[Path, Path]],
    protocol: Protocol,
    whitelist: Path | None = None,
    *,
    n_reads: int = SAMPLED_READS,
) -> dict[str, Any]:
    """Look at the first `n_reads` read pairs of every lane.

    Returns
    -------
    dict
        `protocol`, `barcode_length`, `umi_length`, `reads_looked_at`, `length_1`, `length_2` (most frequent lengths),
        `whitelist_match` (share of the reads whose barcode is in the whitelist as it is; only with one) and `warnings`.

    Raises
    ------
    InputError
        When a file is empty or no FASTQ, mates are of different reads, or the reads do not fit protocol or whitelist.
    """
    if protocol not in get_args(Protocol):
        raise InputError(f"--protocol must be one of {', '.join(get_args(Protocol))}, not '{protocol}'")
    known = None if whitelist is None else read_whitelist(whitelist, CHEMISTRIES[protocol].barcode)
    first: list[str] = []
    second: list[str] = []
    for path_1, path_2 in lanes:
        for read_1, read_2 in _pairs(path_1, path_2, n_reads):
            first.append(read_1.sequence)
            second.append(read_2.sequence)
    found: dict[str, Any] = {
        "protocol": protocol,
        "barcode_length": CHEMISTRIES[protocol].barcode,
        "umi_length": CHEMISTRIES[protocol].umi,
        "reads_looked_at": len(first),
        "length_1": _usual_length(first),
        "length_2": _usual_length(second),
        "warnings": [],
    }
    names = f"{lanes[0][0].name} and {lanes[0][1].name}"
    _check_lengths(found, names)
    _check_transition(first, found, lanes[0][0].name)
    if known is not None:
        _check_whitelist(first, second, known, found, whitelist)
    else:
        _check_repeats(first, found, lanes[0][0].name)
    return found


def read_whitelist(path: Path, length: int) -> set[str]:
    """Barcodes of a text file, gzipped or not, one a line.

    Raises
    ------
    InputError
        When it holds anything else, or barcodes of another length.
    """
    with _open(path) as file:
        try:
            barcodes = {line.split()[0] for line in file if line.strip()}
        except (UnicodeDecodeError, EOFError, OSError) as error:
            raise InputError(f"{path.name} cannot be read as a whitelist ({error}): give a text of barcodes") from error
    if not barcodes:
        raise InputError(f"the whitelist {path.name} is empty: give the kit's list of barcodes, or no --whitelist")
    odd = next((barcode for barcode in barcodes if not re.fullmatch(f"[ACGT]{{{length}}}", barcode)), None)
    if odd is not None:
        raise InputError(
            f"the whitelist {path.name} holds '{odd[:40]}', which is no barcode of {length} bases: give the kit's "
            "list, one barcode a line"
        )
    return barcodes


def _open(path: Path) -> Any:
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rt", encoding="ascii") if zipped else path.open(encoding="ascii")


def read_fastq(path: Path, n_reads: int) -> Iterator[Read]:
    """The first reads of a FASTQ file.

    Raises
    ------
    InputError
        When the file is not there, is cut off or is no FASTQ.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist: check the path")
    with _open(path) as file:
        number = 0
        try:
            while number < n_reads and (header := file.readline()):
                sequence, plus, quality = (file.readline().rstrip("\r\n") for _ in range(3))
                number += 1
                if not (header.startswith("@") and plus.startswith("+") and len(sequence) == len(quality)):
                    raise InputError(
                        f"{path.name}: read {number} is not one of FASTQ (@name, bases, +, as many qualities as bases)"
                        ": the file is damaged or of another kind"
                    )
                yield Read(header[1:].split()[0] if header[1:].split() else "", sequence)
        except (EOFError, OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path.name} cannot be read after {number} reads ({error}): copy it again") from error


def _pairs(path_1: Path, path_2: Path, n_reads: int) -> Iterator[tuple[Read, Read]]:
    number = 0
    for read_1, read_2 in itertools.zip_longest(read_fastq(path_1, n_reads), read_fastq(path_2, n_reads)):
        if read_1 is None or read_2 is None:
            short, long = (path_1, path_2) if read_1 is None else (path_2, path_1)
            if number == 0:
                raise InputError(
                    f"{short.name} holds no reads: copy it again, or leave the lane out of the samplesheet"
                )
            raise InputError(
                f"{short.name} ends after {number} reads, {long.name} does not: the two files are not the mates of one "
                "lane, or one is cut off; copy both again"
            )
        number += 1
        names = [read.name.removesuffix(f"/{mate}") for mate, read in ((1, read_1), (2, read_2))]
        if names[0] != names[1]:
            raise InputError(
                f"read {number} is '{names[0]}' in {path_1.name} and '{names[1]}' in {path_2.name}: the two files are "
                "not the mates of one lane; give fastq_1 and fastq_2 of the same lane, unsorted"
            )
        yield read_1, read_2
    if number == 0:
        raise InputError(
            f"{path_1.name} and {path_2.name} hold no reads: copy them again, or leave the lane out of the samplesheet"
        )


def _usual_length(sequences: list[str]) -> int:
    return Counter(map(len, sequences)).most_common(1)[0][0]


def _check_lengths(found: dict[str, Any], names: str) -> None:
    protocol, length_1, length_2 = found["protocol"], found["length_1"], found["length_2"]
    chemistry = CHEMISTRIES[protocol]
    needed = chemistry.barcode + chemistry.umi
    if length_2 < BARCODE_READ_LENGTH < length_1:
        raise InputError(
            f"{names} seem to be swapped: read 1 of a 10x library holds barcode and UMI ({needed} bases), but it has "
            f"{length_1} and read 2 has {length_2}; swap fastq_1 and fastq_2"
        )
    if length_1 < needed:
        fits = [name for name, other in CHEMISTRIES.items() if other.barcode + other.umi == length_1]
        remedy = f"the length is that of --protocol {fits[0]}" if fits else "the reads were cut too short"
        raise InputError(
            f"{names}: read 1 has {length_1} bases, but {protocol} needs {needed} ({chemistry.barcode} of the barcode "
            f"and {chemistry.umi} of the UMI): {remedy}"
        )


def _check_transition(first: list[str], found: dict[str, Any], name: str) -> None:
    """The UMI of 10XV2 ends after base 26, where poly(T) starts; in 10XV3 and 10XV4 two more bases belong to it."""
    after = [read[26:28] for read in first if len(read) >= 28]
    if len(after) < len(first) / 2:
        return
    share_of_t = sum(bases == "TT" for bases in after) / len(after)
    if found["protocol"] == "10XV2" and share_of_t < 0.3:
        raise InputError(
            f"{name}: bases 27 and 28 are not the poly(T) that follows the UMI of 10XV2 (TT in {share_of_t:.0%} of the "
            "reads): use --protocol 10XV3 or 10XV4, to whose UMI they belong"
        )
    if found["protocol"] != "10XV2" and share_of_t > 0.8:
        raise InputError(
            f"{name}: bases 27 and 28 are TT in {share_of_t:.0%} of the reads, so they are the poly(T) that follows a "
            f"UMI of 10 bases and not part of one of {found['protocol']}: use --protocol 10XV2"
        )


def _match(sequences: list[str], known: set[str], start: int = 0) -> float:
    length = len(next(iter(known)))
    return sum(sequence[start : start + length] in known for sequence in sequences) / max(1, len(sequences))


def _check_whitelist(
    first: list[str], second: list[str], known: set[str], found: dict[str, Any], whitelist: Path
) -> None:
    match = found["whitelist_match"] = _match(first, known)
    if match >= LEAST_MATCH:
        if match < POOR_MATCH:
            found["warnings"].append(
                f"only {match:.0%} of the barcodes are in the whitelist {whitelist.name} without an error"
            )
        return
    protocol = found["protocol"]
    lists = "; ".join(f"{name}: {chemistry.whitelist}" for name, chemistry in CHEMISTRIES.items())
    turned = {barcode.translate(COMPLEMENT)[::-1] for barcode in known}
    remedy = f"the whitelist or --protocol {protocol} is that of another chemistry (whitelists of Cell Ranger: {lists})"
    if _match(second, known) >= LEAST_MATCH:
        remedy = "those of fastq_2 match, so swap fastq_1 and fastq_2"
    elif _match(first, turned) >= LEAST_MATCH:
        remedy = "their reverse complements match, so give the whitelist in the direction of the reads"
    elif (start := next((i for i in range(1, 13) if _match(first, known, i) >= LEAST_MATCH), None)) is not None:
        remedy = f"they match from base {start + 1} on, so the first {start} bases have to be trimmed"
    raise InputError(
        f"only {match:.1%} of the barcodes of the first {len(first)} reads are in the whitelist "
        f"{whitelist.name}: {remedy}"
    )


def _check_repeats(first: list[str], found: dict[str, Any], name: str) -> None:
    """Without a whitelist: barcodes of cells come back again and again, other sequences do not."""
    length = CHEMISTRIES[found["protocol"]].barcode
    barcodes = {read[:length] for read in first}
    # A few thousand reads of many cells may hold no barcode twice.
    if len(first) >= 10_000 and len(barcodes) > MOST_DISTINCT * len(first):
        raise InputError(
            f"{name}: {len(barcodes)} of {len(first)} reads start with a sequence of their own, so the first {length} "
            f"bases are no barcodes of cells: check --protocol {found['protocol']}, and that fastq_1 is read 1"
        )
