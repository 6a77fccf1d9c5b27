"""Matrices of cells x genes as alevin, alevin-fry and kallisto|bustools write them; what is known beside a matrix."""

import csv
from pathlib import Path

import pandas as pd
from anndata import AnnData
from scipy import sparse

from ..errors import InputError
from .matrix_market import read_matrix_market

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
