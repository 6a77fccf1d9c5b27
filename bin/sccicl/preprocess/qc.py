"""Quality control of cells: how much was counted, how much of it is mitochondrial, and what looks like two cells."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import anndata
import numpy as np
from anndata import AnnData
from scipy import sparse

from ..config import Doublets, InputKind
from ..errors import InputError
from ..io.gene_names import gene_symbols
from ..io.name_patterns import gene_part
from ..io.record import QualityControl
from ..io.validate import add_warning, check_size, source_name
from ..runtime.progress import log

# MT-ND1 (human), mt-Nd1 (mouse), mt:ND1 (fly), MT.ND1 (as R writes columns)
MITOCHONDRIAL = re.compile(r"^mt[-:.]", re.IGNORECASE)
# More than this share of the cells is not the odd damaged one.
MANY_REMOVED = 1 / 3
# Makes the median absolute deviation of normal values their standard deviation.
MAD_SCALE = 1.4826
# However even the cells are, fewer per cent of mitochondrial counts are no sign of damage.
LEAST_MITO_LIMIT = 5.0
MIN_CELLS_FOR_DOUBLETS = 100
# Among more cells doublets are searched for in random parts, each of about the cells of one library: with 20,000 genes
# it takes up to 4 GB.
MOST_CELLS_FOR_DOUBLETS = 8_000
HISTOGRAM_BINS = 50
SCORE_BINS = 256
LEAST_MODE = 0.05


@dataclass(frozen=True)
class Limits:
    """What a cell and a gene must have to be kept; with the defaults everything is.

    Attributes
    ----------
    min_counts, min_genes
        Counts and genes that a cell has at least.
    max_mito
        Per cent of a cell's counts that are of mitochondrial genes at most.
    nmads
        Where one of the three limits above is not given: deviations from the median, in median absolute deviations
        scaled as in scuttle's `isOutlier`. Of counts and genes the logarithm is taken, and only too low values are
        outliers; of the mitochondrial share only too high ones, and never below 5 per cent. Where the deviation is 0
        there is no limit.
    min_cells
        Cells that a gene is found in at least.
    doublets
        `mark` scores the cells with Scrublet and marks doublets, `remove` also removes them.
    """

    min_counts: int | None = None
    min_genes: int | None = None
    max_mito: float | None = None
    nmads: float | None = None
    min_cells: int | None = None
    doublets: Doublets = "off"

    def __post_init__(self) -> None:
        for name in ("min_counts", "min_genes", "max_mito", "nmads", "min_cells"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise InputError(f"--{name.replace('_', '-')} must be at least 0, not {value}")

    @property
    def active(self) -> bool:
        """Whether anything is looked at."""
        return self != Limits()


def quality_control(adata: AnnData, limits: Limits, *, input_kind: InputKind = "counts", seed: int = 0) -> AnnData:
    """Leave out cells and genes outside `limits`.

    Parameters
    ----------
    adata
        X (cells, genes), CSR, as of `read.read_counts`. It is not changed.
    input_kind
        Of other values than counts neither sums nor doublets mean anything, so these limits do not hold.

    Returns
    -------
    AnnData
        The cells that are kept, with `obs["cicl_qc_counts"]`, `["cicl_qc_genes"]`, `["cicl_qc_mito"]` (per cent; where
        mitochondrial genes are known), `["cicl_qc_doublet_score"]` and `["cicl_qc_doublet"]` (where doublets are looked
        for); `uns["cicl"]["qc"]` as docs/output.md describes it. `adata` itself where no limit is set.

    Raises
    ------
    InputError
        When fewer cells or genes are kept than can be clustered.
    """
    if not limits.active:
        return adata
    counts = sparse.csr_matrix(adata.X)
    values = measure(counts, mitochondrial(adata), input_kind)
    return select(adata, values, _InMemory(counts), limits, input_kind, seed)[0]


class _InMemory:
    """What `select` asks of counts; those in a file are in `prepare_backed`."""

    def __init__(self, counts: sparse.csr_matrix):
        self._counts = counts

    def parts(self, parts: Sequence[np.ndarray]) -> Iterator[sparse.csr_matrix]:
        """Counts of each set of cells."""
        return (self._counts[rows] for rows in parts)

    def cells_of_genes(self, kept: np.ndarray) -> np.ndarray:
        """How many of the `kept` cells, (cells,) bool, each gene is found in."""
        return self._counts[kept].getnnz(axis=0)


def select(
    adata: AnnData, values: dict[str, np.ndarray], counts: Any, limits: Limits, input_kind: InputKind, seed: int = 0
) -> tuple[AnnData, np.ndarray, np.ndarray]:
    """Cells and genes within `limits`, as `quality_control` says, by the `values` that `measure` found.

    Parameters
    ----------
    adata
        obs, var and uns, with or without X.
    counts
        Has the methods of `_InMemory`.

    Returns
    -------
    found, cells, genes
        What is kept of `adata`, and which cells and genes these are, bool.
    """
    values = dict(values)
    reasons, thresholds = failures(values, limits)
    kept = ~np.logical_or.reduce(list(reasons.values())) if reasons else np.ones(adata.n_obs, dtype=bool)
    notes, parts = [], None
    if limits.doublets != "off" and input_kind == "counts":
        parts = random_parts(np.flatnonzero(kept), seed)
        if len(parts) > 1:
            log(f"{source_name(adata)}: doublets are searched for in {len(parts)} random parts of the cells")
        score, limit, note = doublet_scores(counts, parts, seed)
        notes += [note] if note else []
        if score is not None:
            values["doublet_score"] = np.full(adata.n_obs, np.nan)
            values["doublet_score"][np.concatenate(parts)] = score
            is_doublet = values["doublet_score"] > limit
            values["doublet"] = is_doublet
            thresholds["doublet_score"] = limit
            if limits.doublets == "remove":
                reasons["doublets"] = is_doublet
                kept &= ~is_doublet
    if "mito" not in values and (limits.max_mito is not None or limits.nmads is not None) and input_kind == "counts":
        notes.append("no gene is named as a mitochondrial one (MT-...), so no cell was judged by these")
    genes = np.ones(adata.n_vars, dtype=bool)
    if limits.min_cells is not None:
        genes = counts.cells_of_genes(kept) >= limits.min_cells
        thresholds["min_cells"] = limits.min_cells
    found = adata[kept, genes].copy()
    for name, column in values.items():
        found.obs[f"cicl_qc_{name}"] = column[kept]
    record = _record(adata, values, reasons, thresholds, kept, genes)
    if "doublet" in values and len(parts) > 1:
        record = replace(record, doublet_parts=len(parts))
    record.put(found)
    told = f"{adata.n_obs - found.n_obs} of {adata.n_obs} cells were removed by the quality control"
    told += f" ({_told(record.removed, thresholds)})"
    log(f"{source_name(adata)}: {told}")
    if adata.n_obs - found.n_obs > MANY_REMOVED * adata.n_obs:
        notes.append(f"{told}, more than a third: check the limits, or leave them out")
    for note in notes:
        add_warning(found, f"{source_name(adata)}: {note}")
    check_size(found, dropped=" left by the quality control (change or omit its limits)")
    return found, kept, genes


def mitochondrial(adata: AnnData) -> np.ndarray:
    """Which genes are of the mitochondrion, by their names, (genes,) bool."""
    return np.array([bool(MITOCHONDRIAL.match(gene_part(name))) for name in gene_symbols(adata)])


def measure(counts: sparse.csr_matrix, is_mito: np.ndarray, input_kind: InputKind) -> dict[str, np.ndarray]:
    """`counts` and `mito` (per cent) of counts, and `genes` of any values, of every cell, (cells,) each."""
    values: dict[str, np.ndarray] = {"genes": counts.getnnz(axis=1).astype(np.int32)}
    if input_kind != "counts":
        return values
    total = np.asarray(counts.sum(1, dtype=np.float64)).ravel()
    values["counts"] = total.astype(np.int64)
    if is_mito.any():
        mito = np.asarray(counts[:, np.flatnonzero(is_mito)].sum(1, dtype=np.float64)).ravel()
        values["mito"] = np.divide(100 * mito, total, out=np.zeros(len(total)), where=total > 0)
    return values


def failures(values: dict[str, np.ndarray], limits: Limits) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Cells that fail each limit, (cells,) each, and the limits as they are used."""
    reasons, thresholds = {}, {}
    for name, given in (("counts", limits.min_counts), ("genes", limits.min_genes)):
        if name in values and (given is not None or limits.nmads is not None):
            limit = float(given) if given is not None else lower_limit(values[name], limits.nmads)
            if limit is None:
                continue
            thresholds[f"min_{name}"] = limit
            reasons[f"few_{name}"] = values[name] < limit
    if "mito" in values and (limits.max_mito is not None or limits.nmads is not None):
        limit = float(limits.max_mito) if limits.max_mito is not None else mito_limit(values["mito"], limits.nmads)
        if limit is not None:
            thresholds["max_mito"] = limit
            reasons["high_mito"] = values["mito"] > limit
    return reasons, thresholds


