"""The paragraph for a paper's methods section, written from what was run."""

from typing import Any

from .result import Result

CICL = (
    "Jiang W, Wang J, Guan J, Zhou S. scRNA-seq data clustering by cluster-aware iterative contrastive learning. "
    "arXiv 2312.16600 (2023)."
)
UMAP = (
    "McInnes L, Healy J, Melville J. UMAP: uniform manifold approximation and projection for dimension reduction. "
    "arXiv 1802.03426 (2018)."
)
LIBRARIES = {"torch": "PyTorch", "scanpy": "scanpy", "scikit-learn": "scikit-learn"}
TSNE = (
    "van der Maaten L, Hinton G. Visualizing data using t-SNE. "
    "Journal of Machine Learning Research 9, 2579-2605 (2008)."
)


def methods_text(results: list[Result]) -> str:
    """Methods of a run in a few sentences; numbers in which the samples differ are left to the table of parameters."""
    if not results:
        return ""
    params, prepare = _shared([r.uns.get("params", {}) for r in results]), _shared([_prepare(r) for r in results])
    sentences = [
        _software(results),
        _preparation(params, prepare),
        _training(params),
        _clusters(results),
        _scores(results),
        _layouts(results),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def references(results: list[Result]) -> list[str]:
    """Works to cite for what the report shows."""
    shown = {name for result in results for name in result.layouts}
    return [CICL, *([UMAP] if "UMAP" in shown else []), *([TSNE] if "t-SNE" in shown else [])]


def _prepare(result: Result) -> dict[str, Any]:
    return result.uns.get("prepare", {})


def _shared(tables: list[dict[str, Any]]) -> dict[str, Any]:
    first, *others = tables
    return {key: value for key, value in first.items() if all(str(table.get(key)) == str(value) for table in others)}


def _software(results: list[Result]) -> str:
    versions = _shared([r.metrics.get("versions") or r.uns.get("versions", {}) for r in results])
    version = f", version {versions['cicl']}" if "cicl" in versions else ""
    tools = [f"{name} {versions[key]}" for key, name in LIBRARIES.items() if key in versions]
    return (
        f"Cells were clustered by the method of Jiang et al. (2023) with CICL for Nextflow{version}"
        f"{f', using {_list(tools)}' if tools else ''}."
    )


def _preparation(params: dict[str, Any], prepare: dict[str, Any]) -> str:
    n_genes = prepare.get("n_genes", params.get("n_genes"))
    genes = f"the {int(n_genes):,} most variable genes" if n_genes is not None else "the most variable genes"
    scaled = {
        "log": "Log-normalised values were taken as given",
        "normalised": "Normalised values were log-transformed",
    }.get(
        str(prepare.get("input_kind", "counts")),
        "Counts were divided by each cell's size factor (its library size over the median library size) and "
        "log-transformed",
    )
    return f"{scaled}, {genes} were kept, and every gene was scaled to mean 0 and variance 1."


def _training(params: dict[str, Any]) -> str:
    layers = f" of {int(params['n_layers'])} layers" if "n_layers" in params else ""
    parts = []
    if "epochs" in params:
        parts.append(f" for {int(params['epochs']):,} epochs")
    if "batch_size" in params:
        parts.append(f" in minibatches of at most {int(params['batch_size']):,} cells")
    weight = f"{float(params['cluster_loss_weight']):g} times " if "cluster_loss_weight" in params else ""
    temperature = f", both at temperature {float(params['temperature']):g}" if "temperature" in params else ""
    return (
        f"A transformer encoder{layers} was trained{''.join(parts)} with Adam to minimise an instance-wise contrastive "
        f"loss plus {weight}a cluster-aware contrastive loss{temperature}."
    )


def _clusters(results: list[Result]) -> str:
    given = {result.k_given for result in results}
    criteria = {evidence[2] for result in results if (evidence := result.k_evidence)}
    by = f" by the {criteria.pop()}" if len(criteria) == 1 else ""
    number = {
        (True,): ", with the number of clusters set beforehand",
        (False,): f", with the number of clusters estimated from the data{by}",
    }.get(tuple(given), "")
    if given == {True, False}:
        number = f", with the number of clusters set beforehand for some samples and estimated{by} for the others"
    seeds = {str(result.uns["seed"]) for result in results if "seed" in result.uns}
    return f"The embedded cells were grouped by K-means{number}{f' (seed {seeds.pop()})' if len(seeds) == 1 else ''}."


def _scores(results: list[Result]) -> str:
    if not any(result.metrics.get("ari") is not None for result in results):
        return ""
    return (
        "Agreement with known labels, which were used for nothing else, was measured by the adjusted Rand index and by "
        "normalised and adjusted mutual information."
    )


def _layouts(results: list[Result]) -> str:
    shown = {name for result in results for name in result.layouts}
    names = [
        name
        for name, key in {
            "UMAP (McInnes et al. 2018)": "UMAP",
            "t-SNE (van der Maaten and Hinton 2008)": "t-SNE",
        }.items()
        if key in shown
    ]
    return f"For display the embedding was laid out by {_list(names)}." if names else ""


def _list(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
