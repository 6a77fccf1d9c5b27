"""Which barcodes are cells: by their number of molecules, and by a profile that is not the ambient one (EmptyDrops)."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import sparse
from scipy.special import gammaln
from scipy.stats import false_discovery_control

from ..errors import InputError
from ..io.validate import add_warning, source_name

if TYPE_CHECKING:
    from anndata import AnnData


EXPECTED_CELLS = 3000
# Barcodes with no more UMIs than this are taken to be empty, as by default in DropletUtils.
AMBIENT_UMIS = 100
FDR = 0.01
DRAWS = 10_000
MAX_CANDIDATES = 20_000
# With fewer molecules the ambient profile says nothing.
MIN_AMBIENT_MOLECULES = 1000
ROUNDING = 1e-8
RANK_POINTS = 200


class Calls(NamedTuple):
    """`by_size` and `by_profile` tell what made a barcode a cell, (barcodes,) each; no barcode has both.

    `threshold` is the number of UMIs from which on size alone is enough. `fdr` holds the false discovery rate of each
    barcode that was tested against the ambient profile, else NaN; `ambient` is the number of barcodes that made it.
    """

    by_size: np.ndarray
    by_profile: np.ndarray
    threshold: float
    fdr: np.ndarray
    ambient: int


def call_cells(
    counts: sparse.csr_matrix,
    *,
    expected_cells: int = EXPECTED_CELLS,
    ambient_umis: int = AMBIENT_UMIS,
    fdr: float = FDR,
    draws: int = DRAWS,
    seed: int = 0,
) -> Calls:
    """Tell cells from empty droplets.

    A barcode is a cell if it has at least a tenth of the UMIs of a robust maximum, the 99th percentile of the
    `expected_cells` biggest barcodes (the first step of Cell Ranger); or else if it has more than `ambient_umis` UMIs
    and they were not drawn from the ambient profile: a Monte Carlo test of the multinomial likelihood, at a false
    discovery rate of `fdr` (EmptyDrops, Lun et al. 2019, doi:10.1186/s13059-019-1662-y).

    Parameters
    ----------
    counts
        UMIs of all barcodes, (barcodes, genes); barcodes without any may be missing.
    draws
        Simulations of the Monte Carlo test.

    Raises
    ------
    InputError
        When no barcode has any UMI.
    """
    totals = np.asarray(counts.sum(1)).ravel().astype(np.int64)
    if not totals.any():
        raise InputError("no barcode has any count: the reads match no gene, so check the genome and the annotation")
    threshold = size_threshold(totals, expected_cells)
    by_size = totals >= threshold
    by_profile = np.zeros(len(totals), dtype=bool)
    rates = np.full(len(totals), np.nan)
    is_ambient = (totals <= ambient_umis) & ~by_size
    soup = np.asarray(counts[np.flatnonzero(is_ambient)].sum(0)).ravel()
    candidates = np.flatnonzero((totals > ambient_umis) & ~by_size)
    if len(candidates) and soup.sum() >= MIN_AMBIENT_MOLECULES:
        candidates = candidates[np.argsort(-totals[candidates], kind="stable")][:MAX_CANDIDATES]
        detected = np.flatnonzero(np.asarray(counts.sum(0)).ravel() > 0)
        p = ambient_p_values(counts[candidates][:, detected], good_turing(soup[detected]), draws=draws, seed=seed)
        rates[candidates] = benjamini_hochberg(p)
        by_profile[candidates] = rates[candidates] <= fdr
    return Calls(by_size, by_profile, threshold, rates, int(is_ambient.sum()))


def size_threshold(totals: np.ndarray, expected_cells: int) -> float:
    """A tenth of the 99th percentile of the `expected_cells` biggest totals; at least 1."""
    biggest = np.sort(totals[totals > 0])[::-1][:expected_cells]
    rank = min(len(biggest) - 1, round(0.01 * expected_cells))
    return max(1.0, float(biggest[rank]) / 10)


def good_turing(counts: np.ndarray) -> np.ndarray:
    """Proportions of genes, (genes,), that leave something for those not seen: simple Good-Turing.

    Gale & Sampson (1995), doi:10.1080/09296179508590051: frequencies of frequencies are smoothed by a line through
    their logarithms, and the probability of all unseen genes, N1 / N, is shared among them equally.
    """
    counts = np.asarray(counts, dtype=np.float64)
    total = counts.sum()
    if not (counts == 0).any():
        return counts / total
    seen, frequency = np.unique(counts[counts > 0], return_counts=True)
    # A frequency is averaged over the gap to its neighbours, for most high counts occur once or never.
    before = np.concatenate([[0.0], seen[:-1]])
    after = np.concatenate([seen[1:], [2 * seen[-1] - before[-1]]])
    slope = np.polyfit(np.log(seen), np.log(2 * frequency / (after - before)), 1)[0] if len(seen) > 1 else -2.0
    smoothed = seen * (1 + 1 / seen) ** (1 + min(slope, -1.0))
    following = dict(zip(seen, frequency, strict=True))
    adjusted, use_turing = smoothed.copy(), True
    for i, (r, n) in enumerate(zip(seen, frequency, strict=True)):
        n_next = following.get(r + 1, 0)
        turing = (r + 1) * n_next / n
        deviation = np.sqrt((r + 1) ** 2 * n_next / n**2 * (1 + n_next / n))
        use_turing = use_turing and n_next > 0 and abs(turing - smoothed[i]) > 1.65 * deviation
        if not use_turing:
            break
        adjusted[i] = turing
    unseen = min(following.get(1.0, 1) / total, 0.5)
    share = (1 - unseen) * adjusted / (adjusted * frequency).sum()
    result = np.full(len(counts), unseen / (counts == 0).sum())
    result[counts > 0] = share[np.searchsorted(seen, counts[counts > 0])]
    return result


def ambient_p_values(
    counts: sparse.csr_matrix, profile: np.ndarray, *, draws: int = DRAWS, seed: int = 0
) -> np.ndarray:
    """Monte Carlo p-value of every barcode, (barcodes,): its UMIs were drawn from the ambient `profile`.

    The statistic is the multinomial log-likelihood. One simulation draws genes one by one, so that its likelihood is
    known for every number of UMIs on the way.
    """
    rng = np.random.default_rng(seed)
    log_profile = np.log(profile)
    totals = np.asarray(counts.sum(1)).ravel().astype(np.int64)
    entries = counts.multiply(log_profile).tocsr()
    rows = np.repeat(np.arange(len(totals)), np.diff(counts.indptr))
    factorials = np.bincount(rows, gammaln(counts.data + 1), len(totals))
    observed = gammaln(totals + 1) - factorials + np.asarray(entries.sum(1)).ravel()
    longest = int(totals.max())
    log_numbers = np.log(np.arange(1, longest + 1))
    cumulative = np.cumsum(profile)
    cumulative[-1] = 1.0
    lower = np.zeros(len(totals))
    for _ in range(draws):
        genes = np.searchsorted(cumulative, rng.random(longest), side="right")
        occurrence = _running_count(genes)
        likelihood = np.cumsum(log_numbers - log_numbers[occurrence] + log_profile[genes])
        # Equal counts have equal likelihoods, but for rounding.
        lower += likelihood[totals - 1] <= observed + ROUNDING
    return (lower + 1) / (draws + 1)


def _running_count(values: np.ndarray) -> np.ndarray:
    """How often each value occurred before, (values,)."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    length = np.diff(np.concatenate([first, [len(values)]]))
    result = np.empty(len(values), dtype=np.int64)
    result[order] = np.arange(len(values)) - np.repeat(first, length)
    return result


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """False discovery rates of p-values, (tests,), by Benjamini & Hochberg (1995)."""
    return false_discovery_control(p, method="bh")


