"""Text tables (.csv, .tsv, .txt, gzipped or not) of counts, with cells or genes in rows."""

import csv
import gzip
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from ..errors import InputError
from .name_patterns import is_number, looks_like_gene, share_of_genes
from .orientation import add_library_sizes, decide, evidence_of_names
from .validate import add_warning, quoted

BLOCK_VALUES = 1 << 22
DELIMITERS = "\t,;"
MISSING = ("", "na", "nan", "n/a", "null", "none")
# Columns of a long table, which has a count in each line: of UMI-tools, and of BD Rhapsody's Expression_Data.st
LONG_CELL = {"cell", "cell_index", "barcode", "cell_barcode"}
LONG_GENE = {"gene", "gene_id", "bioproduct", "feature"}
LONG_COUNT = {"count", "counts", "umis", "rsec_reads", "raw_molecules", "rsec_adjusted_molecules", "dbec_reads",
              "dbec_adjusted_molecules"}  # fmt: skip
DECIMAL_COMMA = re.compile(r"-?(?:0,\d+|\d+,\d{1,2}|\d+,\d{4,})")
THOUSANDS = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
ENCODINGS = ("utf-8-sig", "cp1252")
LOOKED_AT = 50


@dataclass
class Form:
    """How a table is written: what pandas has to know of it, and what was seen of its header."""

    delimiter: str
    corner: str
    columns: list[str]
    n_skipped: int  # lines before the first line of values
    decimal: str = "."
    notes: list[str] = field(default_factory=list)


def read_table(path: Path, cells_in: str | None = None) -> AnnData:
    """Read a table of counts, cells x genes in the result.

    The first line names the columns and the first field of each further line its row. Lines before it that start with #
    are passed over. Fields are separated by tabs, commas, semicolons or blanks, whichever the first line has. Columns
    of text are no counts: they name genes or describe cells. Which axis holds the cells is decided as in `orientation`,
    unless `cells_in` (rows or columns) says it, and is told in the warnings.

    Raises
    ------
    InputError
        For a table without numbers, with text between them, with lines of unequal length, or where it is not clear
        which axis holds the cells.
    """
    marked = _encoding(path)
    for encoding in [marked] if marked else ENCODINGS:
        try:
            form, row_names, matrix, texts = _read(path, encoding)
            break
        except pd.errors.ParserError as error:
            reason = str(error).removeprefix("Error tokenizing data. C error: ").strip()
            raise InputError(
                f"{path.name} cannot be read as a table ({reason}): write it again with as many values in each line"
            ) from error
        except UnicodeDecodeError as error:
            if encoding == ENCODINGS[-1] or _has_nul(path):
                raise InputError(
                    f"{path.name} cannot be read as text ({error}): write it again as UTF-8, or correct the suffix"
                ) from error
    if encoding == "cp1252":
        form.notes.append(f"{path.name} is not UTF-8 and was read as Windows-1252")
    row_names, texts = _names_of_rows(form, row_names, texts, path.name)
    found = evidence_of_names(row_names, form.columns, form.corner)
    if cells_in is None:
        add_library_sizes(found, matrix)
        axis, reason = decide(found, matrix.shape, path.name)
    else:
        axis, reason = cells_in, f"--cells-in says {cells_in}"
    cells, genes = (row_names, form.columns) if axis == "rows" else (form.columns, row_names)
    adata = AnnData(
        matrix if axis == "rows" else matrix.T.tocsr(),
        obs=pd.DataFrame(index=pd.Index(cells, dtype=str)),
        var=pd.DataFrame(index=pd.Index(genes, dtype=str)),
    )
    add_warning(
        adata,
        f"{path.name}: cells are assumed to be in {axis} ({len(cells)} cells, {len(genes)} genes), as {reason}; "
        "set --cells-in to change this",
    )
    for note in form.notes:
        add_warning(adata, note)
    _keep_texts(adata, axis, texts, path.name)
    return adata


def _encoding(path: Path) -> str | None:
    with path.open("rb") as handle:
        start = handle.read(4)
    if start == b"PK\x03\x04":
        raise InputError(
            f"{path.name} is a zip archive (so is a spreadsheet, .xlsx): unpack it with unzip, or save the sheet as CSV"
        )
    if start[:2] == b"\x1f\x8b":
        with gzip.open(path, "rb") as handle:
            start = handle.read(4)
    return "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else None


