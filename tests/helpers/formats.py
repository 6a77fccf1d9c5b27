"""One small count matrix, written in every format that is read."""

import gzip
import shutil
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
from scipy import io, sparse

N_CELLS, N_GENES = 24, 15


def small_counts(n_cells: int = N_CELLS, n_genes: int = N_GENES, seed: int = 1) -> anndata.AnnData:
    """Counts without an empty cell or gene, with barcodes, Ensembl ids and symbols."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(1.2, (n_cells, n_genes)).astype(np.float32)
    counts[:, 0] += 1
    counts[0] += 1
    barcodes = ["".join(rng.choice(list("ACGT"), 16)) + "-1" for _ in range(n_cells)]
    var = pd.DataFrame(
        {"gene_symbols": [f"SYM{i}" for i in range(n_genes)]}, index=[f"ENSG{i:011d}" for i in range(n_genes)]
    )
    obs = pd.DataFrame({"cell_type": pd.Categorical(np.where(np.arange(n_cells) % 2, "T", "B"))}, index=barcodes)
    return anndata.AnnData(sparse.csr_matrix(counts), obs=obs, var=var)


def write_tenx_h5(adata: anndata.AnnData, path: Path, *, version: int = 3, antibodies: int = 0) -> Path:
    """Cell Ranger's layout: genes x cells by column, in `matrix` (v3) or a group named by the genome (v2)."""
    extra = sparse.csr_matrix(np.full((adata.n_obs, antibodies), 1000, dtype=np.int32))
    counts = sparse.hstack([adata.X.astype(np.int32), extra]).tocsr()
    ids = [*adata.var_names, *(f"AB{i}" for i in range(antibodies))]
    names = [*adata.var["gene_symbols"], *(f"CD{i}_TotalSeqB" for i in range(antibodies))]
    types = ["Gene Expression"] * adata.n_vars + ["Antibody Capture"] * antibodies
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix" if version == 3 else "GRCh38")
        features = group.create_group("features") if version == 3 else group
        group["data"], group["indices"], group["indptr"] = counts.data, counts.indices, counts.indptr
        group["shape"] = np.array([len(ids), adata.n_obs], dtype=np.int32)
        group["barcodes"] = np.array(adata.obs_names, dtype="S")
        features["id" if version == 3 else "genes"] = np.array(ids, dtype="S")
        features["name" if version == 3 else "gene_names"] = np.array(names, dtype="S")
        if version == 3:
            features["feature_type"] = np.array(types, dtype="S")
    return path


def write_tenx_mtx(
    adata: anndata.AnnData,
    folder: Path,
    *,
    version: int = 3,
    zipped: bool = True,
    prefix: str = "",
    antibodies: int = 0,
) -> Path:
    """Matrix, features (v3) or genes (v2), and barcodes."""
    folder.mkdir(parents=True, exist_ok=True)
    extra = sparse.csr_matrix(np.full((adata.n_obs, antibodies), 1000, dtype=np.int32))
    counts = sparse.hstack([adata.X.astype(np.int32), extra]).T.tocoo()
    features = pd.DataFrame({"id": adata.var_names, "name": adata.var["gene_symbols"].to_numpy()})
    features["type"] = "Gene Expression"
    for i in range(antibodies):
        features.loc[len(features)] = [f"AB{i}", f"CD{i}", "Antibody Capture"]
    if version == 2:
        features = features[["id", "name"]]
    names = [f"{prefix}matrix.mtx", f"{prefix}{'features' if version == 3 else 'genes'}.tsv", f"{prefix}barcodes.tsv"]
    io.mmwrite(folder / names[0], counts)
    features.to_csv(folder / names[1], sep="\t", header=False, index=False)
    pd.Series(adata.obs_names).to_csv(folder / names[2], header=False, index=False)
    if zipped:
        for name in names:
            with (folder / name).open("rb") as plain, gzip.open(folder / f"{name}.gz", "wb") as packed:
                shutil.copyfileobj(plain, packed)
            (folder / name).unlink()
    return folder


def write_loom(adata: anndata.AnnData, path: Path, *, accessions: bool = True) -> Path:
    """Write loom's layout: genes x cells, with a layer `spliced`; strings as version 3 has them, and as version 2."""
    counts = adata.X.T.toarray()
    with h5py.File(path, "w") as file:
        file.create_dataset("matrix", data=counts, chunks=True, compression="gzip")
        file["layers/spliced"] = counts + 1
        file["row_attrs/Gene"] = adata.var["gene_symbols"].to_numpy().astype(object)
        if accessions:
            file["row_attrs/Accession"] = adata.var_names.to_numpy().astype(object)
        file["col_attrs/CellID"] = np.array(adata.obs_names, dtype="S")
        file["col_attrs/cell_type"] = adata.obs["cell_type"].to_numpy().astype(object)
        file["col_attrs/embedding"] = np.zeros((adata.n_obs, 2))
        for group in ("row_graphs", "col_graphs", "attrs"):
            file.create_group(group)
    return path


def write_table(
    adata: anndata.AnnData, path: Path, *, genes_in_rows: bool = False, corner: str = "", sep: str = ","
) -> Path:
    """A text table with cells or genes in rows."""
    frame = pd.DataFrame(adata.X.toarray().astype(int), index=adata.obs_names, columns=adata.var_names)
    frame = frame.T if genes_in_rows else frame
    frame.to_csv(path, index_label=corner, sep=sep)
    return path
