"""Text tables (.csv, .tsv, .txt, gzipped or not) of counts, with cells or genes in rows."""

import csv
import gzip
import re
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from ..errors import InputError
from .validate import add_warning

Axis = Literal["rows", "columns"]
BLOCK_VALUES = 1 << 22
DELIMITERS = "\t,;"
MISSING = ("", "na", "nan", "n/a", "null", "none")
CORNER_OF_GENES = {
    "gene",
    "genes",
    "symbol",
    "geneid",
    "genename",
    "genesymbol",
    "genesymbols",
    "feature",
    "ensembl",
    "ensemblid",
}
CORNER_OF_CELLS = {"cell", "cells", "barcode", "barcodes", "cellid", "cellname", "cellbarcode"}
# A barcode, with a sample's name before it or a well's number behind it; or numbered cells.
CELL_NAME = re.compile(
    r"(?:.*[^A-Za-z])?[ACGTN]{8,}(?:[-_.]\w+)*$|(?:cell|barcode|spot|nucleus|c)[ _.-]?\d+$", re.IGNORECASE
)
GENE_NAME = re.compile(
    r"ENS[A-Z]*G\d{6,}|FBGN\d{7}|WBGENE\d{8}|AT[1-5CM]G\d{5}|(?:gene|g)[ _.-]?\d+$|"
    r"(?:MT-|RPL|RPS|HLA-|LINC|LOC|ZNF|ZFP|MIR|SNOR|COL|KRT|CCL|CXCL|IL|CD|SLC|TMEM|FAM|KIF|NDUF|COX|PSM|EIF|HIST|HSP|S100A)\d*[A-Z]*\d|"
    r"\w+RIK$|(?:ACTB|GAPDH|B2M|MALAT1|XIST|PTPRC|LYZ|NKG7|MS4A1|GNLY|VIM|EPCAM|FTH1|FTL|TMSB4X|TUBA1B|UBC|ALB|INS|GCG|SST)$",
    re.IGNORECASE,
)


def read_table(path: Path) -> AnnData:
    """Read a table of counts, cells x genes in the result.

    The first line names the columns and the first field of each further line its row. Fields are separated by tabs,
    commas or semicolons, whichever the first line has. Which axis holds the cells is decided by `axis_of_cells`, and
    what was decided is told in the warnings.

    Raises
    ------
    InputError
        For a table without numbers, with text between them, or with lines of unequal length.
    """
    with _open(path) as handle:
        delimiter, corner, column_names = _header(handle, path.name)
    row_names, blocks = [], []
    with _open(path) as handle:
        chunks = pd.read_csv(
            handle,
            sep=delimiter,
            header=None,
            skiprows=1,
            index_col=False,
            chunksize=max(1, BLOCK_VALUES // len(column_names)),
            dtype={0: str},
            na_filter=False,  # a gene may be called NA
        )
        for chunk in chunks:
            if chunk.shape[1] != len(column_names) + 1:
                raise InputError(
                    f"{path.name} names {len(column_names)} columns in line 1 but has {chunk.shape[1] - 1} values in "
                    "line "
                    f"{len(row_names) + 2}: write the table again with one name for each column"
                )
            names = chunk.pop(0)
            blocks.append(sparse.csr_matrix(_numbers(chunk, names, column_names, path.name)))
            row_names.extend(names)
    axis, reason = axis_of_cells(row_names, column_names, corner)
    matrix = sparse.vstack(blocks, format="csr")
    cells, genes = row_names, column_names
    if axis == "columns":
        matrix, cells, genes = matrix.T.tocsr(), column_names, row_names
    adata = AnnData(
        matrix, obs=pd.DataFrame(index=pd.Index(cells, dtype=str)), var=pd.DataFrame(index=pd.Index(genes, dtype=str))
    )
    add_warning(
        adata,
        f"{path.name}: cells are taken to be in {axis} ({len(cells)} cells, {len(genes)} genes), as {reason}; "
        "the first field of the table decides if it is 'gene' or 'cell'",
    )
    return adata


def axis_of_cells(row_names: list[str], column_names: list[str], corner: str = "") -> tuple[Axis, str]:
    """Decide whether cells are in `rows` or in `columns`, and tell why.

    The first of these rules that decides holds:

    1. the first field of the table names the rows (gene, symbol, feature ..., or cell, barcode ...);
    2. the axis with the larger share of names like cells' (barcodes such as AAACCTGAGAAACCAT-1, cell_12) has the cells;
    3. the axis with the larger share of names like genes' (Ensembl ids, MT-, common symbols, gene_12) has the genes;
    4. the longer axis has the genes, as most tables have more genes than cells; with equal lengths cells are in rows.
    """
    word = re.sub(r"[^a-z]", "", corner.lower())
    if word in CORNER_OF_GENES:
        return "columns", f"its first field is '{corner}'"
    if word in CORNER_OF_CELLS:
        return "rows", f"its first field is '{corner}'"
    in_rows, in_columns = _share(row_names, CELL_NAME), _share(column_names, CELL_NAME)
    if in_rows != in_columns:
        axis: Axis = "rows" if in_rows > in_columns else "columns"
        return axis, f"more names of {axis} look like barcodes"
    in_rows, in_columns = _share(row_names, GENE_NAME), _share(column_names, GENE_NAME)
    if in_rows != in_columns:
        axis, other = ("columns", "rows") if in_rows > in_columns else ("rows", "columns")
        return axis, f"more names of {other} look like genes"
    if len(row_names) > len(column_names):
        return "columns", "there are more rows than columns and the names do not tell"
    return "rows", "there are not more rows than columns and the names do not tell"


def _share(names: Iterable[str], pattern: re.Pattern) -> float:
    names = list(names)
    return sum(pattern.match(name) is not None for name in names) / max(1, len(names))


def _open(path: Path) -> IO[str]:
    """Text of the file; gzip is known by its first bytes, a byte order mark is left out."""
    with path.open("rb") as handle:
        zipped = handle.read(2) == b"\x1f\x8b"
    return (gzip.open if zipped else open)(path, "rt", encoding="utf-8-sig", newline="")


def _header(handle: IO[str], name: str) -> tuple[str, str, list[str]]:
    """Delimiter, first field and names of the columns; R leaves the first field out."""
    lines = [handle.readline(), handle.readline()]
    delimiter = next((mark for mark in DELIMITERS if mark in lines[0]), None)
    if delimiter is None or not lines[1].strip():
        raise InputError(
            f"{name} is not a table: write the names of the columns into its first line, separated by tabs, commas or "
            "semicolons, and the values below"
        )
    header, values = (next(csv.reader([line], delimiter=delimiter)) for line in lines)
    if len(header) == len(values) - 1:
        return delimiter, "", header
    return delimiter, header[0], header[1:]


def _numbers(chunk: pd.DataFrame, row_names: pd.Series, column_names: list[str], name: str) -> np.ndarray:
    for column in chunk.select_dtypes(exclude="number"):
        values = chunk[column]
        numbers = pd.to_numeric(values, errors="coerce")
        wrong = (numbers.isna() & ~values.astype(str).str.strip().str.lower().isin(MISSING)).to_numpy()
        if wrong.any():
            at = wrong.argmax()
            raise InputError(
                f"{name} has the text '{values.iloc[at]}' in row '{row_names.iloc[at]}', column "
                f"'{column_names[column - 1]}', where a "
                "count is due: a table of counts holds numbers only, so remove such columns or rows"
            )
        chunk[column] = numbers
    return chunk.to_numpy(dtype=np.float64)
