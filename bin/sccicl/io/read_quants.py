"""Matrices of other tools than Cell Ranger: alevin, alevin-fry, kallisto|bustools, STARsolo's Velocyto, Parse."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from anndata import AnnData
from scipy import sparse

from ..errors import InputError
from .matrix_market import read_matrix_market
from .names import looks_like_header
from .read_10x import columns_of, without_header
from .validate import add_warning

# Features of alevin-fry that are of unspliced, and of spliced or unspliced molecules
UNSPLICED, AMBIGUOUS = "-U", "-A"
GENES_FILES = ("features.tsv", "genes.tsv")


@dataclass(frozen=True)
class Layout:
    """Files of a tool: matrices that are added up, names of cells and of genes, matrices that are not counted."""

    tool: str
    matrices: tuple[str, ...]
    cells: tuple[str, ...]
    genes: tuple[str, ...]
    left_out: tuple[str, ...] = ()


LAYOUTS = (
    Layout("alevin", ("quants_mat.mtx",), ("quants_mat_rows.txt",), ("quants_mat_cols.txt",)),
    Layout(
        "kb count",
        ("cells_x_genes.mature.mtx", "cells_x_genes.ambiguous.mtx"),
        ("cells_x_genes.barcodes.txt",),
        ("cells_x_genes.genes.txt",),
        ("cells_x_genes.nascent.mtx",),
    ),
    Layout("kb count", ("cells_x_genes.mtx",), ("cells_x_genes.barcodes.txt",), ("cells_x_genes.genes.txt",)),
    Layout(
        "kb count", ("spliced.mtx",), ("spliced.barcodes.txt",), ("spliced.genes.txt",), ("unspliced.mtx",)
    ),
    Layout(
        "STARsolo Velocyto", ("spliced.mtx", "ambiguous.mtx"), ("barcodes.tsv",), GENES_FILES, ("unspliced.mtx",)
    ),
    Layout("Parse split-pipe", ("count_matrix.mtx",), ("cell_metadata.csv",), ("all_genes.csv", "genes.csv")),
    Layout("Parse split-pipe", ("DGE.mtx",), ("cell_metadata.csv",), ("all_genes.csv", "genes.csv")),
)  # fmt: skip


@dataclass(frozen=True)
class QuantFiles:
    """The files of a layout that were found."""

    layout: Layout
    matrices: tuple[Path, ...]
    cells: Path
    genes: Path


def quant_files(folder: Path) -> QuantFiles | None:
    """The files in `folder` of one of the tools, if they are there."""
    for layout in LAYOUTS:
        matrices = [_with_gz(folder / name) for name in layout.matrices]
        cells, genes = (_first(folder, names) for names in (layout.cells, layout.genes))
        if all(matrices) and cells and genes:
            return QuantFiles(layout, tuple(filter(None, matrices)), cells, genes)
    return None


def _first(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next(filter(None, (_with_gz(folder / name) for name in names)), None)


def _with_gz(path: Path) -> Path | None:
    return next((there for there in (path, path.with_name(f"{path.name}.gz")) if there.is_file()), None)


def read_quants(folder: Path) -> AnnData:
    """Read the matrix of such a folder.

    Where spliced, unspliced and ambiguous molecules are counted apart, spliced and ambiguous ones are added up.

    Raises
    ------
    InputError
        When the sizes of the files do not agree.
    """
    files = quant_files(folder)
    read: Callable[[Path], pd.DataFrame] = _csv if files.cells.name.removesuffix(".gz").endswith(".csv") else columns_of
    cells, genes = read(files.cells), read(files.genes)
    matrix: sparse.csr_matrix | None = None
    notes: list[str] = []
    for path in files.matrices:
        one = read_matrix_market(path).tocsr()
        cells, genes = (
            without_header(table, file, one.shape, notes)
            for table, file in ((cells, files.cells), (genes, files.genes))
        )
        if one.shape == (len(genes), len(cells)) and len(genes) != len(cells):
            one = one.T.tocsr()  # genes in rows, as STARsolo has them
        if one.shape != (len(cells), len(genes)):
            raise InputError(
                f"{path.name} has {one.shape[0]} rows and {one.shape[1]} columns, but {files.cells.name} names "
                f"{len(cells)} cells and {files.genes.name} {len(genes)} genes: give three files of one run"
            )
        matrix = one if matrix is None else sparse.csr_matrix(matrix + one)
    if {"gene_id", "gene_name"} <= set(genes):  # a header says which is which
        genes = genes[["gene_id", "gene_name", *genes.columns.difference(["gene_id", "gene_name"])]]
    var = pd.DataFrame(index=pd.Index(genes.iloc[:, 0].to_numpy()))
    if genes.shape[1] > 1:
        var["gene_symbols"] = genes.iloc[:, 1].to_numpy()
    elif len(symbols := _symbols_beside(files.genes)) == len(genes):
        var["gene_symbols"] = symbols
    if "genome" in genes and genes["genome"].nunique() > 1:
        var["genome"] = genes["genome"].to_numpy()
    obs = pd.DataFrame(index=pd.Index(cells.iloc[:, 0].to_numpy()))
    if "sample" in cells:
        obs["sample"] = cells["sample"].to_numpy()
    adata = _spliced(AnnData(matrix, obs=obs, var=var))
    if files.layout.left_out:
        counted = " and ".join(path.name for path in files.matrices)
        notes.append(f"{folder.name}: counts are those of {counted}, without {' and '.join(files.layout.left_out)}")
    for note in dict.fromkeys(notes):
        add_warning(adata, note)
    return adata


def _symbols_beside(genes: Path) -> list[str]:
    """Symbols as kb count writes them beside the ids, `cells_x_genes.genes.names.txt`, if it is there."""
    named = genes.name.removesuffix(".gz").replace(".genes.txt", ".genes.names.txt")
    symbols = None if named == genes.name.removesuffix(".gz") else _with_gz(genes.with_name(named))
    return [] if symbols is None else list(columns_of(symbols)[0])


def _csv(path: Path) -> pd.DataFrame:
    """Text columns of Parse's tables, which have a header."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (ValueError, OSError, EOFError) as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(f"{path.name} cannot be read as a table ({reason}): write it again") from error
    if len(table.columns) > 1 and table.columns[0].startswith("Unnamed:"):
        table = table.iloc[:, 1:]  # the numbers of the rows, as pandas writes them
    if not looks_like_header(table.columns):
        raise InputError(f"{path.name} has no header such as bc_wells or gene_id: give the file as split-pipe wrote it")
    return table


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
