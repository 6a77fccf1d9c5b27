"""Real cells for a first run, without a download: 700 PBMC that ship inside scanpy."""

import os
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from ..io.write_h5ad import write_h5ad
from ..runtime.files import atomic_path

LABEL_COLUMN = "bulk_labels"
SUBSET_CELLS = 350
SUBSET_SEED = 0
# scanpy's values are rounded to three decimals, which moves the largest counts by less than this.
MAX_DEVIATION = 0.1


def write_demo_data(outdir: str | os.PathLike) -> Path:
    """Write `pbmc700.h5ad`, `pbmc350.h5ad` (a random half, without labels) and their `samplesheet.csv`.

    Parameters
    ----------
    outdir
        Folder to write to; made if it is not there.

    Returns
    -------
    Path
        The samplesheet. The inputs in it are relative to it.
    """
    outdir = Path(outdir)
    cells = pbmc_counts()
    rng = np.random.default_rng(SUBSET_SEED)
    subset = cells[np.sort(rng.choice(cells.n_obs, SUBSET_CELLS, replace=False))].copy()
    del subset.obs[LABEL_COLUMN]
    rows = []
    for name, adata, n_clusters, label_col in (
        ("pbmc700", cells, "auto", LABEL_COLUMN),
        ("pbmc350", subset, "auto", ""),
    ):
        adata.obs["sample"] = name
        write_h5ad(adata, outdir / f"{name}.h5ad")
        rows.append({"sample": name, "input": f"{name}.h5ad", "n_clusters": n_clusters, "label_col": label_col})
    samplesheet = outdir / "samplesheet.csv"
    with atomic_path(samplesheet) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False)
    return samplesheet


def pbmc_counts() -> AnnData:
    """Counts of the 700 cells and 765 genes of `scanpy.datasets.pbmc68k_reduced()` (Zheng et al. 2017).

    scanpy ships log1p(counts / library size * 10,000). A cell's smallest value is that of one count, which gives the
    counts; a least-squares fit of the value of one count then frees them from the rounding of that smallest value.

    Returns
    -------
    AnnData
        X: counts, CSR float32, with `obs["bulk_labels"]`.

    Raises
    ------
    RuntimeError
        When the values are not multiples of one count, as another version of the data set might have it.
    """
    import scanpy

    shipped = scanpy.datasets.pbmc68k_reduced()
    values = np.expm1(shipped.raw.X.toarray().astype(np.float64))
    one = np.where(values > 0, values, np.inf).min(axis=1, keepdims=True)
    counts = np.rint(values / one)
    one = (values * counts).sum(axis=1, keepdims=True) / (counts**2).sum(axis=1, keepdims=True)
    deviation = np.abs(values / one - counts).max()
    if not deviation < MAX_DEVIATION:
        raise RuntimeError(f"the values of scanpy's pbmc68k_reduced are {deviation:g} away from whole counts")
    return anndata.AnnData(
        sparse.csr_matrix(counts.astype(np.float32)),
        obs=shipped.obs[[LABEL_COLUMN]].rename_axis(None),
        var=pd.DataFrame(index=shipped.raw.var_names.rename(None)),
    )
