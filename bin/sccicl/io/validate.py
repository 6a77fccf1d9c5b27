"""Validation of what was read: names, values, sizes and the columns that the user named."""

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING, get_args

import numpy as np
import pandas as pd
from scipy import sparse

from ..config import InputKind
from ..errors import InputError
from .record import Preparation

if TYPE_CHECKING:
    from anndata import AnnData


MIN_CELLS = 10
# Columns of obs that the clusters are written to.
RESULT_COLUMNS = ("cicl", "cicl_confidence")
MIN_GENES = 2
WHOLE_NUMBER_TOLERANCE = 1e-6
# exp of more than this does not fit float32, and no log1p of an expression value comes near it.
MAX_LOG_VALUE = 88.0
CHUNK_VALUES = 1 << 22


def check_input_kind(input_kind: str) -> None:
    """Raise InputError unless `input_kind` is one of `InputKind`."""
    if input_kind not in get_args(InputKind):
        raise InputError(f"--input-kind must be one of {', '.join(get_args(InputKind))}, not '{input_kind}'")


def source_name(adata: "AnnData") -> str:
    """Name of the file that `adata` was read from, for messages."""
    return Preparation.of(adata).input


def add_warning(adata: "AnnData", text: str) -> None:
    """Append a line to `uns["cicl"]["warnings"]`, which the report shows."""
    section = adata.uns.setdefault("cicl", {})
    # HDF5 stores no NUL in a text.
    section["warnings"] = [*map(str, section.get("warnings", ())), text.replace("\0", "")]


def quoted(names: Iterable[object], most: int = 10) -> str:
    """List names in a message: `'a', 'b' and 3 more`."""
    names = [f"'{name}'" for name in names]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "none") + more


def check_size(adata: "AnnData", *, dropped: str = "") -> None:
    """Raise InputError for fewer than 10 cells or 2 genes; `dropped` tells what was left out before."""
    for axis, number, least in (("cell", adata.n_obs, MIN_CELLS), ("gene", adata.n_vars, MIN_GENES)):
        if number < least:
            raise InputError(
                f"{source_name(adata)} has {number} {axis}{'' if number == 1 else 's'}{dropped}, and CICL needs at "
                "least "
                f"{least}: give {'more cells' if axis == 'cell' else 'the whole count matrix'}"
            )


def checked_sparse(matrix: sparse.spmatrix, name: str) -> sparse.spmatrix:
    """`matrix`, CSR or CSC, after a check of its structure: SciPy reads and writes wherever its indices point to.

    Raises
    ------
    InputError
        When an index or offset lies outside of the matrix.
    """
    # SciPy's own check passes any offsets whose last one is 0 or negative.
    check_offsets(matrix.indptr, min(len(matrix.indices), len(matrix.data)), name)
    try:
        matrix.check_format(full_check=True)
    except ValueError as error:
        raise points_outside(name, str(error)) from error
    return matrix


def check_offsets(indptr: np.ndarray, n_stored: int, name: str) -> None:
    """Raise InputError unless the offsets of a sparse matrix' rows (or columns) rise from 0 to at most `n_stored`."""
    if not len(indptr) or indptr[0] != 0 or indptr[-1] > n_stored or (indptr[1:] < indptr[:-1]).any():
        raise points_outside(name, f"its offsets do not rise from 0 to {n_stored}")


def points_outside(name: str, reason: str) -> InputError:
    """Make the error for a sparse matrix with an index or offset outside of it."""
    return InputError(f"{name} is damaged: its matrix points outside of itself ({reason}): write it again")


def check_values(
    adata: "AnnData",
    *,
    input_kind: InputKind,
    where: str = "X",
    count_layers: Callable[[], list[str]] = list,
    log_layers: Callable[[], list[str]] = list,
) -> None:
    """Raise InputError for the first value of X that `input_kind` rules out, naming its cell and gene.

    Parameters
    ----------
    adata
        X is CSR.
    where
        What X was in the file, such as `layers['counts']`.
    count_layers
        Gives the names of other matrices of the file that look like counts; called only when X is refused.
    log_layers
        The same of matrices that look like logarithms.
    """
    checks: list[tuple[Callable[[np.ndarray], np.ndarray], str]] = [
        (lambda v: ~np.isfinite(v), "is not a finite number"),
        (lambda v: v < 0, "is negative"),
    ]
    if input_kind == "counts":
        checks.append((_is_fraction, "is not a whole number, so the matrix is not one of raw counts"))
    if input_kind == "log":
        checks.append((lambda v: v > MAX_LOG_VALUE, "is too large for a logarithm"))
    for bad, reason in checks:
        at = _first_index(adata.X.data, bad)
        if at is not None:
            raise InputError(_refusal(adata, at, reason, input_kind, where, count_layers(), log_layers()))


def are_plain_counts(values: np.ndarray) -> bool:
    """Whether all values are finite whole numbers above 0 in float32: what `check_values` and `as_counts` leave as is.

    It takes a fraction of the time of these, and nearly every matrix of counts is such.
    """
    if values.dtype != np.float32:
        return False
    step = CHUNK_VALUES // 64  # what stays in a core's cache
    parts = (values[start : start + step] for start in range(0, len(values), step))
    return all(part.min() > 0 and part.max() < np.inf and np.array_equal(part, np.rint(part)) for part in parts)