def median_and_deviation(values: np.ndarray) -> tuple[float, float]:
    """Median, and median absolute deviation scaled to the standard deviation of normal values."""
    median = float(np.median(values))
    return median, MAD_SCALE * float(np.median(np.abs(values - median)))


def lower_limit(values: np.ndarray, nmads: float) -> float | None:
    """`nmads` deviations below the median of the logarithms, as a value; None where the deviation is 0.

    More than half of the cells have the same value then, such as all genes of a small panel.
    """
    median, deviation = median_and_deviation(np.log1p(values))
    if deviation == 0:
        return None
    return float(np.expm1(max(0.0, median - nmads * deviation)))


def mito_limit(percent: np.ndarray, nmads: float) -> float | None:
    """`nmads` deviations above the median, at least 5 per cent; None where the deviation is 0."""
    median, deviation = median_and_deviation(percent)
    if deviation == 0:
        return None
    return max(LEAST_MITO_LIMIT, median + nmads * deviation)


def random_parts(cells: np.ndarray, seed: int) -> list[np.ndarray]:
    """`cells`, rows, in as few random parts of like size as have 8,000 at most each; a part is in order."""
    n_parts = -(-len(cells) // MOST_CELLS_FOR_DOUBLETS)
    if n_parts <= 1:
        return [cells]
    return [np.sort(part) for part in np.array_split(np.random.default_rng(seed).permutation(cells), n_parts)]


def doublet_scores(counts: Any, parts: Sequence[np.ndarray], seed: int) -> tuple[np.ndarray | None, float, str | None]:
    """Scrublet's score of every cell of the parts, the limit above which it is a doublet, and what to know about them.

    Each part is scored with doublets that are simulated from its cells. The limit is the minimum between the two modes
    of the scores of all simulated doublets (Wolock et al. 2019, doi:10.1016/j.cels.2018.11.005); where there is one
    mode, or less than 5 % in the other, no cell is a doublet. The scores are None for fewer than 100 cells.
    """
    n_cells = sum(map(len, parts))
    if n_cells < MIN_CELLS_FOR_DOUBLETS:
        return None, np.inf, f"doublets were not searched for among {n_cells} cells: too few to simulate them"
    scores, simulated = [], []
    try:
        for part in counts.parts(parts):
            for found, more in zip((scores, simulated), _scrublet(part, seed), strict=True):
                found.append(more)
    except (ValueError, ZeroDivisionError) as error:
        return None, np.inf, f"doublets could not be searched for ({str(error).splitlines()[0]})"
    limit = valley(np.concatenate(simulated))
    note = None
    if limit is None:
        note = "the scores of simulated doublets have one mode, so no threshold was found and no doublet was marked"
    return np.concatenate(scores), np.inf if limit is None else limit, note


def _scrublet(counts: sparse.csr_matrix, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores of the cells, and of the doublets that are simulated from them."""
    import scanpy as sc

    found = anndata.AnnData(sparse.csr_matrix(counts, dtype=np.float32))
    components = min(30, counts.shape[0] - 1, max(2, int((counts.getnnz(axis=0) >= 3).sum() * 0.15) - 1))
    # A threshold is given so that scanpy does not look for one, for which it would need scikit-image. The exact search
    # for neighbours of so many points is done in less time than the approximate one is compiled in.
    # With that threshold no cell is a doublet, so scanpy divides zero by zero for a rate that nobody reads.
    with np.errstate(invalid="ignore"):
        sc.pp.scrublet(
            found, threshold=1.0, n_prin_comps=components, use_approx_neighbors=False, random_state=seed, verbose=False
        )
    scores = found.obs["doublet_score"].to_numpy(dtype=np.float64)
    return scores, np.asarray(found.uns["scrublet"]["doublet_scores_sim"])


def valley(scores: np.ndarray) -> float | None:
    """Lowest point between the two modes of a histogram that is smoothed until it has two; None if there are not two.

    Prewitt & Mendelsohn (1966), doi:10.1111/j.1749-6632.1965.tb11715.x.
    """
    from scipy import ndimage, signal  # a second, for samples whose doublets are looked for

    heights, edges = np.histogram(scores, bins=SCORE_BINS)
    centres, smooth = (edges[1:] + edges[:-1]) / 2, heights.astype(float)
    for _ in range(10_000):
        smooth = ndimage.uniform_filter1d(smooth, 3)
        modes = signal.find_peaks(np.concatenate([[-1.0], smooth, [-1.0]]))[0] - 1
        if len(modes) <= 2:
            break
    if len(modes) != 2:
        return None
    first, second = modes
    lowest = float(centres[first + int(np.argmin(smooth[first : second + 1]))])
    # A handful of scores beyond all others is no mode.
    return lowest if (scores > lowest).mean() >= LEAST_MODE else None


def _told(removed: dict[str, int], thresholds: dict[str, float]) -> str:
    """How many cells each limit took, and the limits."""
    limits = {
        "few_counts": "min_counts",
        "few_genes": "min_genes",
        "high_mito": "max_mito",
        "doublets": "doublet_score",
    }
    named = {
        "few_counts": "counts below",
        "few_genes": "genes below",
        "high_mito": "mitochondrial per cent above",
        "doublets": "doublet score above",
    }
    values = {reason: thresholds[limits[reason]] for reason in removed}
    parts = [
        f"{number} with {named[reason]} {values[reason]:{'.4g' if values[reason] < 1000 else '.0f'}}"
        for reason, number in removed.items()
    ]
    return ", ".join(parts) or "no limit holds"


def _record(
    adata: AnnData,
    values: dict[str, np.ndarray],
    reasons: dict[str, np.ndarray],
    thresholds: dict[str, float],
    kept: np.ndarray,
    genes: np.ndarray,
) -> QualityControl:
    """The record; a cell that fails several limits counts for the first of them."""
    removed, before = {}, np.zeros(adata.n_obs, dtype=bool)
    for reason, fails in reasons.items():
        removed[reason] = int((fails & ~before).sum())
        before |= fails
    histograms = {}
    for name, column in values.items():
        if name == "doublet":
            continue
        judged = np.isfinite(column)
        edges = _edges(column[judged], logarithmic=name in ("counts", "genes"))
        histograms[name] = {
            "edges": edges,
            "all": np.histogram(column[judged], edges)[0],
            "kept": np.histogram(column[judged & kept], edges)[0],
        }
    return QualityControl(
        cells_in=adata.n_obs,
        cells_out=int(kept.sum()),
        genes_in=adata.n_vars,
        genes_out=int(genes.sum()),
        removed=removed,
        thresholds={name: float(value) for name, value in thresholds.items() if np.isfinite(value)},
        histograms=histograms,
        doublets=int(values["doublet"].sum()) if "doublet" in values else None,
    )


def _edges(values: np.ndarray, *, logarithmic: bool) -> np.ndarray:
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    if logarithmic:
        low = max(low, 1.0)
        edges = np.geomspace(low, max(high, low + 1), HISTOGRAM_BINS + 1)
        edges[0] = min(float(values.min()) if len(values) else 0.0, low)
    else:
        edges = np.linspace(min(low, 0.0), high if high > low else low + 1, HISTOGRAM_BINS + 1)
    # The ends are those of the values, rounded or not.
    edges[-1] = max(edges[-1], high)
    return edges
