"""Whether values can be what they are said to be: warnings with the evidence, or a refusal where it is certain."""

from typing import TYPE_CHECKING

import numpy as np

from ..config import InputKind
from ..errors import InputError
from .validate import add_warning, source_name

if TYPE_CHECKING:
    from anndata import AnnData
    from scipy import sparse


# Cells are looked for in at least so many barcodes of an unfiltered matrix
LEAST_BARCODES = 500
EMPTY_SHARE = 0.02
MOST_OF_EMPTY = 100
SAME_SUM = 1e-3
# log1p(1,000,000) is 13.8, log2 of it 19.9
MOST_OF_LOGS = 20.0
DOMINANT = 0.5
LEAST_GENES = 100
SAMPLE_CELLS = 2000


def check_plausible(adata: "AnnData", input_kind: InputKind) -> None:
    """Warn of values that are unlikely to be `input_kind`, of one gene that outweighs all, and of empty droplets.

    Parameters
    ----------
    adata
        X of shape (cells, genes), CSR, as of `read.read_counts`; warnings are added.

    Raises
    ------
    InputError
        When values cannot be what `input_kind` says.
    """
    matrix = adata.X
    if matrix.nnz == 0:
        return
    library = np.asarray(matrix.sum(1, dtype=np.float64)).ravel()
    some = matrix[:: max(1, matrix.shape[0] // SAMPLE_CELLS)]
    check_kind(adata, some, input_kind)
    warn_of_sums(adata, library, np.asarray(matrix.sum(0, dtype=np.float64)).ravel(), input_kind)


def check_kind(adata: "AnnData", some: "sparse.csr_matrix", input_kind: InputKind) -> None:
    """Compare the values of `some` cells, (cells, genes) CSR, with what `input_kind` says."""
    name = source_name(adata)
    largest = float(some.data.max()) if some.nnz else 0.0
    is_whole = bool(np.array_equal(some.data, np.rint(some.data)))
    if input_kind == "log":
        if largest > MOST_OF_LOGS:
            raise InputError(
                f"{name} has the value {largest:g}, which is too large for a logarithm of expression: give log1p of "
                "normalised values, or use --input-kind normalised for plain values such as TPM"
            )
        if is_whole and largest > 1:
            add_warning(
                adata,
                f"{name}: all values are whole numbers, as of counts, but were taken as logarithms; give counts with "
                "--input-kind counts",
            )
        elif same_sums(some):
            add_warning(
                adata,
                f"{name}: all cells have the same sum, as of TPM or CPM, but were taken as logarithms; give such with "
                "--input-kind normalised",
            )
    elif input_kind == "normalised":
        if reason := why_logarithms(some):
            raise InputError(f"{name} holds logarithms ({reason}), not plain values: use --input-kind log")
        if largest <= MOST_OF_LOGS / 2 and not is_whole and some.shape[1] >= LEAST_GENES:
            add_warning(
                adata,
                f"{name}: the largest value is {largest:.3g}, which is little for RPKM, TPM or CPM; if these are "
                "logarithms, give them with --input-kind log",
            )
    elif same_sums(some) and some.shape[0] >= 10 and some.shape[1] >= LEAST_GENES:
        add_warning(
            adata,
            f"{name}: all cells have about the same sum ({some[0].sum():g}), so these are likely rounded normalised "
            "values, not raw counts; give raw counts, or these with --input-kind normalised",
        )


def same_sums(matrix: "sparse.csr_matrix") -> bool:
    """Whether the rows have the same sum."""
    sums = np.asarray(matrix.sum(1, dtype=np.float64)).ravel()
    sums = sums[sums > 0]
    return len(sums) >= 3 and float(np.std(sums) / np.mean(sums)) < SAME_SUM


def why_logarithms(matrix: "sparse.csr_matrix") -> str | None:
    """Why values are surely logarithms: taken back, they have the same sum in every cell."""
    if matrix.nnz == 0 or matrix.data.max() > MOST_OF_LOGS or matrix.data.min() < 0 or same_sums(matrix):
        return None
    for what, back in (("exp(x) - 1", np.expm1), ("2^x - 1", lambda v: np.exp2(v) - 1)):
        plain = matrix.astype(np.float64)
        plain.data = back(plain.data)
        if same_sums(plain):
            return f"with {what} all cells have the same sum, {float(plain[0].sum()):.6g}"
    return None


def warn_of_sums(adata: "AnnData", library: np.ndarray, sums: np.ndarray, input_kind: InputKind) -> None:
    """Warn of empty droplets and of one gene that outweighs all, by the sums of the cells and of the genes."""
    if input_kind == "counts":
        _warn_of_empty_droplets(adata, library)
    if input_kind != "log":
        _warn_of_dominant(adata, library, sums)


def _warn_of_empty_droplets(adata: "AnnData", library: np.ndarray) -> None:
    """Warn where most barcodes have hardly a count beside some that have many: the matrix is unfiltered."""
    if len(library) < LEAST_BARCODES:
        return
    rank = int(np.clip(len(library) // 50, 10, 300))
    high = float(np.partition(library, -rank)[-rank])
    least = min(EMPTY_SHARE * high, MOST_OF_EMPTY)
    empty = int((library < least).sum())
    if empty > 0.5 * len(library):
        add_warning(
            adata,
            f"{source_name(adata)}: {empty} of {len(library)} barcodes have fewer than {max(least, 1):.0f} counts, so "
            "most seem to be empty droplets of an unfiltered matrix; give the filtered matrix, or call the cells first "
            "(cell_calling in the samplesheet, cicl.py call-cells)",
        )


def _warn_of_dominant(adata: "AnnData", library: np.ndarray, sums: np.ndarray) -> None:
    if adata.n_vars < LEAST_GENES:
        return
    top = int(sums.argmax())
    if sums[top] > DOMINANT * library.sum():
        add_warning(
            adata,
            f"{source_name(adata)}: '{adata.var_names[top]}' has {sums[top] / library.sum():.0%} of all counts; if it "
            "is no gene, remove it",
        )
