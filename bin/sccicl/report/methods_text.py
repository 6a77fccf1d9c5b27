"""The paragraph for a paper's methods section, written from what was run."""

import math
from dataclasses import fields, replace
from typing import TypeVar

from ..io.record import Markers, Parameters, Preparation
from .qc_section import WHOLE
from .sample import ClusteredSample

CICL = (
    "Jiang W, Wang J, Guan J, Zhou S. scRNA-seq data clustering by cluster-aware iterative contrastive learning. "
    "arXiv 2312.16600 (2023)."
)
UMAP = (
    "McInnes L, Healy J, Melville J. UMAP: uniform manifold approximation and projection for dimension reduction. "
    "arXiv 1802.03426 (2018)."
)
WARD = (
    "Ward JH. Hierarchical grouping to optimize an objective function. "
    "Journal of the American Statistical Association 58, 236-244 (1963)."
)
KHOSLA = (
    "Khosla P, Teterwak P, Wang C, et al. Supervised contrastive learning. "
    "Advances in Neural Information Processing Systems 33 (2020)."
)
FRIEDMAN = (
    "Friedman HP, Rubin J. On some invariant criteria for grouping data. "
    "Journal of the American Statistical Association 62, 1159-1178 (1967)."
)
WOLOCK = (
    "Wolock SL, Lopez R, Klein AM. Scrublet: computational identification of cell doublets in single-cell "
    "transcriptomic data. Cell Systems 8, 281-291 (2019)."
)
HAGHVERDI = (
    "Haghverdi L, Lun ATL, Morgan MD, Marioni JC. Batch effects in single-cell RNA-sequencing data are corrected by "
    "matching mutual nearest neighbors. Nature Biotechnology 36, 421-427 (2018)."
)
TRAAG = (
    "Traag VA, Waltman L, van Eck NJ. From Louvain to Leiden: guaranteeing well-connected communities. "
    "Scientific Reports 9, 5233 (2019)."
)
CELLTYPIST = (
    "Dominguez Conde C, Xu C, Jarvis LB, et al. Cross-tissue immune cell analysis reveals tissue-specific features in "
    "humans. Science 376, eabl5197 (2022)."
)
LIBRARIES = {"torch": "PyTorch", "scanpy": "scanpy", "scikit-learn": "scikit-learn"}
TSNE = (
    "van der Maaten L, Hinton G. Visualizing data using t-SNE. "
    "Journal of Machine Learning Research 9, 2579-2605 (2008)."
)

# Limits of the quality control: with a value that all samples share, and without
CELL_LIMITS = {
    "min_counts": ("fewer than {:,} counts", "few counts"),
    "min_genes": ("fewer than {:,} genes", "few genes"),
    "max_mito": ("more than {:.3g}% mitochondrial counts", "a high share of mitochondrial counts"),
}
GENE_LIMITS = {"min_cells": ("fewer than {:,} cells", "few cells")}

Section = TypeVar("Section", Parameters, Preparation, Markers)


