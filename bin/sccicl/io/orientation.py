"""Which axis of a matrix holds the cells: by all evidence together and with a margin, or it is left to the user."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from ..errors import InputError
from .name_patterns import share_of_cells, share_of_genes

if TYPE_CHECKING:
    from anndata import AnnData
    from scipy import sparse


Axis = Literal["rows", "columns"]
CORNER_OF_GENES = {
    "gene", "genes", "symbol", "geneid", "genename", "genesymbol", "genesymbols", "feature", "features", "ensembl",
    "ensemblid", "ensemblgeneid", "hgncsymbol", "geneids", "genenames",
}  # fmt: skip
CORNER_OF_CELLS = {"cell", "cells", "barcode", "barcodes", "cellid", "cellids", "cellname", "cellbarcode", "cellindex"}
# Points of evidence. A word in the corner weighs as much as names that clearly look like genes, and less than names of
# both axes, since tables of genes in rows are found with 'Cell' in their corner.
NAMES_OF_GENES = ((0.3, 4.0), (0.1, 3.0), (0.03, 1.5))
NAMES_OF_CELLS = ((0.5, 3.0), (0.2, 2.0), (0.05, 1.0))
CORNER, SIZES_ALIKE, SIZES_DIFFER, LONGER = 3.0, 2.0, 1.0, 0.5
# Less than this is a guess.
MARGIN = 1.5
SPREAD_RATIO = 2.0
# Shares of names of cells, and of genes, that look like genes where a file is transposed whatever else is in it
CLEARLY_GENES, CLEARLY_OTHERS = 0.5, 0.05


@dataclass
class Evidence:
    """`points` for cells in rows (above 0) or in columns (below), and the reasons for either."""

    points: float = 0.0
    reasons: dict[str, list[str]] = field(default_factory=lambda: {"rows": [], "columns": []})

    def add(self, axis: Axis, points: float, reason: str) -> None:
        """Count `points` for cells in `axis`."""
        self.points += points if axis == "rows" else -points
        self.reasons[axis].append(reason)

    @property
    def axis(self) -> Axis:
        """The axis that has more points."""
        return "rows" if self.points >= 0 else "columns"


def check_cells_in(cells_in: str | None) -> None:
    """Raise InputError unless `cells_in` is None or an axis."""
    if cells_in is not None and cells_in not in get_args(Axis):
        raise InputError(f"--cells-in must be one of {', '.join(get_args(Axis))}, not '{cells_in}'")


def evidence_of_names(rows: Sequence[str], columns: Sequence[str], corner: str = "") -> Evidence:
    """What names, the first field of a table and the numbers of rows and columns tell."""
    found = Evidence()
    word = "".join(letter for letter in corner.lower() if letter.isalpha())
    if word in CORNER_OF_GENES:
        found.add("columns", CORNER, f"its first field is '{corner}'")
    elif word in CORNER_OF_CELLS:
        found.add("rows", CORNER, f"its first field is '{corner}'")
    genes = share_of_genes(rows) - share_of_genes(columns)
    if points := _points(abs(genes), NAMES_OF_GENES):
        axis, other = ("columns", "rows") if genes > 0 else ("rows", "columns")
        found.add(axis, points, f"more names of {other} look like genes")
    cells = share_of_cells(rows) - share_of_cells(columns)
    if points := _points(abs(cells), NAMES_OF_CELLS):
        axis = "rows" if cells > 0 else "columns"
        found.add(axis, points, f"more names of {axis} look like cells")
    if max(len(rows), len(columns)) >= 2 * min(len(rows), len(columns)):
        longer, axis = ("rows", "columns") if len(rows) > len(columns) else ("columns", "rows")
        found.add(axis, LONGER, f"there are more {longer}")
    return found


def _points(difference: float, steps: Sequence[tuple[float, float]]) -> float:
    return next((points for least, points in steps if difference >= least), 0.0)


def add_library_sizes(found: Evidence, matrix: "sparse.csr_matrix") -> None:
    """Add what sums of rows and columns tell: genes differ far more in their sums than cells do."""
    rows, columns = (np.asarray(matrix.sum(axis)).ravel() for axis in (1, 0))
    if not (len(rows) > 2 and len(columns) > 2 and np.isfinite(rows).all() and (rows >= 0).all()):
        return
    alike = [float(np.std(sums) / max(abs(np.mean(sums)), 1e-12)) < 1e-3 for sums in (rows, columns)]
    if alike[0] != alike[1]:
        axis: Axis = "rows" if alike[0] else "columns"
        found.add(axis, SIZES_ALIKE, f"all {axis} have the same sum")
        return
    spread = [float(np.std(np.log1p(sums))) for sums in (rows, columns)]
    if max(spread) >= SPREAD_RATIO * max(min(spread), 1e-6):
        axis = "rows" if spread[0] < spread[1] else "columns"
        found.add(axis, SIZES_DIFFER, f"sums of {axis} differ less")


def decide(found: Evidence, shape: tuple[int, int], name: str) -> tuple[Axis, str]:
    """The axis of the cells of a table, and why.

    Raises
    ------
    InputError
        When the evidence is weaker than `MARGIN`.
    """
    axis = found.axis
    other: Axis = "columns" if axis == "rows" else "rows"
    if abs(found.points) >= MARGIN:
        against = f" (though {' and '.join(found.reasons[other])})" if found.reasons[other] else ""
        return axis, " and ".join(found.reasons[axis]) + against
    told = [f"{' and '.join(found.reasons[a])}, as with cells in {a}" for a in ("rows", "columns") if found.reasons[a]]
    raise InputError(
        f"{name} has {shape[0]} rows and {shape[1]} columns, and it is not clear which are the cells "
        f"({'; '.join(told) or 'names and values are ambiguous'}): say it with --cells-in rows or --cells-in columns, "
        "or write 'gene' or 'cell' into the first field of the table"
    )


def oriented(adata: "AnnData", cells_in: str | None, name: str) -> "AnnData":
    """`adata` of a file whose axes have names, transposed where `cells_in` is `columns`.

    Raises
    ------
    InputError
        When the names clearly say that obs holds genes and var cells, and `cells_in` is not given.
    """
    if cells_in == "rows":
        return adata
    if cells_in == "columns":
        turned = adata.T.copy()
        turned.X = None if turned.X is None else turned.X.tocsr()
        turned.uns.update(adata.uns)
        return turned
    check_axes(adata.obs_names, adata.var_names, name)
    return adata


def check_axes(cells: Sequence[str], genes: Sequence[str], name: str) -> None:
    """Raise InputError where names of cells look like genes and those of genes like cells."""
    in_cells, in_genes = share_of_genes(cells), share_of_genes(genes)
    clear = in_cells >= CLEARLY_GENES and in_genes <= CLEARLY_OTHERS
    if not clear and in_cells - in_genes < NAMES_OF_GENES[0][0]:
        return
    if not clear and share_of_cells(genes) - share_of_cells(cells) < NAMES_OF_CELLS[1][0]:
        return
    raise InputError(
        f"{name} seems to be transposed: its cells have names of genes ('{cells[0]}', ...) and its genes others, "
        f"such as barcodes ('{genes[0]}', ...): transpose it with --cells-in columns (adata.T in Python), or "
        "say --cells-in rows if it is right"
    )