def keep_cells(adata: "AnnData", *, expected_cells: int | None = None, seed: int = 0) -> "AnnData":
    """Keep the barcodes of `adata` that are cells; `uns["cicl"]["cells"]` tells how they were found.

    `obs["cicl_cell_fdr"]` is NaN for cells by size. The record has the numbers of barcodes, cells, `by_size` and
    `by_profile`, the `threshold` of the size, the `ambient_barcodes` and the curve of barcode ranks (`rank`, `umis`).

    Raises
    ------
    InputError
        When no barcode has any UMI.
    """
    totals = np.asarray(adata.X.sum(1)).ravel()
    adata = adata[totals > 0].copy()
    calls = call_cells(adata.X, expected_cells=expected_cells or EXPECTED_CELLS, seed=seed)
    is_cell = calls.by_size | calls.by_profile
    umis = np.sort(totals[totals > 0])[::-1].astype(np.int64)
    rank = np.unique(np.geomspace(1, max(1, len(umis)), RANK_POINTS).round().astype(int))
    record: dict[str, Any] = {
        "barcodes": len(umis),
        "cells": int(is_cell.sum()),
        "by_size": int(calls.by_size.sum()),
        "by_profile": int(calls.by_profile.sum()),
        "expected_cells": expected_cells or EXPECTED_CELLS,
        "threshold": calls.threshold,
        "ambient_barcodes": calls.ambient,
        "umis_in_cells": float(adata.X[is_cell].sum() / max(1.0, umis.sum())),
        "median_umis": float(np.median(totals[totals > 0][is_cell])),
        "rank": rank,
        "umis": umis[rank - 1],
    }
    adata.obs["cicl_cell_fdr"] = calls.fdr
    cells = adata[is_cell].copy()
    cells.uns["cicl"] = {**adata.uns.get("cicl", {}), "cells": record}
    if calls.ambient == 0:
        add_warning(
            cells,
            f"{source_name(adata)} holds no barcodes with {AMBIENT_UMIS} or fewer UMIs, so nothing shows what empty "
            "droplets look like: its cells were called by size alone",
        )
    return cells
