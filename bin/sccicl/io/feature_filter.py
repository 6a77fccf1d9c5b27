"""What among the features is no gene, and what among the cells is no cell: one filter for all formats."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..errors import InputError
from .name_patterns import GENOME
from .validate import add_warning, quoted

if TYPE_CHECKING:
    from anndata import AnnData


GENE_EXPRESSION = "Gene Expression"
TYPE_COLUMNS = ("feature_types", "feature_type", "type", "modality")
OTHER_TYPES = {
    "antibody capture", "crispr guide capture", "multiplexing capture", "custom", "peaks", "antigen capture",
    "vdj capture", "vdj-t", "vdj-b", "protein", "adt", "hto", "hashtag", "atac",
}  # fmt: skip
# Types of features that other tools call so
GENE_TYPES = {"gene expression", "gene_expression", "rna", "gex", "genes", "gene"}


def _any(*patterns: str) -> re.Pattern:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE)


READ_COUNTER = _any(
    r"__\w+", r"N_(?:unmapped|multimapping|noFeature|ambiguous)", r"Unassigned_\w+", r"\*", "unmapped",
    "_?_?(?:no_feature|too_low_aQual|not_aligned|alignment_not_unique)",
)  # fmt: skip
SPIKE_IN = _any(
    r"(?:\w+[_-])?ERCC[-_.]\d{5}", r"g?Spike-?in[\w.-]*", r"SIRV\w*", r"R[12]_\d+_\d", "phix.*", r"RNA_SPIKE.*"
)
TAG = _any(
    r".+[_.-]TotalSeq[-_ ]?[ABCD]?\d*",
    r"(?:ADT|HTO|CITE|AbSeq|Hashtag|prot|protein|ab)[_.:-].+",
    r".+[_.-](?:ADT|HTO|pAbO|protein)",
    r"(?:HTO|Hash-?tag|CMO|BC-?tag|SampleTag|MULTI-?seq)[_ -]?\d+\w*",
    r".+-[ACGT]{12,}",
    r".+:.+\|.+\|pAbO",
    r"anti-?(?:human|mouse)[ _-].+",
)
PEAK = re.compile(r"(?:chr|GL|KI|JH)?[\dXYMTa-z.]{1,12}[:_-]\d{2,}[-_]\d{2,}", re.IGNORECASE)
PROBE = re.compile(r"(?:DEPRECATED_)?ENS\w+\|[^|]+\|[0-9a-f]{7}")
# What describes a gene or a place on the genome, such as featureCounts' columns
OF_GENES = (
    r"chr|chrom|chromosome|start|end|strand|length|width|(?:gene|exon|effective)_?length|(?:gene_?)?biotype|description"
)
METADATA = _any(
    r"n?_?(?:counts?|umis?|reads?|genes?|features?|cells?)_(?:RNA|SCT|ADT|by_counts|total|detected|per_cell)",
    r"n_?(?:counts?|umis?|reads?|genes?|features?)",
    r"n(?:Count|Feature|Gene|UMI)(?:_\w+)?",
    r"(?:log1p_|log10_?)?(?:total_|n_genes_by_)counts(?:_\w+)?",
    r"(?:percent|pct|frac|fraction|perc)(?:[._ ].+|-\D.*)?",  # pct-1 is a gene of worms
    r".*(?:[._ -]|^)(?:clusters?|cell[._ -]?types?|louvain|leiden|batch|barcodes?|orig[._]ident|annotation|doublets?|"
    r"doublet[._]score|(?:donor|patient|library|sample)(?:[._]?id)?)(?:[._ -]?[\d.]+)?",
    r"\w+_snn_res[.\d]+",
    r"(?:umap|t-?sne|pca?|fdl|phate|x|y)[_-]\d{1,3}|(?:umap|tsne)\d",
    r"(?:S|G2M|G1)[._]Score|phase|cell_?cycle",
    r"predicted[._].+",
    r"tumou?r|condition|treatment|group|gender|sex|age|tissue|organ|plate|well|genotype|labels?|timepoint|stage|species",
    r".*\([^()]*=[^()]*\).*",
    r"Unnamed: ?\d+",
    OF_GENES,
)
SUMS = r"(?:row|col|column)?[._ -]?(?:sums?|totals?|means?|averages?|medians?)|grand total"
SUMMARY = _any(SUMS, "std|variance")
# Columns of a table of genes that are no cells
NOT_A_CELL = _any(
    OF_GENES,
    SUMS,
    r"entrez(?:_?id)?|n_?cells(?:_by_counts)?|highly_variable|dispersions?(?:_norm)?|baseMean|log2FoldChange|pvalue|padj",
    r"Unnamed: ?\d+|unmapped|unassigned|undetermined",
)
KINDS = (
    ("read counter", READ_COUNTER),
    ("spike-in", SPIKE_IN),
    ("antibody or hash tag", TAG),
    ("column of metadata", METADATA),
    ("sum or mean", SUMMARY),
)
ANY_KIND = re.compile("|".join(pattern.pattern for _, pattern in KINDS), re.IGNORECASE)
# Of a genome, fewer of the genes are additions such as GFP.
LEAST_SHARE_OF_GENOME = 0.01


@dataclass
class Features:
    """Which features are genes, (features,) bool, how many there are of each other kind, and what to tell."""

    is_gene: np.ndarray
    others: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def find_genes(var: pd.DataFrame, name: str) -> Features:
    """Find the genes among the features of `var`, by their types and names.

    Raises
    ------
    InputError
        When none is a gene, or they are probes or peaks.
    """
    names = var.index.astype(str)
    found = Features(_of_type(var, name))
    left = var.loc[found.is_gene] if not found.is_gene.all() else var
    if not found.is_gene.all():
        column = type_column(var)
        kinds = var.loc[~found.is_gene, column].astype(str).value_counts()
        counted = ", ".join(f"{number} {kind}" for kind, number in kinds.items())
        found.notes.append(f"{name}: only '{GENE_EXPRESSION}' features are used, {counted} left out")
    _refuse_probes_and_peaks(left.index.astype(str), name)
    kinds_found = _kinds(names, var)
    for kind, members in kinds_found.items():
        members = members & found.is_gene
        if members.any():
            found.others[kind] = list(names[members])
            found.is_gene &= ~members
    if not found.is_gene.any():
        kinds = " and ".join(f"{len(members)} {_plural(kind, len(members))}" for kind, members in found.others.items())
        raise InputError(f"{name} holds no genes, but {kinds}: give the matrix of gene counts")
    if found.others:
        told = ", ".join(f"{len(m)} {_plural(kind, len(m))} ({quoted(m, 3)})" for kind, m in found.others.items())
        number = sum(map(len, found.others.values()))
        found.notes.append(f"{name}: {number} of {len(names)} features are no genes and are left out: {told}")
    found.notes += _genomes(var.loc[found.is_gene], name)
    return found


def _plural(kind: str, n: int) -> str:
    if n == 1:
        return kind
    return {"column of metadata": "columns of metadata", "sum or mean": "sums or means"}.get(kind, f"{kind}s")


def type_column(var: pd.DataFrame) -> str | None:
    """The column of `var` with types of features, if there is one."""
    for column in TYPE_COLUMNS:
        if column in var:
            values = set(var[column].astype(str).str.strip().str.lower())
            if values & (GENE_TYPES | OTHER_TYPES):
                return column
    return None


def _of_type(var: pd.DataFrame, name: str) -> np.ndarray:
    column = type_column(var)
    if column is None:
        return np.ones(len(var), dtype=bool)
    kinds = var[column].astype(str).str.strip().str.lower()
    is_gene = kinds.isin(GENE_TYPES).to_numpy()
    if not is_gene.any():
        raise InputError(
            f"{name} has no features of type '{GENE_EXPRESSION}' (but {quoted(var[column].astype(str).unique())}): "
            "give a matrix of gene counts"
        )
    return is_gene


def _refuse_probes_and_peaks(names: Sequence[str], name: str) -> None:
    some = list(names[:: max(1, len(names) // 2000)])
    for pattern, what, remedy in (
        (PROBE, "probes", "give the filtered_feature_bc_matrix or sample_filtered_feature_bc_matrix, which has genes"),
        (PEAK, "peaks of open chromatin", "give the matrix of gene counts of the same cells"),
    ):
        matching = [one for one in some if pattern.fullmatch(one)]
        if len(matching) > 0.5 * max(1, len(some)):
            raise InputError(f"{name} holds {what}, not genes (such as '{matching[0]}'): {remedy}")


def _kinds(names: pd.Index, var: pd.DataFrame) -> dict[str, np.ndarray]:
    """Of each kind of no gene, which features are such, (features,)."""
    found: dict[str, np.ndarray] = {}
    for texts in (names, *(var[column].astype(str) for column in ("gene_symbols",) if column in var)):
        for place, text in enumerate(map(str.strip, map(str, texts))):
            if ANY_KIND.fullmatch(text):
                kind = next(kind for kind, pattern in KINDS if pattern.fullmatch(text))
                found.setdefault(kind, np.zeros(len(names), dtype=bool))[place] = True
    return found


def _genomes(var: pd.DataFrame, name: str) -> list[str]:
    if "genome" in var:
        labels = var["genome"].astype(str).replace("", np.nan).dropna()
    else:
        labels = pd.Series([m[1] for m in map(GENOME.match, var.index.astype(str)) if m], dtype=object)
    sizes = labels.value_counts()
    sizes = sizes[sizes >= max(2, LEAST_SHARE_OF_GENOME * len(var))]
    if len(sizes) < 2:
        return []
    told = ", ".join(f"{number} of '{genome}'" for genome, number in sizes.items())
    return [
        f"{name} holds genes of {len(sizes)} genomes ({told}): cells of two species fall into clusters by species; to "
        "cluster one, give its cells and genes alone"
    ]


def not_cells(names: Sequence[str]) -> np.ndarray:
    """Which names of cells are those of sums or of columns that describe genes, (cells,)."""
    return np.fromiter((NOT_A_CELL.fullmatch(str(name).strip()) is not None for name in names), bool, len(names))


def without_other_features(adata: "AnnData", name: str) -> "AnnData":
    """`adata` with genes as features and cells as cells; its warnings count what is left out."""
    found = find_genes(adata.var, name)
    cells = ~not_cells(adata.obs_names)
    cells, summed = _without_sums(adata, cells, found.is_gene)
    left_out = [*adata.obs_names[~cells]]
    if left_out:
        found.notes.append(
            f"{name}: {len(left_out)} of {adata.n_obs} columns are no cells and are left out: {quoted(left_out)}"
        )
    found.notes += summed
    if not (found.is_gene.all() and cells.all()):
        adata = adata[cells, found.is_gene].copy()
    for note in found.notes:
        add_warning(adata, note)
    return adata


def _without_sums(adata: "AnnData", cells: np.ndarray, genes: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Leave out also a feature that is the sum of all others in every cell, and a cell that is that of all cells."""
    matrix = adata.X
    notes: list[str] = []
    if not np.isfinite(matrix.data).all() or min(matrix.shape) < 4:
        return cells, notes
    for axis, keep, names, what in ((0, genes, adata.var_names, "feature"), (1, cells, adata.obs_names, "cell")):
        sums = np.asarray(matrix.sum(axis, dtype=np.float64)).ravel()
        if not sums.any():
            continue
        place = int(np.argmax(np.where(keep, sums, -np.inf)))
        if not np.isclose(2 * sums[place], sums[keep].sum(), rtol=1e-9):
            continue
        one = np.asarray((matrix[:, [place]] if axis == 0 else matrix[[place]]).todense()).ravel()
        rest = keep.copy()
        rest[place] = False
        others = np.asarray((matrix[:, rest].sum(1) if axis == 0 else matrix[rest].sum(0)), dtype=np.float64).ravel()
        if np.allclose(one, others):
            keep[place] = False
            notes.append(f"the {what} '{names[place]}' is the sum of all others and is left out")
    return cells, notes
