"""Names of genes and cells as files have them: quotes, blanks, two names in one, dates of spreadsheets, duplicates."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..errors import InputError
from .gene_names import SYMBOL_COLUMNS, is_ensembl
from .name_patterns import GENE_ID, is_number
from .validate import add_warning, quoted

if TYPE_CHECKING:
    from anndata import AnnData


ID_COLUMNS = ("gene_ids", "gene_id", "ensembl_id", "ensembl_ids", "ensembl", "Accession", "feature_id", "ENSEMBL", "id")
# An id and a symbol in one name, as `ENSG00000198888_MT-ND1` or with a blank between
TWO_IN_ONE = re.compile(rf"(?P<id>{GENE_ID.pattern})[\s_|](?P<symbol>\S+)")
MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sept?|Oct|Nov|Dec|Mrz|M(?:ä|ae)r|Okt|Dez"
# What spreadsheets make of MARCH1, SEPT2, DEC1 and OCT4
SPREADSHEET_DATE = re.compile(
    rf"\d{{1,2}}[-. /](?:{MONTHS})\.?|(?:{MONTHS})[-. ]\d{{1,2}}|\d{{4}}-\d\d-\d\d(?: 00:00:00)?|"
    r"\d{1,2}/\d{1,2}/\d{2,4}",
    re.IGNORECASE,
)
LEAST_SHARE = 0.9


def unquoted(names: Sequence[str]) -> list[str]:
    """Names without blanks around them and without the quotes that R's write.table puts there."""
    return [_unquoted(str(name)) for name in names]


def _unquoted(name: str) -> str:
    name = name.strip()
    if len(name) > 1 and name[0] == name[-1] and name[0] in "\"'":
        return name[1:-1].strip()
    return name


def clean_names(adata: "AnnData", name: str) -> None:
    """Make names of cells and genes strings without quotes and blanks, and choose unique ones for genes.

    A gene that has its id and its symbol in one name gets a column of symbols. Where names of genes are numbers or
    not unique, and a column of `var` holds unique ids or symbols, these become the names; the old names are kept in
    `var["gene_symbols"]` if they were symbols. Columns whose names h5ad cannot hold are left out. Every such change is
    a warning.
    """
    for key in ("obs", "var"):
        frame = getattr(adata, key)
        kept = _storable(list(map(str, frame.columns)))
        if not all(kept):
            left_out = [column for column, stays in zip(frame.columns, kept, strict=True) if not stays]
            setattr(adata, key, frame.loc[:, kept].copy())
            add_warning(
                adata,
                f"{name}: columns of {key} have names that an h5ad cannot hold, or that another column has, and are "
                f"left out: {quoted(left_out)}",
            )
    adata.obs_names = pd.Index(unquoted(adata.obs_names), dtype=object)
    adata.var_names = pd.Index(unquoted(adata.var_names), dtype=object)
    for column in (*SYMBOL_COLUMNS, *ID_COLUMNS):
        if column in adata.var and adata.var[column].dtype.kind == "O":
            values = adata.var[column]
            if any(isinstance(value, str) and value[:1] in "\"'" for value in values):
                adata.var[column] = [_unquoted(value) if isinstance(value, str) else value for value in values]
    _split_in_two(adata, name)
    _take_better_names(adata, name)
    dates = [gene for gene in adata.var_names if SPREADSHEET_DATE.fullmatch(gene)]
    if dates:
        add_warning(
            adata,
            f"{name}: {len(dates)} names of genes were made dates by a spreadsheet program ({quoted(dates, 5)}), such "
            "as MARCHF1, SEPTIN2 or DELEC1: which gene each was is not known",
        )


def _storable(columns: Sequence[str]) -> list[bool]:
    """Which columns HDF5 takes together: each is a path, so `a/b` needs that no `a` holds values."""
    seen: set[str] = set()
    kept = []
    for column in columns:
        parts = column.split("/")
        paths = {"/".join(parts[:n]) for n in range(1, len(parts))} & set(columns)
        kept.append(not (column in seen or column == "_index" or {"", "."} & set(parts) or paths or "\0" in column))
        seen.add(column)
    return kept


def _split_in_two(adata: "AnnData", name: str) -> None:
    names = list(adata.var_names)
    parts = [TWO_IN_ONE.fullmatch(one) for one in names]
    if sum(part is not None for part in parts) < LEAST_SHARE * max(1, len(names)):
        return
    by_blank = sum(part is not None and re.search(r"\s", part[0]) is not None for part in parts)
    if not any(column in adata.var for column in SYMBOL_COLUMNS):
        adata.var["gene_symbols"] = [part["symbol"] if part else one for part, one in zip(parts, names, strict=True)]
    if by_blank >= LEAST_SHARE * len(names):
        adata.var_names = [part["id"] if part else one for part, one in zip(parts, names, strict=True)]
        add_warning(
            adata, f"{name}: ids and symbols of genes were in one column, with a blank between them: taken apart"
        )


