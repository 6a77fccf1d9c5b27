"""Files of a finished sample for the tools that people look at cells with: CELLxGENE, Seurat, Loupe Browser."""

import gzip
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from anndata import AnnData
from anndata.utils import make_index_unique
from scipy import sparse
from scipy.io import mmwrite

from ..errors import InputError
from ..io.gene_names import gene_symbols
from ..io.write_h5ad import write_h5ad
from ..runtime.files import atomic_path
from .annotation import TITLES
from .expression import log_normalised
from .palette import colours

LAYOUTS = {"X_umap": "umap", "X_tsne": "tsne"}
MAX_COLOURS = 200


def export_sample(adata: AnnData, folder: str | os.PathLike, sample_id: str, tools: list[str]) -> list[Path]:
    """Write what the tools open.

    Parameters
    ----------
    adata
        The final cells of a sample.
    folder
        Where the files go; see `for_cellxgene`, `for_seurat` and `for_loupe`.
    tools
        Any of `cellxgene`, `seurat`, `loupe`.

    Returns
    -------
    Files and folders written.

    Raises
    ------
    InputError
        When a tool is unknown.
    """
    unknown = [tool for tool in tools if tool not in EXPORTS]
    if unknown or not tools:
        raise InputError(
            f"there is no export for '{','.join(unknown)}': give {', '.join(EXPORTS)}, or several with commas between"
        )
    folder = Path(folder)
    return [path for tool in dict.fromkeys(tools) for path in EXPORTS[tool](adata, folder, sample_id)]


def for_cellxgene(adata: AnnData, folder: Path, sample_id: str) -> list[Path]:
    """Write `<id>.cellxgene.h5ad`: log-normalised X by gene (CSC), counts in `.raw`, layouts, text columns, colours.

    Genes are named by their symbols, made unique; `var["gene_id"]` keeps the names that they had.
    """
    names = make_index_unique(pd.Index(gene_symbols(adata)).astype(object))
    var = pd.DataFrame({"gene_id": adata.var_names.to_numpy(dtype=object)}, index=names)
    expression = log_normalised(adata)
    obs = adata.obs.copy()
    found = anndata.AnnData(sparse.csc_matrix(expression.X), obs=obs, var=var.copy())
    found.raw = anndata.AnnData(sparse.csr_matrix(adata.X, dtype=np.float32), obs=obs, var=var.copy())
    for key in (*LAYOUTS, "X_cicl"):
        if key in adata.obsm:
            found.obsm[key] = np.asarray(adata.obsm[key], dtype=np.float32)
    for name in obs:
        if not pd.api.types.is_numeric_dtype(obs[name].dtype) or pd.api.types.is_bool_dtype(obs[name].dtype):
            found.obs[name] = _as_text(obs[name])
    for name, column in found.obs.items():
        if isinstance(column.dtype, pd.CategoricalDtype) and len(column.cat.categories) <= MAX_COLOURS:
            found.uns[f"{name}_colors"] = np.array(colours(len(column.cat.categories)), dtype=object)
    found.uns["title"] = sample_id
    if "X_umap" in found.obsm:
        found.uns["default_embedding"] = "X_umap"
    path = folder / f"{sample_id}.cellxgene.h5ad"
    write_h5ad(found, path)
    return [path]


