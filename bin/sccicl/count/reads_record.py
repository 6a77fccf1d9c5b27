"""Records of the read counting: gene symbols and read statistics of a sample."""

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData

from ..errors import InputError
from ..io.read_10x import columns_of
from ..io.validate import add_warning

if TYPE_CHECKING:
    from collections.abc import Iterable


def add_symbols(adata: AnnData, path: Path) -> None:
    """Set `var["gene_symbols"]` by a tab-separated file of gene ids and symbols; the id stands in for no symbol."""
    table = columns_of(path)
    if table.shape[1] < 2:
        raise InputError(f"{path.name} has one column only: give gene ids and symbols, tab-separated")
    table = table.iloc[:, :2].drop_duplicates(subset=0).set_index(0)[1]
    symbols = table.reindex(adata.var_names)
    adata.var["gene_symbols"] = np.where(symbols.fillna("") == "", adata.var_names, symbols)


def add_reads(adata: AnnData, reads_file: Path | None, summary_file: Path | None) -> None:
    """Set `uns["cicl"]["reads"]`: what `check-reads` found, and STARsolo's summary of the alignment."""
    section = adata.uns.setdefault("cicl", {})
    record: dict[str, Any] = {}
    if reads_file is not None:
        record.update(_found_in_reads(reads_file))
        for warning in record.pop("warnings"):
            add_warning(adata, warning)
    if summary_file is not None:
        try:
            with summary_file.open(encoding="utf-8", newline="") as file:
                record["summary"] = dict(_numbers(csv.reader(file)))
        except (OSError, ValueError, csv.Error) as error:
            raise InputError(f"{summary_file.name} is no Summary.csv ({error}): give that of STARsolo") from error
    if record:
        section["reads"] = record


def _found_in_reads(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path.name} is no record of reads ({error}): give the <id>.reads.json") from error
    if not isinstance(found, dict) or not {"protocol", "warnings"} <= set(found):
        raise InputError(f"{path.name} is no record of reads: give the <id>.reads.json of check-reads")
    return found


def _numbers(rows: "Iterable[list[str]]") -> "Iterable[tuple[str, float]]":
    """Name and value of the rows that have a name and a number; h5ad takes no slash in a name."""
    for row in rows:
        try:
            value = float(row[1])
        except (IndexError, ValueError):
            continue
        name = row[0].replace("/", " per ")
        # HDF5 ends a name at a NUL, and "." is the group itself.
        if np.isfinite(value) and name.isprintable() and name.strip("."):
            yield name, value