def _is_fraction(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind in "iub":
        return np.zeros(len(values), dtype=bool)
    return np.abs(values - np.rint(values)) > WHOLE_NUMBER_TOLERANCE


def _first_index(values: np.ndarray, bad: Callable[[np.ndarray], np.ndarray]) -> int | None:
    for start in range(0, len(values), CHUNK_VALUES):
        hits = bad(values[start : start + CHUNK_VALUES])
        if hits.any():
            return start + int(hits.argmax())
    return None


def _refusal(
    adata: "AnnData",
    at: int,
    reason: str,
    input_kind: InputKind,
    where: str,
    count_layers: list[str],
    log_layers: list[str],
) -> str:
    row = int(np.searchsorted(adata.X.indptr, at, side="right")) - 1
    column = int(adata.X.indices[at])
    value = adata.X.data[at]
    place = f"cell '{adata.obs_names[row]}' (row {row + 1}), gene '{adata.var_names[column]}' (column {column + 1})"
    if count_layers:
        remedy = f"take the raw counts that the file holds with --counts-layer {count_layers[0]}"
        if len(count_layers) > 1:
            remedy += f" (these look like counts: {', '.join(count_layers)})"
    elif not np.isfinite(value):
        remedy = "remove the cell or gene, or replace the value"
    elif input_kind == "log":
        remedy = "give log1p of normalised values, not z-scores, or use --input-kind normalised for plain values"
    elif log_layers:
        remedy = (
            f"take the logarithms that the file holds with --counts-layer {log_layers[0]} --input-kind log, or give "
            "the raw counts"
        )
    elif value < 0:
        remedy = "give the raw counts (z-scored or batch-corrected values cannot be used)"
    else:
        remedy = (
            "give the raw counts, or say with --input-kind what the values are: normalised (RPKM, TPM, CPM, estimated "
            "counts) "
            "or log (log1p of such)"
        )
    return f"{source_name(adata)}: {where} has {value:g} for {place}, which {reason}: {remedy}"


def look_like_counts(values: np.ndarray) -> bool:
    """Whether a sample of a matrix's values holds whole numbers from 0 upward only, and not all 0."""
    values = np.asarray(values).ravel()
    if values.dtype.kind not in "iubf" or not len(values) or not np.isfinite(values).all():
        return False
    return bool((values >= 0).all() and (values > 0).any() and not _is_fraction(values).any())


def look_like_logs(values: np.ndarray) -> bool:
    """Whether a sample of a matrix's values could be logarithms of expression: fractions from 0 to 20."""
    if len(values) == 0 or not np.isfinite(values).all():
        return False
    return bool((values >= 0).all() and 0 < values.max() <= 20 and _is_fraction(values).any())


def by_likelihood(layers: Iterable[str]) -> list[str]:
    """Layers that hold counts, the likeliest first: counts, raw, the sum of a method's parts, parts, others."""
    order = ("counts", "raw_counts", "raw", "umi", "umis", "count", "matrix", "total", "spliced", "mature")
    last = ("ambiguous", "unspliced", "nascent")

    def rank(name: str) -> tuple[int, str]:
        low = name.lower()
        return (order.index(low) if low in order else len(order) + 1 + (low in last), name)

    return sorted(layers, key=rank)


def as_counts(matrix: sparse.csr_matrix, input_kind: InputKind) -> sparse.csr_matrix:
    """`matrix` as CSR float32 without stored zeros; whole numbers exactly where they are counts.

    The caller's matrix is returned as it is when nothing has to change, and is never changed.
    """
    data = matrix.data
    if data.dtype != np.float32:
        data = data.astype(np.float32)
    if input_kind == "counts" and _first_index(data, lambda v: v != np.rint(v)) is not None:
        data = np.rint(data)
    if _first_index(data, lambda v: v == 0) is not None:
        keep = data != 0
        rows = np.concatenate([[0], np.cumsum(keep)])[matrix.indptr]
        return sparse.csr_matrix((data[keep], matrix.indices[keep], rows), shape=matrix.shape)
    if data is matrix.data:
        return matrix
    return sparse.csr_matrix((data, matrix.indices, matrix.indptr), shape=matrix.shape, copy=False)


def check_columns(adata: "AnnData", *, label_col: str | None = None, batch_col: str | None = None) -> None:
    """Raise InputError when `label_col` or `batch_col` is no column of `adata.obs`, is empty, or is one of CICL's."""
    for option, column in (("--label-col", label_col), ("--batch-col", batch_col)):
        if column is None:
            continue
        if column in RESULT_COLUMNS:
            raise InputError(
                f"{source_name(adata)}: the clusters are written to the obs column '{column}', which so cannot be "
                f"{option}: give that column another name"
            )
        if column not in adata.obs:
            raise InputError(_unknown_column(adata, option, column))
        if pd.isna(adata.obs[column]).all():
            raise InputError(
                f"{source_name(adata)}: the obs column '{column}' ({option}) has no value in any cell: fill it or "
                f"leave {option} out"
            )


def _unknown_column(adata: "AnnData", option: str, column: str) -> str:
    existing = [str(name) for name in adata.obs.columns]
    if not existing:
        return f"{source_name(adata)} has no obs columns at all, so none is called '{column}': leave {option} out"
    by_lower = {name.lower(): name for name in existing}
    near = get_close_matches(column.lower(), by_lower, n=1, cutoff=0.5)
    guess = f"did you mean '{by_lower[near[0]]}'? " if near else ""
    return (
        f"{source_name(adata)} has no obs column '{column}': {guess}give {option} one of the existing columns "
        f"({quoted(existing)})"
    )
