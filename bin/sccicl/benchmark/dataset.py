"""The benchmark's data: a folder of h5ad files, their known cell types, and copies without them."""

import csv
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..config import InputKind
from ..errors import InputError

if TYPE_CHECKING:
    import pandas as pd


LABEL_COL = "cell_type"


def input_kinds(folder: Path) -> dict[str, InputKind]:
    """Name of each data set of `folder` (`<name>.h5ad`), in order of name, and what its values are.

    They are counts, unless the column `counts` of a `datasets.tsv` in the folder (column `name`) begins with NO.

    Raises
    ------
    InputError
        When there is no h5ad, a name cannot name files, or `datasets.tsv` lacks its columns.
    """
    names = sorted(path.stem for path in folder.glob("*.h5ad"))
    if not names:
        raise InputError(f"{folder} holds no h5ad file: give a folder of them with obs['{LABEL_COL}']")
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
            raise InputError(f"the file {name}.h5ad cannot name a data set: use letters, digits, '_', '.' and '-'")
    table = _table(folder / "datasets.tsv", ("name", "counts"))
    normalised = {row["name"] for row in table if (row["counts"] or "").upper().startswith("NO")}
    return {name: "normalised" if name in normalised else "counts" for name in names}


def groups_and_studies(folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Group and study of data sets, name -> text each, from the columns `group` and `study` of `datasets.tsv`.

    Groups are averaged by themselves. Data sets of one study are left out of a choice together; a set without one is a
    study by itself.
    """
    rows = _table(folder / "datasets.tsv", ("name",))
    return tuple({row["name"]: (row.get(column) or "").strip() for row in rows} for column in ("group", "study"))


def _table(table: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    if not table.exists():
        return []
    with table.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t")
        if not set(columns) <= set(rows.fieldnames or []):
            raise InputError(
                f"{table} lacks the column {' or '.join(columns)}: write them into its first line, separated by tabs"
            )
        return list(rows)


def read_types(path: Path) -> "pd.Series":
    """The known cell type of every cell, (cells,), missing where it is not known. Only scores may use it.

    Raises
    ------
    InputError
        When the file is no h5ad or has no such column.
    """
    import h5py
    import pandas as pd
    from anndata.io import read_elem

    try:
        with h5py.File(path) as file:
            obs = read_elem(file["obs"])
    except (OSError, KeyError) as error:
        raise InputError(
            f"{path}: this is no h5ad, or it is damaged ({error}); write it again, or take it out of the folder"
        ) from error
    if LABEL_COL not in obs:
        raise InputError(f"{path} has no obs['{LABEL_COL}']: store the known cell types there")
    return pd.Series(obs[LABEL_COL].astype(object).to_numpy())


def n_types(types: "pd.Series") -> int:
    """Number of different cell types, k of the track `given`: all that a method may be told of them."""
    return int(types.dropna().nunique())


def write_blind(path: Path, blind: Path) -> None:
    """Copy the values and gene names of an h5ad, nothing that could tell a cell's type; cells are named 0, 1, ..."""
    import anndata
    import pandas as pd

    adata = anndata.read_h5ad(path)
    cells = pd.DataFrame(index=np.arange(adata.n_obs).astype(str))
    genes = pd.DataFrame(index=adata.var_names.astype(str))
    anndata.AnnData(adata.X, obs=cells, var=genes).write_h5ad(blind)
