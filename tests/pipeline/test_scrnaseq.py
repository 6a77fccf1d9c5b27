"""Results of nf-core/scrnaseq as they lie in its folders, of several versions and aligners."""

import json
from pathlib import Path

import anndata
import numpy as np
import pytest

LAYOUTS = {
    # Versions 3 and 4: conversions in a folder of the sample, unfiltered and filtered
    "star_h5ad": [
        "star/mtx_conversions/s1/s1_raw_matrix.h5ad",
        "star/mtx_conversions/s1/s1_filtered_matrix.h5ad",
        "star/mtx_conversions/s2/s2_raw_matrix.h5ad",
        "star/mtx_conversions/combined_filtered_matrix.h5ad",
        "star/s1/s1.Solo.out/Gene/raw/matrix.mtx.gz",
    ],
    "star_mtx": [
        "star/s1/s1.Solo.out/Gene/raw/matrix.mtx.gz",
        "star/s1/s1.Solo.out/Gene/filtered/matrix.mtx.gz",
        "star/s1/s1.Solo.out/GeneFull/filtered/matrix.mtx.gz",
        "star/s1/s1.Solo.out/Velocyto/raw/spliced.mtx.gz",
        "star/s1/s1.Log.final.out",
    ],
    "cellbender": [
        "cellranger/mtx_conversions/s1_raw_matrix.h5ad",
        "cellranger/mtx_conversions/s1_filtered_matrix.h5ad",
        "cellranger/mtx_conversions/s1_cellbender_filter_matrix.h5ad",
        "cellranger/mtx_conversions/combined_cellbender_filter_matrix.h5ad",
    ],
    "cellranger": [
        "cellranger/count/s1/outs/filtered_feature_bc_matrix.h5",
        "cellranger/count/s1/outs/filtered_feature_bc_matrix/matrix.mtx.gz",
        "cellranger/count/s1/outs/raw_feature_bc_matrix.h5",
        "cellranger/count/s1/outs/molecule_info.h5",
        "fastqc/s1_1_fastqc.html",
    ],
    "cellranger_before": [
        "cellranger/mtx_conversions/s1_matrix.h5ad",
        "cellranger/mtx_conversions/combined_matrix.h5ad",
    ],
    # Up to 2.2 the folders of Cell Ranger have a prefix, which is no part of the name.
    "cellranger_first": [
        "cellranger/count/sample-s1/outs/filtered_feature_bc_matrix.h5",
        "cellranger/count/sample-s1/outs/raw_feature_bc_matrix.h5",
        "cellranger/mtx_conversions/s1_matrix.h5ad",
        "cellranger/mtx_conversions/combined_matrix.h5ad",
    ],
    "cellranger_called_sample": [
        "cellranger/count/sample-1/outs/filtered_feature_bc_matrix.h5",
        "cellranger/mtx_conversions/sample-1/sample-1_filtered_matrix.h5ad",
    ],
    # Up to 2.5: the cells that STAR called, and all barcodes of alevin and kallisto
    "star_before": [
        "star/s1/s1.Solo.out/Gene/raw/matrix.mtx.gz",
        "star/s1/s1.Solo.out/Gene/filtered/matrix.mtx.gz",
        "star/mtx_conversions/s1/s1_matrix.h5ad",
        "star/mtx_conversions/combined_matrix.h5ad",
    ],
    "alevin_first": [
        "alevin/s1_alevin_results/af_quant/alevin/quants_mat.mtx",
        "alevin/mtx_conversions/s1/s1_matrix.h5ad",
        "alevin/mtx_conversions/combined_matrix.h5ad",
    ],
    "kallisto_before": [
        "kallisto/s1.count/counts_unfiltered/cells_x_genes.mtx",
        "kallisto/mtx_conversions/s1/s1_matrix.h5ad",
    ],
    "kallisto_parts": [
        "kallisto/s1.count/counts_unfiltered/spliced.mtx",
        "kallisto/s1.count/counts_unfiltered/unspliced.mtx",
        "kallisto/mtx_conversions/s1/s1_spliced_matrix.h5ad",
        "kallisto/mtx_conversions/s1/s1_unspliced_matrix.h5ad",
        "kallisto/mtx_conversions/combined_spliced_matrix.h5ad",
    ],
    "universc": [
        "universc/sample-s1/outs/filtered_feature_bc_matrix/matrix.mtx.gz",
        "universc/sample-s1/outs/filtered_feature_bc_matrix.h5",
        "universc/sample-s1/outs/raw_feature_bc_matrix.h5",
        "universc/sample-s1/outs/molecule_info.h5",
    ],
    # 2.6 to 3.0, with emptyDrops
    "alevin_emptydrops": [
        "alevin/s1_alevin_results/af_quant/alevin/quants_mat.mtx",
        "alevin/mtx_conversions/s1/s1_raw_matrix.h5ad",
        "alevin/mtx_conversions/s1/s1_custom_emptydrops_filter_matrix.h5ad",
        "alevin/mtx_conversions/combined_custom_emptydrops_filter_matrix.h5ad",
    ],
    "simpleaf_h5ad": [
        "simpleaf/s1/af_quant/alevin/quants.h5ad",
        "simpleaf/mtx_conversions/s1/s1_raw_matrix.h5ad",
        "simpleaf/mtx_conversions/s1/s1_cellbender_filter_matrix.h5ad",
        "simpleaf/mtx_conversions/combined_raw_matrix.h5ad",
    ],
    "multi": ["cellrangermulti/count/pool/outs/per_sample_outs/s1/count/sample_filtered_feature_bc_matrix.h5"],
    # A pool of two samples, as 4.x converts it, and beside it a library of one sample
    "multi_pool": [
        *(
            f"cellrangermulti/count/pool1/outs/per_sample_outs/{name}/count/sample_filtered_feature_bc_matrix.h5"
            for name in ("donorA", "donorB")
        ),
        "cellrangermulti/count/pool1/outs/multi/count/raw_feature_bc_matrix.h5",
        "cellrangermulti/count/alone/outs/per_sample_outs/alone/count/sample_filtered_feature_bc_matrix.h5",
        "cellrangermulti/mtx_conversions/pool1/pool1_raw_matrix.h5ad",
        "cellrangermulti/mtx_conversions/pool1/pool1_cellbender_filter_matrix.h5ad",
        "cellrangermulti/mtx_conversions/donorA/donorA_filtered_matrix.h5ad",
        "cellrangermulti/mtx_conversions/donorB/donorB_filtered_matrix.h5ad",
        "cellrangermulti/mtx_conversions/alone/alone_raw_matrix.h5ad",
        "cellrangermulti/mtx_conversions/alone/alone_cellbender_filter_matrix.h5ad",
        "cellrangermulti/mtx_conversions/combined_raw_matrix.h5ad",
    ],
    "pools_unseen": [
        "cellrangermulti/mtx_conversions/pool1/pool1_raw_matrix.h5ad",
        "cellrangermulti/mtx_conversions/donorA/donorA_filtered_matrix.h5ad",
    ],
    "simpleaf_qcatch": [
        "simpleaf/s1/af_quant/alevin/quants_mat.mtx",
        "simpleaf/s1/qcatch/s1_filtered_quants.h5ad",
    ],
    "odd_names": [
        "star/mtx_conversions/a b/a b_filtered_matrix.h5ad",
        "star/mtx_conversions/report/report_filtered_matrix.h5ad",
    ],
    "arc": [
        "cellrangerarc/count/s1/outs/filtered_feature_bc_matrix.h5",
        "cellrangerarc/mtx_conversions/s1/s1_filtered_matrix.h5ad",
        "cellrangerarc/mtx_conversions/s1/s1_raw_matrix.h5ad",
    ],
    "kallisto_h5ad": [
        "kallisto/s1.count/counts_unfiltered/cells_x_genes.mtx",
        "kallisto/mtx_conversions/s1/s1_raw_matrix.h5ad",
        "kallisto/mtx_conversions/s1/s1_emptydrops_filter_matrix.h5ad",
    ],
    "simpleaf_now": ["simpleaf/s1/simpleaf_quant/af_quant/alevin/quants_mat.mtx"],
    "alevin_before": ["alevin/s1_alevin_results/alevin/quants_mat.mtx.gz"],
    "kallisto": [
        "kallisto/s1.count/counts_unfiltered/cells_x_genes.mtx",
        "kallisto/s2.count/counts_unfiltered/cells_x_genes.mtx",
        "kallisto/s2.count/counts_filtered/cells_x_genes.mtx",
    ],
    "two_aligners": [
        "star/mtx_conversions/s1/s1_filtered_matrix.h5ad",
        "star/mtx_conversions/s1/s1_raw_matrix.h5ad",
        "alevin/mtx_conversions/s1/s1_raw_matrix.h5ad",
    ],
    "nothing": ["multiqc/report.html", "star/s1/s1.Log.out"],
}
FOUND = {
    "star_h5ad": {
        "s1": ["star/mtx_conversions/s1/s1_filtered_matrix.h5ad", False],
        "s2": ["star/mtx_conversions/s2/s2_raw_matrix.h5ad", True],
    },
    "star_mtx": {"s1": ["star/s1/s1.Solo.out/Gene/filtered", False]},
    "cellbender": {"s1": ["cellranger/mtx_conversions/s1_cellbender_filter_matrix.h5ad", False]},
    "cellranger": {"s1": ["cellranger/count/s1/outs/filtered_feature_bc_matrix.h5", False]},
    "cellranger_before": {"s1": ["cellranger/mtx_conversions/s1_matrix.h5ad", False]},
    "cellranger_first": {"s1": ["cellranger/mtx_conversions/s1_matrix.h5ad", False]},
    "cellranger_called_sample": {"sample-1": [LAYOUTS["cellranger_called_sample"][1], False]},
    "star_before": {"s1": ["star/mtx_conversions/s1/s1_matrix.h5ad", False]},
    "alevin_first": {"s1": ["alevin/mtx_conversions/s1/s1_matrix.h5ad", True]},
    "kallisto_before": {"s1": ["kallisto/mtx_conversions/s1/s1_matrix.h5ad", True]},
    "universc": {"s1": ["universc/sample-s1/outs/filtered_feature_bc_matrix.h5", False]},
    "alevin_emptydrops": {"s1": ["alevin/mtx_conversions/s1/s1_custom_emptydrops_filter_matrix.h5ad", False]},
    "simpleaf_h5ad": {"s1": ["simpleaf/mtx_conversions/s1/s1_cellbender_filter_matrix.h5ad", False]},
    "multi": {"s1": [LAYOUTS["multi"][0], False]},
    "multi_pool": {
        "alone": ["cellrangermulti/mtx_conversions/alone/alone_cellbender_filter_matrix.h5ad", False],
        "donorA": ["cellrangermulti/mtx_conversions/donorA/donorA_filtered_matrix.h5ad", False],
        "donorB": ["cellrangermulti/mtx_conversions/donorB/donorB_filtered_matrix.h5ad", False],
    },
    "pools_unseen_filtered": {"donorA": [LAYOUTS["pools_unseen"][1], False]},
    "simpleaf_qcatch": {"s1": ["simpleaf/s1/qcatch/s1_filtered_quants.h5ad", False]},
    "arc": {"s1": ["cellrangerarc/mtx_conversions/s1/s1_filtered_matrix.h5ad", False]},
    "kallisto_h5ad": {"s1": ["kallisto/mtx_conversions/s1/s1_emptydrops_filter_matrix.h5ad", False]},
    "simpleaf_now": {"s1": ["simpleaf/s1/simpleaf_quant/af_quant/alevin", True]},
    "alevin_before": {"s1": ["alevin/s1_alevin_results/alevin", True]},
    "kallisto": {
        "s1": ["kallisto/s1.count/counts_unfiltered", True],
        "s2": ["kallisto/s2.count/counts_filtered", False],
    },
    "chosen": {"s1": ["star/mtx_conversions/s1/s1_filtered_matrix.h5ad", False]},
    "raw": {"s1": ["star/mtx_conversions/s1/s1_raw_matrix.h5ad", True]},
}
REFUSED = {
    "two_aligners": "holds counts of several aligners (alevin, star); choose one with --scrnaseq_aligner.",
    "wrong": "holds no counts of kallisto, but of alevin, star; correct --scrnaseq_aligner.",
    "kallisto_parts": "counts of kallisto in separate files (s1_spliced, s1_unspliced); add them up, and give the sums",
    "pools_unseen": "it cannot be seen whether pool1 are samples or pools of the other samples; take the samples with",
    "odd_names": "has samples whose names cannot name files here: 'a b', 'report'; give a samplesheet with --input",
    "nothing": "holds no counts of nf-core/scrnaseq: none of the folders alevin, cellranger,",
    "no_filtered": "has no filtered matrices of simpleaf; leave --scrnaseq_matrix out",
}