def methods_text(results: list[ClusteredSample]) -> str:
    """Methods of a run in a few sentences; numbers in which the samples differ are left to the table of parameters."""
    if not results:
        return ""
    params, prepare = (_shared([getattr(r.record, name) for r in results]) for name in ("parameters", "preparation"))
    sentences = [
        _software(results),
        _quality(results),
        _preparation(results, params, prepare),
        _views(params),
        _pseudo_labels(params),
        _training(results, params),
        _clusters(results, params),
        _scores(results),
        _markers(results, prepare),
        _annotation(results),
        _layouts(results),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def references(results: list[ClusteredSample]) -> list[str]:
    """Works to cite for what the report shows."""
    text = methods_text(results)
    cited = {
        "Wolock et al.": WOLOCK,
        "Haghverdi et al.": HAGHVERDI,
        "Ward 1963": WARD,
        "Friedman and Rubin": FRIEDMAN,
        "Khosla et al.": KHOSLA,
        "Traag et al.": TRAAG,
        "McInnes": UMAP,
        "Maaten": TSNE,
        "Dominguez Conde et al.": CELLTYPIST,
    }
    return [CICL, *(work for authors, work in cited.items() if authors in text)]


def _shared(records: list[Section]) -> Section:
    """The record of all; a field is None where they differ."""
    first, *others = records
    differ = [item.name for item in fields(first) if len({str(getattr(r, item.name)) for r in (first, *others)}) > 1]
    return replace(first, **dict.fromkeys(differ))


def _software(results: list[ClusteredSample]) -> str:
    first, *others = [r.metrics.get("versions") or r.record.versions for r in results]
    versions = {name: version for name, version in first.items() if all(o.get(name) == version for o in others)}
    version = f", version {versions['cicl']}" if "cicl" in versions else ""
    tools = [f"{name} {versions[key]}" for key, name in LIBRARIES.items() if key in versions]
    return (
        f"Cells were clustered by the method of Jiang et al. (2023) with CICL for Nextflow{version}"
        f"{f', using {_list(tools)}' if tools else ''}."
    )


def _quality(results: list[ClusteredSample]) -> str:
    """Limits of the quality control, with their values where all samples have the same, and the doublets."""
    found = [result.qc for result in results if result.qc is not None]
    limits: dict[str, set[float]] = {}
    for qc in found:
        for name, value in qc.thresholds.items():
            limits.setdefault(str(name), set()).add(math.ceil(value) if name in WHOLE else float(value))
    sentences = []
    for what, names in (("Cells with {}", CELL_LIMITS), ("Genes in {}", GENE_LIMITS)):
        texts = []
        for name, (exact, vague) in names.items():
            if name in limits:
                same = len(limits[name]) == 1 and all(name in qc.thresholds for qc in found)
                texts.append(exact.format(min(limits[name])) if same and len(found) == len(results) else vague)
        if texts:
            sentences.append(f"{what.format(_list(texts, 'or'))} were removed.")
    if any(qc.doublets is not None for qc in found):
        done = "removed" if any("doublets" in qc.removed for qc in found) else "marked"
        sentences.append(f"Doublets were detected by Scrublet (Wolock et al. 2019) and {done}.")
    return " ".join(sentences)


def _preparation(results: list[ClusteredSample], params: Parameters, prepare: Preparation) -> str:
    n_genes = params.n_genes if prepare.n_genes is None else prepare.n_genes
    genes = f"the {int(n_genes):,} most variable genes" if n_genes is not None else "the most variable genes"
    takes_all = n_genes is not None and all(int(n_genes) >= result.n_genes for result in results)
    scaled = {
        "log": "Log-normalised values were taken as given",
        "normalised": "Normalised values were scaled to the same sum in every cell and log-transformed",
    }.get(
        prepare.input_kind,
        "Counts were divided by each cell's size factor (its library size over the median library size) and "
        "log-transformed",
    )
    whose = {"seurat": " (by Seurat's dispersion)", "cell_ranger": " (by Cell Ranger's dispersion)"}
    selected = whose.get(prepare.gene_selection, "")
    clipped = "" if prepare.max_value is None else f", clipped at {prepare.max_value:g} standard deviations"
    genes = "all genes" if takes_all else f"{genes}{selected}"
    if prepare.integrate:
        return (
            f"{scaled}, {genes} were kept, ranked within the batches, and every gene was scaled to mean 0 and "
            f"variance 1 within each batch{clipped}. Shifts between batches, estimated from mutual nearest neighbours "
            "(Haghverdi et al. 2018), were removed from the leading principal components."
        )
    return f"{scaled}, {genes} were kept, and every gene was scaled to mean 0 and variance 1{clipped}."


def _views(params: Parameters) -> str:
    made = {
        "mask": "setting a random {mask_fraction:.0%} of its genes to their mean",
        "noise": "adding Gaussian noise with standard deviation {noise_sd:g} to {noise_fraction:.0%} of its genes",
        "unit-noise": "adding Gaussian noise mapped to [0, 1]",
    }.get(params.view or "")
    if made is None:
        return ""
    try:
        how = made.format_map(params.to_uns())
    except KeyError:
        return ""
    partner = f", the second one from a random one of its {params.neighbours} nearest neighbours"
    partner = partner if params.neighbours else ""
    return f"Two views of every cell were made by {how}{partner}."


def _pseudo_labels(params: Parameters) -> str:
    return {
        "minibatch": "Pseudo-labels were those of K-means of each minibatch in the embedding.",
        "ensemble": (
            "Principal components of variable genes in four scalings (z-scores, values divided by the root of the "
            "standard deviation, logarithms, and Freeman-Tukey values) were joined, and each cell was moved towards "
            "its neighbours in a graph of shared nearest neighbours of all four. The cells were clustered by linkage "
            "between centroid and Ward linkage (Ward 1963), by Ward linkage along a neighbour graph, and by Leiden "
            "communities (Traag et al. 2019) of two graphs, each with all scalings and with one of them left out. Of "
            "the half of these partitions with the smallest generalised variance within clusters (Friedman and Rubin "
            "1967), the one most similar to the others gave the pseudo-labels."
        ),
    }.get(params.pseudo_labels or "", "")


def _epochs(results: list[ClusteredSample], params: Parameters) -> str:
    """What was run, as small samples get more epochs than the parameter says."""
    if params.epochs is None:
        return ""
    done = {len(result.history["loss"]) for result in results if "loss" in result.history}
    if len(done) == 1:
        return f" for {done.pop():,} epochs"
    least = params.min_steps or 1
    return f" for {params.epochs:,} epochs{f' and at least {least:,} steps' if least > 1 else ''}"


def _times(weight: float | None) -> str:
    return "" if weight in (None, 1) else f"{weight:g} times "


def _training(results: list[ClusteredSample], params: Parameters) -> str:
    layers = "" if params.n_layers is None else f" of {params.n_layers} layers"
    if params.encoder == "pca":
        layers += " that starts as the principal components"
    parts = [_epochs(results, params)]
    if params.batch_size is not None:
        parts.append(f" in minibatches of at most {params.batch_size:,} cells")
    form = " in the form of supervised contrastive learning (Khosla et al. 2020)"
    form = form if params.cluster_loss == "supcon" else ""
    temperature = "" if params.temperature is None else f", both at temperature {params.temperature:g}"
    return (
        f"A transformer encoder{layers} was trained{''.join(parts)} with Adam to minimise "
        f"{_times(params.instance_loss_weight)}an instance-wise contrastive loss plus "
        f"{_times(params.cluster_loss_weight)}a cluster-aware contrastive loss{form}{temperature}."
    )


def _clusters(results: list[ClusteredSample], params: Parameters) -> str:
    given = {result.k_given for result in results}
    by = ""
    if any("separable" in result.k for result in results):
        by = (
            " as the median of the number of clusters that held-out genes separate and of the numbers of Leiden "
            "communities of two shared-neighbour graphs (Traag et al. 2019)"
        )
    number = {
        (True,): " The number of clusters was set beforehand.",
        (False,): f" The number of clusters was estimated from the data{by}.",
    }.get(tuple(given), "")
    if given == {True, False}:
        number = f" The number of clusters was set beforehand for some samples and estimated{by} for the others."
    seeds = {result.record.seed for result in results} - {None}
    seed = f" (seed {seeds.pop()})" if len(seeds) == 1 else ""
    if params.pseudo_labels == "ensemble":
        return f"Each embedded cell went to the nearest mean of the pseudo-labels{seed}.{number}"
    return f"The embedded cells were clustered by K-means{seed}.{number}"


def _scores(results: list[ClusteredSample]) -> str:
    if not any(result.metrics.get("ari") is not None for result in results):
        return ""
    return (
        "Agreement with known labels was measured by the adjusted Rand index and by normalised and adjusted mutual "
        "information. The labels were not used for clustering."
    )


def _markers(results: list[ClusteredSample], prepare: Preparation) -> str:
    every = [result.record.found_markers for result in results]
    if not any(every):
        return ""
    found = _shared([markers or Markers() for markers in every])
    limits = ""
    if found.max_p is not None and found.min_fraction is not None:
        limits = (
            f"; we report genes with an adjusted p value of at most {found.max_p:g} that are expressed in at "
            f"least {found.min_fraction:.0%} of a cluster's cells"
        )
    values = {
        "log": "the log-normalised values",
        "normalised": "values scaled to a sum of 10,000 in every cell and log-transformed",
    }.get(prepare.input_kind, "counts scaled to 10,000 in every cell and log-transformed")
    return (
        f"Marker genes were found by the Wilcoxon rank-sum test of each cluster against all other cells, on {values}, "
        f"with Benjamini-Hochberg adjusted p values{limits}."
    )


def _annotation(results: list[ClusteredSample]) -> str:
    used = {method: source for result in results for method, source in result.record.sources.items()}
    sources = []
    if "celltypist" in used:
        source = used["celltypist"]
        sources.append(
            f"CellTypist{f' {source.version}' if source.version else ''} (Dominguez Conde et al. 2022; model "
            f"{source.file}), each cluster taking the label of most of its cells"
        )
    if "marker_list" in used:
        sources.append(
            f"the scores of the marker genes in {used['marker_list'].file} (score_genes of scanpy), each "
            "cluster taking the type with the highest mean score"
        )
    if "reference" in used:
        least = used["reference"].min_confidence
        sources.append(
            f"the 15 nearest cells of the reference {used['reference'].file} in its embedding, cells below a "
            f"confidence of {0.5 if least is None else least:g} being labelled unknown"
        )
    return f"Cell types were assigned by {'; and by '.join(sources)}." if sources else ""


def _layouts(results: list[ClusteredSample]) -> str:
    shown = {name for result in results for name in result.layouts}
    names = [
        name
        for name, key in {
            "UMAP (McInnes et al. 2018)": "UMAP",
            "t-SNE (van der Maaten and Hinton 2008)": "t-SNE",
        }.items()
        if key in shown
    ]
    return f"For visualisation, the embedding was projected to two dimensions with {_list(names)}." if names else ""


def _list(items: list[str], last: str = "and") -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {last} {items[-1]}"
