"""Matrices of cells x genes as alevin, alevin-fry and kallisto|bustools write them; what is known beside a matrix."""

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from ..errors import InputError
from .matrix_market import read_matrix_market
from .validate import add_warning

if TYPE_CHECKING:
    from collections.abc import Iterable


# Matrix, then the files that name its rows (cells) and columns (genes)
LAYOUTS = (
    ("quants_mat.mtx", "quants_mat_rows.txt", "quants_mat_cols.txt"),
    ("cells_x_genes.mtx", "cells_x_genes.barcodes.txt", "cells_x_genes.genes.txt"),
)
# Features of alevin-fry that are of unspliced, and of spliced or unspliced molecules
UNSPLICED, AMBIGUOUS = "-U", "-A"


def quant_files(folder: Path) -> tuple[Path, Path, Path] | None:
    """Matrix, barcodes and genes in `folder`, if it is one of alevin or kallisto|bustools."""
    for names in LAYOUTS:
        found = [_with_gz(folder / name) for name in names]
        if all(found):
            return tuple(found)
    return None


def _with_gz(path: Path) -> Path | None:
    return next((there for there in (path, path.with_name(f"{path.name}.gz")) if there.is_file()), None)


def read_quants(folder: Path) -> AnnData:
    """Read the matrix of such a folder.

    Where alevin-fry tells spliced, unspliced and ambiguous molecules apart, spliced and ambiguous ones are counted.

    Raises
    ------
    InputError
        When the sizes of the files do not agree.
    """
    matrix_file, cells_file, genes_file = quant_files(folder)
    matrix = read_matrix_market(matrix_file).tocsr()
    cells, genes = (_table(path)[0].to_numpy() for path in (cells_file, genes_file))
    if matrix.shape != (len(cells), len(genes)):
        raise InputError(
            f"{matrix_file.name} has {matrix.shape[0]} rows and {matrix.shape[1]} columns, but {cells_file.name} names "
            f"{len(cells)} cells and {genes_file.name} {len(genes)} genes: give three files of one run"
        )
    adata = AnnData(matrix, obs=pd.DataFrame(index=cells), var=pd.DataFrame(index=genes))
    return _spliced(adata)


def _table(path: Path) -> pd.DataFrame:
    """Text columns of a table without a header."""
    try:
        return pd.read_csv(path, sep="\t", header=None, dtype=str, keep_default_na=False, quoting=csv.QUOTE_NONE)
    except (ValueError, OSError, EOFError) as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(f"{path.name} cannot be read as tab-separated text ({reason}): write it again") from error


def _spliced(adata: AnnData) -> AnnData:
    names = adata.var_names
    third = len(names) // 3
    spliced = names[:third]
    if 3 * third != len(names) or not (
        (names[third : 2 * third] == spliced + UNSPLICED).all() and (names[2 * third :] == spliced + AMBIGUOUS).all()
    ):
        return adata
    counts = sparse.csr_matrix(adata.X[:, :third] + adata.X[:, 2 * third :])
    return AnnData(counts, obs=adata.obs, var=pd.DataFrame(index=spliced))


def add_symbols(adata: AnnData, path: Path) -> None:
    """Set `var["gene_symbols"]` by a tab-separated file of gene ids and symbols; the id stands in for no symbol."""
    table = _table(path)
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