@pytest.fixture(scope="module")
def outcomes(nextflow, tmp_path_factory):
    """All layouts in one start of Nextflow."""
    folder = tmp_path_factory.mktemp("layouts")
    for name, paths in LAYOUTS.items():
        for path in paths:
            (folder / name / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / name / path).touch()
    run = nextflow("run", str(Path(__file__).with_name("scrnaseq.nf")), "--folder", str(folder))
    assert run.status == 0, run.text
    (line,) = [line for line in run.text.splitlines() if line.startswith("OUTCOMES ")]
    return json.loads(line.removeprefix("OUTCOMES "))


@pytest.mark.parametrize("name", FOUND)
def test_samples_of_a_layout(outcomes, name):
    assert outcomes[name] == FOUND[name]


@pytest.mark.parametrize("name", REFUSED)
def test_refused(outcomes, name):
    assert outcomes[name].startswith("ERROR: ")
    assert REFUSED[name] in outcomes[name]


@pytest.mark.slow
def test_unfiltered_matrix_of_ensembl_ids(reads, pipeline, tmp_path):
    """A raw h5ad as nf-core/scrnaseq writes it: its cells are called, and its symbols are kept."""
    droplets = reads.droplets.copy()
    types = droplets.obs.pop("cell_type")
    droplets.obs["sample"] = "s1"
    droplets.var = droplets.var.rename(columns={"gene_symbols": "gene_symbol"})
    path = tmp_path / "results_scrnaseq" / "star" / "mtx_conversions" / "s1" / "s1_raw_matrix.h5ad"
    path.parent.mkdir(parents=True)
    droplets.write_h5ad(path)
    run = pipeline("--scrnaseq_results", "results_scrnaseq", "--epochs", "5", "--skip_multiqc", folder=tmp_path)
    assert run.status == 0, run.text
    assert "CALL_CELLS (s1)" in run.tasks
    cells = anndata.read_h5ad(run.outdir / "s1" / "s1.h5ad")
    assert set(cells.obs_names) == set(types.index[types != "empty"])
    assert list(cells.var["gene_symbols"].astype(str)) == list(droplets.var.loc[cells.var_names, "gene_symbol"])
    assert np.issubdtype(cells.X.dtype, np.number) and cells.X.max() > 1
