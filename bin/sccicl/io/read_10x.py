"""10x Genomics matrices: Cell Ranger's .h5 (v2, v3) and the folder of matrix, features or genes, and barcodes."""

import csv
import re
import zlib
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from ..errors import InputError
from .feature_filter import OTHER_TYPES
from .matrix_market import opened, read_matrix_market
from .names import looks_like_header, unquoted
from .validate import add_warning, checked_sparse, quoted

if TYPE_CHECKING:
    import h5py


MATRIX_FILE = re.compile(r"^(?P<prefix>.*?)matrix\.mtx(\.gz)?$")
EXPECTED_FILES = "matrix.mtx, features.tsv or genes.tsv, and barcodes.tsv, gzipped or not"


def is_tenx_h5(file: "h5py.File") -> bool:
    """Whether an open HDF5 file is one of Cell Ranger's."""
    return bool(_genomes(file))


def _genomes(file: "h5py.File") -> list[str]:
    """List the groups with a matrix: `matrix` in v3, the names of the genomes in v2."""
    return [key for key in file if hasattr(file[key], "keys") and {"barcodes", "indptr", "shape"} <= set(file[key])]


def read_tenx_h5(file: "h5py.File", name: str) -> AnnData:
    """Read an open Cell Ranger file; genes are named by id, `var["gene_symbols"]` holds their names.

    Gene ids are unique and symbols are not, so ids make the var_names, as in nf-core/scrnaseq.
    """
    group, cells, features = _parts(file, name)
    n_genes, n_cells = (int(n) for n in group["shape"][:])
    # Cell Ranger stores genes x cells by column, which is cells x genes by row.
    matrix = sparse.csr_matrix((group["data"][:], group["indices"][:], group["indptr"][:]), shape=(n_cells, n_genes))
    return _named(checked_sparse(matrix, name), cells, features)


def read_tenx_names(file: "h5py.File", name: str) -> tuple["h5py.Group", AnnData]:
    """The stored matrix, and its cells and features as an AnnData without values."""
    group, cells, features = _parts(file, name)
    return group, _named(None, cells, features)


def _parts(file: "h5py.File", name: str) -> tuple["h5py.Group", np.ndarray, pd.DataFrame]:
    genomes = _genomes(file)
    if len(genomes) > 1:
        raise InputError(
            f"{name} holds {len(genomes)} genomes ({quoted(genomes)}): give a file of one genome, as its cells are "
            "clustered by its genes"
        )
    group = file[genomes[0]]
    features = group.get("features", group)
    columns = {
        "id": ("id", "genes"), "symbol": ("name", "gene_names"), "type": ("feature_type",), "genome": ("genome",),
    }  # fmt: skip
    found = {column: _text(features[key]) for column, keys in columns.items() for key in keys if key in features}
    return group, _text(group["barcodes"]), pd.DataFrame(found)


def _text(dataset: "h5py.Dataset") -> np.ndarray:
    return dataset.asstr()[:] if dataset.dtype.kind in "SO" else dataset[:].astype(str)


def tenx_matrix_files(folder: Path) -> list[Path]:
    """List the files called `matrix.mtx`, gzipped or not and with any prefix, in a folder."""
    # macOS writes a file of attributes, ._matrix.mtx, beside each on disks of other systems and in archives.
    named = (path for path in folder.iterdir() if MATRIX_FILE.match(path.name) and not path.name.startswith("._"))
    return sorted(path for path in named if path.is_file())