def _has_nul(path: Path) -> bool:
    with path.open("rb") as handle:
        return b"\0" in handle.read(1 << 16)


def _open(path: Path, encoding: str) -> IO[str]:
    """Text of the file; gzip is known by its first bytes, a byte order mark is left out."""
    with path.open("rb") as handle:
        zipped = handle.read(2) == b"\x1f\x8b"
    return (gzip.open if zipped else open)(path, "rt", encoding=encoding, newline="")


def _read(path: Path, encoding: str) -> tuple[Form, list[str], sparse.csr_matrix, dict[int, list[str]]]:
    """Form, names of the rows, values, and the columns of text by their number."""
    with _open(path, encoding) as handle:
        form = _form([line for _, line in zip(range(LOOKED_AT), handle, strict=False)], path.name)
    row_names: list[str] = []
    blocks, texts = [], None
    with _open(path, encoding) as handle:
        chunks = pd.read_csv(
            handle,
            sep=form.delimiter,
            header=None,
            skiprows=form.n_skipped,
            index_col=False,
            chunksize=max(1, BLOCK_VALUES // len(form.columns)),
            dtype={0: str},
            na_filter=False,  # a gene may be called NA
            decimal=form.decimal,
        )
        for chunk in chunks:
            if chunk.shape[1] != len(form.columns) + 1:
                raise InputError(
                    f"{path.name} names {len(form.columns)} columns in line {form.n_skipped} but has "
                    f"{chunk.shape[1] - 1} values in line {len(row_names) + form.n_skipped + 1}: write the table again "
                    "with one name for each column"
                )
            names = chunk.pop(0)
            if _is_blank(names.iloc[-1], chunk.iloc[-1]):
                names, chunk = names.iloc[:-1], chunk.iloc[:-1].copy()
                form.notes.append(f"{path.name}: the last line has no values and is left out")
            if texts is None:
                texts = {column: [] for column in _columns_of_text(chunk)}
            for column, values in texts.items():
                values.extend(chunk.pop(column).astype(str))
            blocks.append(sparse.csr_matrix(_numbers(chunk, names, form.columns, path.name)))
            row_names.extend(names.astype(str))
    return form, row_names, sparse.vstack(blocks, format="csr"), texts or {}


def _is_blank(name: str, values: pd.Series) -> bool:
    return str(name).strip() == "" and bool((values.astype(str).str.strip() == "").all())


def _form(lines: list[str], name: str) -> Form:
    """Delimiter, first field and names of the columns; R leaves the first field out."""
    not_a_table = InputError(
        f"{name} is not a table: write the names of the columns into its first line, separated by tabs, commas or "
        "semicolons, and the values below"
    )
    first = next((n for n, line in enumerate(lines) if not line.startswith("#") and line.strip()), None)
    if first is None or first + 1 >= len(lines) or not lines[first + 1].strip():
        raise not_a_table
    delimiter = next((mark for mark in DELIMITERS if mark in lines[first]), None)
    if delimiter is None and len(lines[first].split()) > 1 and len(lines[first].split(" ")) in (
        len(lines[first + 1].split(" ")), len(lines[first + 1].split(" ")) - 1,
    ):  # fmt: skip
        delimiter = " "
    if delimiter is None:
        raise not_a_table
    header, values = (next(csv.reader([line.rstrip("\r\n")], delimiter=delimiter)) for line in lines[first : first + 2])
    # A header may start with # too.
    if first and len(_fields(lines[first - 1], delimiter)) == len(values):
        first, header = first - 1, _fields(lines[first - 1].lstrip("#"), delimiter)
    if len(header) == len(values) - 1 and _end_in_separator(lines[first + 1 :], delimiter):
        header = [*header, ""]  # a column without name and values, and none that R's header leaves out
    corner, columns = ("", header) if len(header) == len(values) - 1 else (header[0], header[1:])
    words = {word.strip().lower() for word in header}
    if words & LONG_CELL and words & LONG_GENE and words & LONG_COUNT and words <= LONG_CELL | LONG_GENE | LONG_COUNT:
        remedy = (
            "give the RSEC_MolsPerCell.csv of the same run of BD Rhapsody, or its MEX folder"
            if "cell_index" in words
            else "write it as a matrix, as with pandas.read_csv(...).pivot(index='cell', columns='gene', "
            "values='count').fillna(0)"
        )
        raise InputError(f"{name} is a long table, with a gene, a cell and a count in each line: {remedy}")
    decimal = _decimal(lines[first + 1 :], delimiter)
    return Form(delimiter, corner.strip(), [column.strip() for column in columns], first + 1, decimal)


def _fields(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line.rstrip("\r\n")], delimiter=delimiter), [])


