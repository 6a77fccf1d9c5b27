"""Lists of marker genes in the forms that people write and download."""

import csv
import os
import re
from collections.abc import Iterable
from pathlib import Path

from ..errors import InputError
from ..io.name_patterns import is_number, share_of_genes

FORM = "each line has a cell type and its genes, as in: B cell,CD79A,MS4A1"
# Headers of the column of cell types and of genes, without capitals and signs, the better ones first: PanglaoDB,
# CellMarker (whose cell_type is normal or cancer), ScType, Seurat's FindAllMarkers, and lists made by hand.
TYPE_HEADERS = ("cellname", "celltype", "celltypes", "type", "label", "annotation", "population", "cluster")
GENE_HEADERS = (
    "officialgenesymbol", "genesymbol", "symbol", "gene", "genes", "genename", "marker", "markers", "markergene",
    "markergenes", "cellmarker", "geneset", "names", "genesymbolmore1",
)  # fmt: skip
# Less than this share of names of genes is none, and more than that are genes.
FEW, MANY = 0.2, 0.5


def read_marker_list(path: str | os.PathLike) -> dict[str, list[str]]:
    """Read a list of cell types and genes: cell type -> genes, in the file's order, each gene once.

    A line is a cell type and one or more genes, in cells of their own or in one with blanks or semicolons between. A
    type may have several lines. A header (`cell_type,...`), empty lines and lines that begin with # are passed over;
    tabs or semicolons may stand for the commas. Where a header names a column of types and one of genes, wherever they
    are, these are read: so PanglaoDB, CellMarker and the tables of Seurat. Lists with the gene first, and those with a
    type above each column of genes, are known by where the names of genes are.

    Raises
    ------
    InputError
        When the file is missing, no text, a line has no type or no gene, or it is not clear where the genes are.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; give a CSV in which {FORM}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: this is no text file; save it as CSV (UTF-8) in which {FORM}") from error
    rows = _rows(text)
    if not rows:
        raise InputError(f"{path}: the list is empty; {FORM}")
    header = [re.sub(r"[^a-z0-9]", "", cell.lower()) for cell in rows[0][1]]
    types, genes = (_place(header, names) for names in (TYPE_HEADERS, GENE_HEADERS))
    if types is not None and genes is not None and types != genes:
        # Under a last column called genes each gene may have a cell of its own.
        end = None if genes == len(header) - 1 else genes + 1
        return _collected(path, ((number, _cell(row, types), row[genes:end]) for number, row in rows[1:]))
    if genes is not None and len(header) > 1 and types is None:
        raise InputError(
            f"{path}: its header ({', '.join(rows[0][1])}) names a column of genes but none of cell types; name it "
            "cell_type"
        )
    if types == 0:
        rows = rows[1:]
    elif _is_wide(rows):
        columns = enumerate(rows[0][1])
        return _collected(path, ((rows[0][0], name, [_cell(row, n) for _, row in rows[1:]]) for n, name in columns))
    elif _is_gene_first(rows):
        return _collected(path, ((number, _cell(row, 1), row[:1]) for number, row in rows))
    return _collected(path, ((number, row[0], row[1:]) for number, row in rows))


def _rows(text: str) -> list[tuple[int, list[str]]]:
    """Number and cells of the lines that hold something."""
    first = next((line for line in text.splitlines() if line.strip() and not line.startswith("#")), "")
    separator = "\t" if first.count("\t") >= max(1, first.count(",")) else "," if "," in first else ";"
    found = []
    for number, cells in enumerate(csv.reader(text.splitlines(), delimiter=separator), 1):
        cells = [cell.strip() for cell in cells]
        if any(cells) and not cells[0].startswith("#"):
            found.append((number, cells))
    return found


def _place(header: list[str], names: Iterable[str]) -> int | None:
    return next((header.index(name) for name in names if name in header), None)


def _cell(row: list[str], place: int) -> str:
    return row[place] if place < len(row) else ""


def _share(cells: Iterable[str]) -> float:
    return share_of_genes([gene for cell in cells for gene in _genes_of(cell)])


def _is_wide(rows: list[tuple[int, list[str]]]) -> bool:
    """Whether the first line has a type above each column of genes."""
    below = [row for _, row in rows[1:]]
    if len(below) < 2 or len(rows[0][1]) < 2 or _share(rows[0][1]) > FEW:
        return False
    columns = [[_cell(row, n) for row in below] for n in range(len(rows[0][1]))]
    return min(map(_share, columns)) >= MANY


def _is_gene_first(rows: list[tuple[int, list[str]]]) -> bool:
    """Whether each line has a gene and then its cell type."""
    if any(len(row) != 2 for _, row in rows):
        return False
    firsts, seconds = ([row[n] for _, row in rows] for n in (0, 1))
    return share_of_genes(firsts) >= MANY and share_of_genes(seconds) <= FEW


def _genes_of(cell: str) -> list[str]:
    """Genes in one cell; CellMarker writes `CD3D, [CD3E, CD3G], NA`."""
    return [gene for gene in re.split(r"[\s;,|/\[\]]+", cell) if gene and gene != "NA"]


def _collected(path: Path, parts: Iterable[tuple[int, str, list[str]]]) -> dict[str, list[str]]:
    """Types and genes of `parts`, each a number of a line, a type and cells with genes."""
    found: dict[str, list[str]] = {}
    for number, name, cells in parts:
        genes = [gene for cell in cells for gene in _genes_of(cell)]
        if not name or not genes:
            raise InputError(f"{path}, line {number}: there is no {'gene' if name else 'cell type'}; {FORM}")
        known = found.setdefault(name, [])
        known.extend(gene for gene in dict.fromkeys(genes) if gene not in known)
    if not found:
        raise InputError(f"{path}: the list is empty; {FORM}")
    numbers = [gene for genes in found.values() for gene in genes if is_number(gene)]
    if len(numbers) > FEW * sum(map(len, found.values())):
        raise InputError(f"{path}: it has numbers such as {numbers[0]} where genes are due; {FORM}")
    return found