def _as_text(column: pd.Series) -> pd.Categorical:
    """Categories of text, in the order that they had; a missing value is `not given`, as CELLxGENE shows none."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        order = [str(value) for value in column.cat.remove_unused_categories().cat.categories]
    else:
        order = sorted({str(value) for value in column.dropna()})
    text = column.astype(object).map(str, na_action="ignore")
    if text.isna().any():
        text, order = text.fillna("not given"), [*order, *(["not given"] if "not given" not in order else [])]
    return pd.Categorical(text, categories=order)


def for_seurat(adata: AnnData, folder: Path, sample_id: str) -> list[Path]:
    """Write the folder `seurat/` and, where R has Seurat, `<id>.seurat.rds`.

    The folder has the counts as a 10x folder (`matrix.mtx.gz`, `features.tsv.gz`, `barcodes.tsv.gz`), `metadata.csv`
    (all of obs; `cluster` is CICL's, and one of the input becomes `cluster_of_input`), `cicl.csv`, `umap.csv` and
    `tsne.csv` (coordinates), and `seurat.R`, which makes a Seurat object of them.
    """
    target = folder / "seurat"
    with _whole_folder(target) as temporary:
        _write_tenx(adata, temporary)
        obs = adata.obs.copy()
        if "cluster" in obs:  # of the input; the name is that of CICL's clusters here
            obs = obs.rename(columns={"cluster": "cluster_of_input"})
        obs.insert(0, "cluster", adata.obs["cicl"].astype(str))
        obs.to_csv(temporary / "metadata.csv", index_label="barcode")
        for key, name in {"X_cicl": "cicl", **LAYOUTS}.items():
            if key in adata.obsm:
                values = np.asarray(adata.obsm[key])
                columns = [f"{name}_{i + 1}" for i in range(values.shape[1])]
                table = pd.DataFrame(values, index=adata.obs_names, columns=columns)
                table.to_csv(temporary / f"{name}.csv", index_label="barcode", float_format="%.6g")
        script = Path(__file__).parent / "templates" / "seurat.R"
        (temporary / "seurat.R").write_text(script.read_text(encoding="utf-8"), encoding="utf-8")
    written = [target]
    if _has_seurat():
        with atomic_path(folder / f"{sample_id}.seurat.rds") as temporary:
            _run_r(target / "seurat.R", temporary)
        written.append(folder / f"{sample_id}.seurat.rds")
    return written


def _write_tenx(adata: AnnData, folder: Path) -> None:
    counts = sparse.csr_matrix(adata.X).T.tocoo()
    whole = bool(np.all(counts.data == np.round(counts.data)))
    with gzip.open(folder / "matrix.mtx.gz", "wb", compresslevel=4) as file:
        mmwrite(file, counts.astype(np.int64) if whole else counts, field="integer" if whole else "real")
    with gzip.open(folder / "features.tsv.gz", "wt", encoding="utf-8") as file:
        for name, symbol in zip(adata.var_names, gene_symbols(adata), strict=True):
            file.write(f"{name}\t{symbol}\tGene Expression\n")
    with gzip.open(folder / "barcodes.tsv.gz", "wt", encoding="utf-8") as file:
        file.writelines(f"{name}\n" for name in adata.obs_names)


@contextmanager
def _whole_folder(target: Path) -> Iterator[Path]:
    """A temporary folder beside `target` that takes its place when the block ends well."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _has_seurat() -> bool:
    if shutil.which("Rscript") is None:
        return False
    asked = ["Rscript", "-e", "quit(status = !requireNamespace('Seurat', quietly = TRUE))"]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


def _run_r(script: Path, target: Path) -> None:
    done = subprocess.run(["Rscript", str(script), str(target)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"Rscript {script} failed:\n{done.stderr}")


def for_loupe(adata: AnnData, folder: Path, sample_id: str) -> list[Path]:
    """Write `<id>.loupe.csv` (barcode, clusters and cell types) and `<id>.loupe_umap.csv`, `_tsne.csv` (projections).

    Loupe Browser takes only barcodes that its own file holds, so they stay as they were read.
    """
    barcodes = adata.obs_names.to_numpy(dtype=str)
    table = pd.DataFrame({"Barcode": barcodes, "CICL": [f"Cluster {name}" for name in adata.obs["cicl"]]})
    for method, title in TITLES.items():
        if f"cicl_{method}" in adata.obs:
            table[title] = adata.obs[f"cicl_{method}"].astype(str).to_numpy()
    tables = {"loupe": table}
    for key, name in LAYOUTS.items():
        if key in adata.obsm:
            x, y = np.asarray(adata.obsm[key])[:, :2].T
            tables[f"loupe_{name}"] = pd.DataFrame({"Barcode": barcodes, "X Coordinate": x, "Y Coordinate": y})
    written = []
    for name, values in tables.items():
        written.append(folder / f"{sample_id}.{name}.csv")
        with atomic_path(written[-1]) as temporary:
            values.to_csv(temporary, index=False, float_format="%.5f")
    return written


EXPORTS: dict[str, Callable[[AnnData, Path, str], list[Path]]] = {
    "cellxgene": for_cellxgene,
    "seurat": for_seurat,
    "loupe": for_loupe,
}