def _end_in_separator(lines: list[str], delimiter: str) -> bool:
    return all(_fields(line, delimiter)[-1].strip() == "" for line in lines if line.strip())


def _decimal(lines: list[str], delimiter: str) -> str:
    """Comma where fields have decimal commas, as where semicolons separate them."""
    if delimiter == ",":
        return "."
    fields = [one for line in lines for one in _fields(line, delimiter)[1:]]
    return "," if any(DECIMAL_COMMA.fullmatch(one) for one in fields) else "."


def _columns_of_text(chunk: pd.DataFrame) -> list[int]:
    """Columns in which nothing is a number: names and descriptions, not counts."""
    found = []
    for column in chunk.select_dtypes(exclude="number"):
        values = chunk[column].astype(str).str.strip()
        filled = values[~values.str.lower().isin(MISSING)]
        if pd.to_numeric(filled, errors="coerce").isna().all() and not filled.str.fullmatch(THOUSANDS.pattern).any():
            found.append(column)
    # Where all are text this is no table of counts, or one without numbers in its first lines.
    return found if len(found) < chunk.shape[1] else []


def _numbers(chunk: pd.DataFrame, row_names: pd.Series, column_names: list[str], name: str) -> np.ndarray:
    for column in chunk.select_dtypes(exclude="number"):
        values = chunk[column]
        numbers = pd.to_numeric(values, errors="coerce")
        wrong = (numbers.isna() & ~values.astype(str).str.strip().str.lower().isin(MISSING)).to_numpy()
        if wrong.any():
            at = wrong.argmax()
            text = str(values.iloc[at])
            if THOUSANDS.fullmatch(text.strip()):
                remedy = "write the numbers without commas between the thousands"
            else:
                remedy = "a table of counts holds numbers only, so remove such columns or rows"
            raise InputError(
                f"{name} has the text '{text}' in row '{row_names.iloc[at]}', column '{column_names[column - 1]}', "
                f"where a count is due: {remedy}"
            )
        chunk[column] = numbers
    return chunk.to_numpy(dtype=np.float64)


def _names_of_rows(
    form: Form, row_names: list[str], texts: dict[int, list[str]], name: str
) -> tuple[list[str], dict[str, list[str]]]:
    """Names of the rows, of a column of text where the first column only numbers them; and the other texts by name.

    Columns of text are taken out of `form.columns`.
    """
    columns = form.columns
    # What a separator at the end of the lines leaves has neither a name nor values.
    named = {columns[n - 1]: values for n, values in texts.items() if columns[n - 1] or any(map(str.strip, values))}
    numbered = bool(row_names) and all(map(is_number, row_names))
    by_text = next((c for c, v in named.items() if len(set(v)) == len(v) and share_of_genes(v) > 0.3), None)
    by_text = by_text or next((c for c, v in named.items() if len(set(v)) == len(v)), None)
    form.columns = [column for number, column in enumerate(columns, 1) if number not in texts]
    if numbered and by_text is not None:
        form.notes.append(f"{name}: the first column numbers the rows, so column '{by_text}' names them")
        form.corner = by_text
        return named.pop(by_text), named
    if numbered and (len(set(row_names)) < len(row_names) or looks_like_gene(form.corner)):
        raise InputError(
            f"{name}: the first column ('{form.corner}') holds numbers such as {row_names[0]}, not names of the rows: "
            "write the table again with the names of its rows in the first column"
        )
    return row_names, named


def _keep_texts(adata: AnnData, axis: str, texts: dict[str, list[str]], name: str) -> None:
    """Columns of text, as columns of obs where cells are in rows, and as symbols of genes where genes are."""
    if not texts:
        return
    if axis == "rows":
        for column, values in texts.items():
            adata.obs[column] = values
        add_warning(adata, f"{name}: columns of text describe the cells and are no genes: {quoted(texts)}")
        return
    symbols = next((c for c, v in texts.items() if share_of_genes(v) > 0.3), None)
    if symbols is not None:
        adata.var["gene_symbols"] = texts[symbols]
    told = f" ('{symbols}' as symbols)" if symbols else ""
    add_warning(adata, f"{name}: columns of text describe the genes and are no cells: {quoted(texts)}{told}")
