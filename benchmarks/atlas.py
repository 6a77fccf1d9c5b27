"""A big h5ad made by resampling a small real one, written and read a block of cells at a time."""

import time
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
from anndata.io import write_elem
from scipy import sparse

GENES_PER_CELL = 1500
BLOCK_CELLS = 2000


def write_atlas(path: Path, source: Path | None, n_cells: int, n_genes: int, compression: str | None) -> None:
    """Write counts of `n_cells` cells x `n_genes` genes with about 1,500 genes found in a cell.

    Each cell is a Poisson draw around the sum of two cells of `source`, scaled so that 1,500 genes are found on
    average. Genes that `source` lacks come from its own in another order. Without `source` profiles are simulated.
    """
    rng = np.random.default_rng(0)
    real = _profiles(source, n_genes, rng)
    depth = _depth(real, rng)
    with h5py.File(path, "w") as file:
        group = file.create_group("X")
        options = {"maxshape": (None,), "chunks": (1 << 17,), "compression": compression}
        arrays = {
            "data": group.create_dataset("data", (0,), np.float32, **options),
            "indices": group.create_dataset("indices", (0,), np.int32, **options),
        }
        sizes = []
        for first in range(0, n_cells, BLOCK_CELLS):
            block = _draw(real, depth, min(BLOCK_CELLS, n_cells - first), rng)
            start = len(arrays["data"])
            for key, values in (("data", block.data), ("indices", block.indices)):
                arrays[key].resize((start + block.nnz,))
                arrays[key][start:] = values
            sizes.append(np.diff(block.indptr))
        group["indptr"] = np.concatenate([[0], np.cumsum(np.concatenate(sizes))])
        group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0"})
        group.attrs["shape"] = np.array([n_cells, n_genes])
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        write_elem(file, "obs", pd.DataFrame(index=[f"cell{i}" for i in range(n_cells)]))
        write_elem(file, "var", pd.DataFrame(index=[f"gene{i}" for i in range(n_genes)]))
        write_elem(file, "uns", {})


def _profiles(source: Path | None, n_genes: int, rng: np.random.Generator) -> sparse.csr_matrix:
    if source is None:
        # Gamma-distributed means, a few thousand times apart as in real cells; 20 types.
        means = rng.gamma(0.15, 2.0, n_genes) * rng.lognormal(0, 0.8, (20, n_genes))
        return sparse.csr_matrix(rng.poisson(np.repeat(means, 50, 0)).astype(np.float32))
    counts = sparse.csr_matrix(anndata.read_h5ad(source).X)
    parts = [counts]
    while sum(part.shape[1] for part in parts) < n_genes:
        parts.append(counts[:, rng.permutation(counts.shape[1])])
    return sparse.hstack(parts, format="csr")[:, :n_genes]


def _depth(real: sparse.csr_matrix, rng: np.random.Generator) -> float:
    """Scale of the draws at which 1,500 genes are found in a cell, by bisection."""
    low, high = 1e-3, 1e3
    for _ in range(20):
        middle = (low * high) ** 0.5
        found = _draw(real, middle, 300, np.random.default_rng(1)).nnz / 300
        low, high = (middle, high) if found < GENES_PER_CELL else (low, middle)
    return (low * high) ** 0.5


def _draw(real: sparse.csr_matrix, depth: float, n_cells: int, rng: np.random.Generator) -> sparse.csr_matrix:
    first, second = rng.integers(real.shape[0], size=(2, n_cells))
    block = (real[first] + real[second]).tocsr()
    block.data = rng.poisson(block.data * depth).astype(np.float32)
    block.eliminate_zeros()
    block.sort_indices()  # as matrices are stored
    return block


def seconds_to_read(path: Path) -> float:
    """Only read the matrix with h5py, 4 M entries at a time: what any preparation has to do."""
    start = time.perf_counter()
    with h5py.File(path) as file:
        for key in ("data", "indices"):
            for first in range(0, len(file["X"][key]), 1 << 22):
                file["X"][key][first : first + (1 << 22)]
    return time.perf_counter() - start
