"""The methods paragraph says what was run, and nothing else."""

import re

import pytest
from clustered import bare, clustered, described, metrics
from sccicl.config import PRESETS
from sccicl.report.methods_text import methods_text, references
from sccicl.report.sample import read_sample


def test_methods_paragraph():
    first, second = clustered("a"), clustered("b")
    second.uns["cicl"]["params"]["epochs"] = 7
    text = methods_text([read_sample(first, metrics(first)), read_sample(second, metrics(second))])
    assert "version 0.1.0, using PyTorch 2.10.0" in text
    assert "500 most variable genes" in text
    assert "0.1 times a cluster-aware" in text
    assert "the number of clusters that held-out genes separate" in text
    # a number in which the samples differ is not stated for all
    assert "epochs" not in text
    assert methods_text([]) == ""
    assert "K-means" in methods_text([read_sample(bare(first))])


@pytest.mark.parametrize(
    ("preset", "told", "untold"),
    [
        (
            "paper",
            ["adding Gaussian noise mapped to [0, 1]", "K-means of each minibatch"],
            ["gave the pseudo-labels", "Khosla"],
        ),
        (
            "default",
            [
                "500 most variable genes (by Cell Ranger's dispersion)",
                "clipped at 10 standard deviations",
                "setting a random 60% of its genes to their mean, the second one from a random one of its 5 nearest",
                "within clusters (Friedman and Rubin 1967), the one most similar to the others gave the pseudo-labels",
                "of 2 layers that starts as the principal components was trained for 50 epochs",
                "0.1 times an instance-wise contrastive loss plus a cluster-aware",
                "supervised contrastive learning (Khosla et al. 2020), both at temperature 0.5",
                "went to the nearest mean of the pseudo-labels",
            ],
            ["mapped to [0, 1]"],
        ),
    ],
)
def test_methods_paragraph_is_true_to_the_preset(preset, told, untold):
    adata = clustered()
    config = PRESETS[preset]
    adata.uns["cicl"]["params"] = config.as_dict()
    for name in ("gene_selection", "max_value"):
        if getattr(config, name) is not None:
            adata.uns["cicl"]["prepare"][name] = getattr(config, name)
    result = read_sample(adata, metrics(adata))
    text, works = methods_text([result]), " ".join(references([result]))
    assert [part for part in told if part not in text] == [] and not any(part in text for part in untold)
    assert ("Supervised contrastive" in works) == ("Hierarchical grouping" in works) == (preset == "default")
    assert "Leiden" in works


def test_methods_paragraph_is_true_to_the_preparation():
    adata = clustered()
    adata.uns["cicl"]["prepare"] |= {"n_genes": adata.n_vars, "input_kind": "normalised", "gene_selection": "seurat"}
    text = methods_text([read_sample(adata, metrics(adata))])
    assert (
        "Normalised values were scaled to the same sum in every cell and log-transformed, all genes were kept" in text
    )


def test_methods_tell_of_markers_and_cell_types():
    result = read_sample(described(clustered("full")))
    text = methods_text([result])
    assert (
        "Wilcoxon rank-sum test" in text and "CellTypist 1.7.1 (Dominguez Conde et al. 2022; model Blood.pkl)" in text
    )
    assert any("eabl5197" in work for work in references([result]))
    assert "Wilcoxon" not in methods_text([read_sample(clustered())])


def test_every_work_that_the_methods_cite_is_listed():
    adata = described(clustered("full"))
    adata.uns["cicl"]["params"] = PRESETS["default"].as_dict()
    adata.uns["cicl"]["prepare"]["integrate"] = True
    adata.uns["cicl"]["qc"] = quality()
    result = read_sample(adata, metrics(adata))
    cited = re.findall(r"([A-Z]\w+(?: and [A-Z]\w+)?)(?: et al\.)?,? \(?(?:19|20)\d\d", methods_text([result]))
    assert {"Friedman and Rubin", "Wolock", "Haghverdi", "Ward", "Traag"} <= {
        name.replace(" et al.", "") for name in cited
    }
    works = " ".join(references([result]))
    assert [name for name in cited if name.split()[0] not in works] == []


def quality(**limits):
    numbers = {"cells_in": 400, "cells_out": 380, "genes_in": 900, "genes_out": 800}
    removed, limits = {"few_counts": 20}, limits or {"min_counts": 139.9, "max_mito": 12.34}
    return {**numbers, "removed": removed, "thresholds": limits, "histograms": {}, "doublets": 7}


def test_methods_tell_of_the_quality_control():
    first, second = clustered("a"), clustered("b")
    first.uns["cicl"]["qc"] = quality()
    one = [read_sample(first, metrics(first))]
    assert "Cells with fewer than 140 counts or more than 12.3% mitochondrial counts were removed." in methods_text(one)
    assert "Doublets were detected by Scrublet (Wolock et al. 2019) and marked." in methods_text(one)
    # Limits that differ between samples are not stated for all
    second.uns["cicl"]["qc"] = quality(min_counts=200.0, max_mito=12.34, min_cells=3.0)
    text = methods_text([*one, read_sample(second, metrics(second))])
    assert "Cells with few counts or more than 12.3% mitochondrial counts were removed." in text
    assert "Genes in few cells were removed." in text
    assert "removed" not in methods_text([read_sample(clustered(), metrics(clustered()))])


def test_methods_tell_of_integrated_batches_and_logarithms():
    adata = described(clustered("full"))
    adata.uns["cicl"]["prepare"] |= {"input_kind": "log", "integrate": True}
    text = methods_text([read_sample(adata, metrics(adata))])
    assert "within each batch" in text and "mutual nearest neighbours (Haghverdi et al. 2018)" in text
    assert "on the log-normalised values, with" in text and "counts scaled" not in text
