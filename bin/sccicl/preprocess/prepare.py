"""Counts to the z-scores that the model learns from (paper 2.1, after Tian et al. 2019)."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import anndata
import numpy as np
from anndata import AnnData
from scipy import sparse

from ..config import GeneSelection, InputKind
from ..errors import InputError
from ..io.record import Preparation
from ..io.validate import add_warning, check_input_kind, check_size, source_name
from ..runtime.prefetch import map_in_order
from .highly_variable_genes import Block, blocks_of, moments, record_genes, variable_genes
from .normalise import library_sizes, normalise, size_factors, z_score

NAME_COLUMNS = ("gene_symbols", "gene_ids", "gene_names", "gene_name", "feature_name", "symbol", "ensembl_id")
MIN_SHARE_OF_GENES = 0.5


def prepare(
    adata: AnnData,
    *,
    input_kind: InputKind = "counts",
    n_genes: int = 500,
    max_value: float | None = None,
    gene_selection: GeneSelection = "seurat",
) -> AnnData:
    """Filter, normalise, select highly variable genes and z-score them.

    Cells and genes without counts are dropped; counts are divided by the cell's size factor (library size / median
    library size) and log1p is taken; the `n_genes` genes with the highest normalised dispersion are z-scored.

    Parameters
    ----------
    adata
        X of shape (cells, genes), CSR, as of `read.read_counts`. It is not changed.
    input_kind
        `normalised` values (RPKM, TPM, CPM, estimated counts) go the way of counts. Where a cell's values sum up to the
        same in every cell (TPM, CPM) the size factors are 1 and change nothing; RPKM become proportional to TPM.
        `log` values are log1p of normalised values and are z-scored as they are.
    n_genes
        Genes to select; all are taken where there are no more.
    max_value
        z-scores are clipped at this absolute value, if given.
    gene_selection
        Whose dispersion orders the genes, see `genes`.

    Returns
    -------
    AnnData
        X: the values as given, of the cells and genes that are kept (not a copy if all are).
        `var["highly_variable"]`, `var["cicl_mean"]`, `var["cicl_std"]` (of the log-normalised values of the selected
        genes, else NaN), `obsm["X_cicl_input"]` (z-scores, float32, cells x selected genes), `uns["cicl"]`.

    Raises
    ------
    InputError
        When fewer than 10 cells or 2 genes have counts.
    """
    check_input_kind(input_kind)
    kept = drop_empty(adata)
    library = library_sizes(kept.X, input_kind)
    factors = size_factors(library)
    selection = {"n_genes": n_genes, "max_value": max_value, "gene_selection": gene_selection}
    kept.obsm["X_cicl_input"] = prepare_blocks(
        kept, lambda: blocks_of(kept.X, factors), library, np.empty, input_kind=input_kind, **selection
    )
    return kept


def prepare_blocks(
    kept: AnnData,
    blocks: Callable[[], Iterable[Block]],
    library: np.ndarray,
    new_array: Callable[[tuple[int, int], type], Any],
    *,
    input_kind: InputKind,
    n_genes: int,
    max_value: float | None,
    gene_selection: GeneSelection,
) -> Any:
    """Select genes and z-score them, a block of cells at a time, as `prepare` says; sets its columns of var and record.

    Parameters
    ----------
    kept
        obs, var and uns of the cells and genes with counts.
    blocks
        Begins a pass over the counts; two are made.
    library
        Library sizes, (cells,).
    new_array
        Makes the array, in memory or in a file, that takes the z-scores and is returned.
    """
    linear, as_log = moments(blocks(), input_kind)
    selected = np.arange(kept.n_vars)
    if kept.n_vars > n_genes:
        order = variable_genes(*(as_log if gene_selection == "cell_ranger" else linear), gene_selection)
        selected = np.sort(order[:n_genes])
    mean, std = as_log[0, selected], np.sqrt(as_log[1, selected])

    def scores_of(block: Block) -> tuple[int, np.ndarray]:
        first, factors, counts = block
        return first, z_score(normalise(counts[:, selected], factors, input_kind), mean, std, max_value)

    scores = new_array((kept.n_obs, len(selected)), np.float32)
    for first, found in map_in_order(scores_of, blocks()):
        scores[first : first + len(found)] = found
    record_genes(kept, selected, mean, std)
    Preparation.update(
        kept,
        input_kind=input_kind,
        n_genes=len(selected),
        gene_selection=gene_selection,
        max_value=max_value,
        size_factor_median=float(np.median(library)),
    )
    return scores


def drop_empty(adata: AnnData) -> AnnData:
    """Leave out cells and genes without counts, in a new AnnData; `uns["cicl"]` tells what was dropped.

    X is shared with `adata` where nothing is dropped.
    """
    counts = sparse.csr_matrix(adata.X)
    cells, genes = np.flatnonzero(counts.getnnz(axis=1)), np.flatnonzero(counts.getnnz(axis=0))
    counts = _without_empty(counts, cells, genes)
    kept = anndata.AnnData(counts, obs=adata.obs.iloc[cells].copy(), var=adata.var.iloc[genes].copy())
    record_dropped(adata, kept, cells)
    check_size(kept, dropped=" with counts")
    return kept


def record_dropped(adata: AnnData, kept: AnnData, cells: np.ndarray) -> None:
    """Tell in `uns["cicl"]` of `kept` what it lacks of `adata`, of which it has `cells`."""
    n_cells, n_genes = adata.n_obs - kept.n_obs, adata.n_vars - kept.n_vars
    kept.uns["cicl"] = dict(adata.uns.get("cicl", {}))
    Preparation.update(
        kept, n_cells_read=adata.n_obs, n_genes_read=adata.n_vars, n_cells_dropped=n_cells, n_genes_dropped=n_genes
    )
    if n_cells:
        first = np.setdiff1d(np.arange(adata.n_obs), cells)[0]
        add_warning(kept, f"{n_cells} cells without any counts were dropped (the first is '{adata.obs_names[first]}')")
    if n_genes:
        add_warning(kept, f"{n_genes} genes without any counts were dropped")


def _without_empty(counts: sparse.csr_matrix, cells: np.ndarray, genes: np.ndarray) -> sparse.csr_matrix:
    """Take `cells` and `genes` of `counts` where all others are empty: values are shared, only their places change."""
    if counts.shape == (len(cells), len(genes)):
        return counts
    ends = np.concatenate([[0], counts.indptr[1:][cells]]).astype(counts.indptr.dtype)
    places = counts.indices
    if len(genes) < counts.shape[1]:
        new_place = np.zeros(counts.shape[1], dtype=places.dtype)
        new_place[genes] = np.arange(len(genes))
        places = new_place[places]
    return sparse.csr_matrix((counts.data, places, ends), shape=(len(cells), len(genes)), copy=False)


def apply_preparation(
    adata: AnnData,
    genes: Sequence[str],
    mean: np.ndarray,
    std: np.ndarray,
    size_factor_median: float,
    *,
    input_kind: InputKind = "counts",
    max_value: float | None = None,
) -> np.ndarray:
    """Prepare new cells as those were that a model was fitted to.

    Parameters
    ----------
    adata
        New cells, as of `read.read_counts`. Their library sizes are sums over all genes of `adata`, so it should hold
        the whole count matrix.
    genes, mean, std, size_factor_median, max_value
        The model's selected genes with their statistics (`var_names`, `var["cicl_mean"]`, `var["cicl_std"]`), and what
        the `Preparation` of the fitted data says.

    Returns
    -------
    numpy.ndarray
        z-scores, (cells, genes) float32. A gene that `adata` has not counts 0 in every cell; its warnings tell so.

    Raises
    ------
    InputError
        When fewer than half of the genes are there; names the column of `adata.var` that holds them, if one does.
    """
    positions = _find_genes(adata, list(map(str, genes)))
    counts = sparse.csr_matrix(adata.X)
    factors = size_factors(library_sizes(counts, input_kind), size_factor_median)
    # A column without entries stands in for every gene that is missing.
    padded = sparse.csr_matrix((counts.data, counts.indices, counts.indptr), shape=(adata.n_obs, adata.n_vars + 1))
    log_values = normalise(padded[:, positions], factors, input_kind)
    return z_score(log_values, np.asarray(mean), np.asarray(std), max_value)


def _find_genes(adata: AnnData, genes: list[str]) -> np.ndarray:
    """Column of `adata` of each gene, -1 where it is missing."""
    positions = adata.var_names.get_indexer(genes)
    missing = int((positions < 0).sum())
    if len(genes) - missing >= MIN_SHARE_OF_GENES * len(genes):
        if missing:
            add_warning(
                adata, f"{missing} of the model's {len(genes)} genes are not in {source_name(adata)} and count as 0"
            )
        return positions
    columns = [
        c for c in NAME_COLUMNS if c in adata.var and adata.var[c].astype(str).isin(genes).sum() > len(genes) - missing
    ]
    remedy = (
        f"they are in var['{columns[0]}'], so make these the var_names"
        if columns
        else f"use the same gene names (the model has {genes[0]}, the file {adata.var_names[0]})"
    )
    raise InputError(
        f"{source_name(adata)} has {len(genes) - missing} of the {len(genes)} genes that the model uses, and at least "
        f"half are needed: {remedy}"
    )
