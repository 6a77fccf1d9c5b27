"""10x Genomics matrices: Cell Ranger's .h5 (v2, v3) and the folder of matrix, features or genes, and barcodes."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from ..errors import InputError
from .matrix_market import read_matrix_market
from .validate import add_warning, checked_sparse, quoted

if TYPE_CHECKING:
    import h5py


GENE_EXPRESSION = "Gene Expression"
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
    return _gene_expression(checked_sparse(matrix, name), cells, features, name)


def read_tenx_names(file: "h5py.File", name: str) -> tuple["h5py.Group", AnnData, np.ndarray | None]:
    """The stored matrix, its cells and genes as an AnnData without values, and which features are genes if not all."""
    group, cells, features = _parts(file, name)
    genes, left_out = _genes_of(features, name)
    return group, _named(None, cells, features.iloc[genes], left_out, name), genes if left_out else None


def _parts(file: "h5py.File", name: str) -> tuple["h5py.Group", np.ndarray, pd.DataFrame]:
    genomes = _genomes(file)
    if len(genomes) > 1:
        raise InputError(
            f"{name} holds {len(genomes)} genomes ({quoted(genomes)}): give a file of one genome, as its cells are "
            "clustered by its genes"
        )
    group = file[genomes[0]]
    features = group.get("features", group)
    columns = {"id": ("id", "genes"), "symbol": ("name", "gene_names"), "type": ("feature_type",)}
    found = {column: _text(features[key]) for column, keys in columns.items() for key in keys if key in features}
    return group, _text(group["barcodes"]), pd.DataFrame(found)


def _text(dataset: "h5py.Dataset") -> np.ndarray:
    return dataset.asstr()[:] if dataset.dtype.kind in "SO" else dataset[:].astype(str)


def tenx_matrix_files(folder: Path) -> list[Path]:
    """List the files called `matrix.mtx`, gzipped or not and with any prefix, in a folder."""
    return sorted(path for path in folder.iterdir() if MATRIX_FILE.match(path.name) and path.is_file())


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
    cells = _columns(barcodes)[0].to_numpy()
    genes = _columns(features)
    genes.columns = ["id", "symbol", "type", *map(str, range(3, genes.shape[1]))][: genes.shape[1]]
    matrix = read_matrix_market(path).T.tocsr()
    if matrix.shape == (len(genes), len(cells)) and len(genes) != len(cells):
        matrix = matrix.T.tocsr()  # cells in rows already
    if matrix.shape != (len(cells), len(genes)):
        raise InputError(
            f"{path.name} has {matrix.shape[1]} rows and {matrix.shape[0]} columns, but {features.name} names "
            f"{len(genes)} genes and "
            f"{barcodes.name} {len(cells)} cells: give three files of one run"
        )
    return _gene_expression(matrix, cells, genes, path.parent.name)


def _beside(matrix: Path, *names: str) -> Path:
    for name in names:
        for candidate in (matrix.with_name(f"{name}.gz"), matrix.with_name(name)):
            if candidate.is_file():
                return candidate
    raise InputError(
        f"{matrix.name} in {matrix.parent.name} has no {' or '.join(names)} beside it: give a 10x folder, which holds "
        f"{EXPECTED_FILES}"
    )


def _columns(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(
            path, sep="\t", header=None, dtype=str, keep_default_na=False, quoting=3, encoding="utf-8-sig"
        )
    except (pd.errors.EmptyDataError, pd.errors.ParserError, EOFError, OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path.name} in {path.parent.name} cannot be read as tab-separated text ({error}): write it again"
        ) from error


def _gene_expression(matrix: sparse.csr_matrix, barcodes: np.ndarray, features: pd.DataFrame, name: str) -> AnnData:
    """AnnData of the gene expression features: antibodies, guides and peaks are left out."""
    genes, left_out = _genes_of(features, name)
    return _named(matrix[:, genes] if left_out else matrix, barcodes, features.iloc[genes], left_out, name)


def _genes_of(features: pd.DataFrame, name: str) -> tuple[np.ndarray, dict[str, int]]:
    """Positions of the gene expression features, and how many there are of the other types."""
    if "type" not in features or features["type"].nunique() <= 1:
        return np.arange(len(features)), {}
    is_gene = (features["type"] == GENE_EXPRESSION).to_numpy()
    if not is_gene.any():
        raise InputError(
            f"{name} has no features of type '{GENE_EXPRESSION}' (but {quoted(features['type'].unique())}): give "
            "a matrix of gene counts"
        )
    return np.flatnonzero(is_gene), features["type"][~is_gene].value_counts().to_dict()


def _named(
    matrix: sparse.csr_matrix | None, barcodes: np.ndarray, genes: pd.DataFrame, left_out: dict[str, int], name: str
) -> AnnData:
    var = pd.DataFrame(index=pd.Index(genes["id"].astype(str).to_numpy()))
    if "symbol" in genes:
        var["gene_symbols"] = genes["symbol"].astype(str).to_numpy()
    adata = AnnData(matrix, obs=pd.DataFrame(index=pd.Index(barcodes)), var=var)
    if left_out:
        kinds = ", ".join(f"{number} {kind}" for kind, number in left_out.items())
        add_warning(adata, f"{name}: only '{GENE_EXPRESSION}' features are used, {kinds} left out")
    return adata