def _take_better_names(adata: "AnnData", name: str) -> None:
    names = adata.var_names
    if is_ensembl(names):
        return  # an id that is there twice is no symbol of two genes
    numbers = sum(map(is_number, names)) > 0.5 * len(names)
    if names.is_unique and not numbers:
        return
    column = unique_column(adata.var)
    if column is None:
        if numbers and names.is_unique:
            add_warning(
                adata,
                f"{name}: genes are named by numbers ('{names[0]}', ...), so none is known as mitochondrial or marker",
            )
        return
    if not numbers and not any(c in adata.var for c in SYMBOL_COLUMNS) and names.nunique() > 1:
        adata.var["gene_symbols"] = names.to_numpy()
    adata.var_names = pd.Index(adata.var[column].astype(str).to_numpy(), dtype=object)
    why = "are numbers" if numbers else f"are not unique ('{names[names.duplicated()][0]}')"
    add_warning(adata, f"{name}: names of genes {why}, so var['{column}'] names them")


def unique_column(var: pd.DataFrame) -> str | None:
    """The first column of ids or symbols in `var` that gives each gene a name of its own."""
    for column in (*ID_COLUMNS, *SYMBOL_COLUMNS):
        if column in var and not var[column].isna().any():
            values = pd.Series(var[column].astype(str).to_numpy())
            if values.is_unique and not values.isin(["", "nan"]).any() and not values.map(is_number).any():
                return column
    return None


def check_names(adata: "AnnData", name: str) -> None:
    """Raise InputError for duplicate barcodes or gene names, with a remedy for the format, and for a NUL."""
    for axis, names in (("barcode", adata.obs_names), ("gene name", adata.var_names)):
        bad = next((place for place, one in enumerate(names, 1) if "\0" in one), None)
        if bad is not None:
            raise InputError(
                f"{name}: the {axis} at {bad} of {len(names)} holds the character NUL, which cannot be stored: write "
                "the names again without it"
            )
        twice = names.duplicated()
        if not twice.any():
            continue
        first = names[twice.argmax()]
        rows = np.flatnonzero(names == first)
        where = f"'{first}' {len(rows)} times, first at {rows[0] + 1} and {rows[1] + 1} of {len(names)}"
        remedy = _remedy(axis, name)
        if axis == "gene name" and any(map(SPREADSHEET_DATE.fullmatch, names[twice])):
            remedy = (
                "it is a date that a spreadsheet program made of the name of a gene: write the table again from the "
                "source of the counts, not with a spreadsheet program"
            )
        raise InputError(f"{name} has the {axis} {where} ({twice.sum()} duplicates in all): {remedy}")


def _remedy(axis: str, name: str) -> str:
    lower = name.lower().removesuffix(".gz")
    what = "barcodes" if axis == "barcode" else "gene names"
    attribute = "obs" if axis == "barcode" else "var"
    made = f"make the {what} unique"
    if axis == "barcode":
        made += ", as by adding the sample's name to each"
    else:
        made = f"use gene ids such as Ensembl's as {attribute}_names, or {made}"
    if lower.endswith((".csv", ".tsv", ".txt", ".tab")):
        line = "column or row" if axis == "barcode" else "row or column"
        return f"give each {line} of the table a name of its own, as '<name>.1' for the second"
    if lower.endswith((".h5ad", ".zarr")) or lower == "the anndata":
        return f"{made} with adata.{attribute}_names_make_unique()"
    if lower.endswith(".loom"):
        return f"{made} in the attribute '{'CellID' if axis == 'barcode' else 'Gene'}' of the file"
    file = "barcodes.tsv" if axis == "barcode" else "features.tsv (or genes.tsv)"
    return f"give each line of {file} a name of its own in its first column; for genes, Ensembl ids are such"


def looks_like_header(fields: Sequence[str]) -> bool:
    """Whether the fields of a first line of a list of features or barcodes name columns."""
    words = {re.sub(r"[^a-z]", "", str(field).lower()) for field in fields}
    known = {
        "gene", "genes", "geneid", "genename", "genesymbol", "symbol", "ensembl", "ensemblid", "id", "name", "feature",
        "features", "featureid", "featuretype", "barcode", "barcodes", "cell", "cells", "cellid", "x", "v", "bcwells",
    }  # fmt: skip
    return bool(words & known)