def read_tenx_mtx(path: Path) -> AnnData:
    """Read a 10x folder, or the files beside a `<prefix>matrix.mtx(.gz)`.

    Genes are named by id, `var["gene_symbols"]` holds their names.

    Raises
    ------
    InputError
        When a file is missing, several samples lie in the folder, or the sizes of the files do not agree.
    """
    if path.is_dir():
        matrices = tenx_matrix_files(path)
        if len(matrices) > 1:
            raise InputError(
                f"{path.name} holds {len(matrices)} matrices ({quoted(m.name for m in matrices)}): give the .mtx file "
                "of one sample as the input"
            )
        path = matrices[0]
    prefix = MATRIX_FILE.match(path.name)["prefix"]
    features = _beside(path, f"{prefix}features.tsv", f"{prefix}genes.tsv")
    barcodes = _beside(path, f"{prefix}barcodes.tsv")
    cells, genes = columns_of(barcodes), columns_of(features)
    matrix = read_matrix_market(path).T.tocsr()
    notes = []
    if {matrix.shape[0], matrix.shape[1]} != {len(cells), len(genes)}:
        cells, genes = (
            without_header(table, file, matrix.shape, notes) for table, file in ((cells, barcodes), (genes, features))
        )
    genes.columns = ["id", "symbol", "type", *map(str, range(3, genes.shape[1]))][: genes.shape[1]]
    cells = cells[0].to_numpy()
    if matrix.shape == (len(genes), len(cells)) and len(genes) != len(cells):
        matrix = matrix.T.tocsr()  # cells in rows already
    if matrix.shape != (len(cells), len(genes)):
        raise InputError(
            f"{path.name} has {matrix.shape[1]} rows and {matrix.shape[0]} columns, but {features.name} names "
            f"{len(genes)} genes and "
            f"{barcodes.name} {len(cells)} cells: give three files of one run"
        )
    adata = _named(matrix, cells, genes)
    for note in notes:
        add_warning(adata, note)
    return adata


def without_header(table: pd.DataFrame, path: Path, shape: tuple[int, int], notes: list[str]) -> pd.DataFrame:
    """`table` without a first line that names its columns, where it has one line more than the matrix has names."""
    if len(table) - 1 in shape and len(table) not in shape and looks_like_header(table.iloc[0]):
        notes.append(f"line 1 of {path.name} is a header ('{table.iloc[0, 0]}', ...) and is left out")
        return table.iloc[1:].reset_index(drop=True)
    return table


def _beside(matrix: Path, *names: str) -> Path:
    # Where a link to the matrix alone was staged, the other files are beside what it points to.
    for folder in dict.fromkeys((matrix.parent, matrix.resolve().parent)):
        for name in names:
            for candidate in (folder / f"{name}.gz", folder / name):
                if candidate.is_file():
                    return candidate
    stems = {name.removesuffix(".tsv") for name in names}
    others = [p.name for p in sorted(matrix.parent.iterdir()) if any(p.name.startswith(stem) for stem in stems)]
    similar = f" (but {quoted(others)}: rename it if it is tab-separated)" if others else ""
    raise InputError(
        f"{matrix.name} in {matrix.parent.name or 'its folder'} has no {' or '.join(names)} beside it{similar}: give a "
        f"10x folder, which holds {EXPECTED_FILES}"
    )


def columns_of(path: Path) -> pd.DataFrame:
    """Text columns of a list without a header, gzipped or not whatever its name, without quotes and blanks."""
    try:
        with opened(path) as file:
            text = file.read()
        decoded = decode(text)
        table = pd.read_csv(
            StringIO(decoded), sep="\t", header=None, dtype=str, keep_default_na=False, quoting=csv.QUOTE_NONE
        )
    except (
        pd.errors.EmptyDataError,
        pd.errors.ParserError,
        EOFError,
        OSError,
        UnicodeDecodeError,
        zlib.error,
    ) as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(
            f"{path.name} in {path.parent.name} cannot be read as tab-separated text ({reason}): write it again"
        ) from error
    # A line in quotes as a whole begins and ends with one.
    table[0], table[table.columns[-1]] = (table[column].str.strip() for column in (0, table.columns[-1]))
    return table.apply(
        lambda column: [name.strip('"') if name[:1] == '"' or name[-1:] == '"' else name for name in unquoted(column)]
    )


def decode(text: bytes) -> str:
    """Text of UTF-8, or of UTF-16 with its byte order mark."""
    return text.decode("utf-16" if text[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")


def _named(matrix: sparse.csr_matrix | None, barcodes: np.ndarray, features: pd.DataFrame) -> AnnData:
    """AnnData of all features; those that are no genes are left out later, for all formats alike."""
    var = pd.DataFrame(index=pd.Index(features["id"].astype(str).to_numpy()))
    if "symbol" in features:
        var["gene_symbols"] = features["symbol"].astype(str).to_numpy()
    for column, name in (("type", "feature_types"), ("genome", "genome")):
        # What is the same for all genes tells nothing.
        if column in features and (features[column].nunique() > 1 or _is_other(features[column].iloc[0])):
            var[name] = features[column].astype(str).to_numpy()
    return AnnData(matrix, obs=pd.DataFrame(index=pd.Index(barcodes)), var=var)


def _is_other(kind: str) -> bool:
    return str(kind).strip().lower() in OTHER_TYPES
