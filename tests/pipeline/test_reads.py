"""Reads in, clusters out: simulated FASTQ files whose molecules and cell types are known."""

import anndata
import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score


@pytest.fixture(scope="module")
def run(star, reads, pipeline):
    found = pipeline("--input", reads.sheet(expected_cells="300"), *reads.references(), folder=reads.folder)
    assert found.status == 0, found.text
    return found


@pytest.fixture(scope="module")
def result(run):
    return anndata.read_h5ad(run.outdir / "pbmc" / "pbmc.h5ad")


def test_the_cells_are_found_among_the_droplets(reads, result):
    assert set(result.obs_names) == set(reads.cells.obs_names)


def test_counts_are_those_of_the_molecules(reads, result):
    found = result.to_df()
    true = reads.cells.to_df().loc[found.index, found.columns]
    assert np.corrcoef(found.to_numpy().ravel(), true.to_numpy().ravel())[0, 1] > 0.99
    # UMIs with an error in them are put right, and reads of no gene are not counted.
    assert 0.95 < found.to_numpy().sum() / true.to_numpy().sum() < 1.02


def test_genes_have_ids_and_symbols(reads, result):
    symbols = reads.reference.genes["gene_symbols"].loc[result.var_names]
    assert (result.var["gene_symbols"].astype(str) == symbols).all()


def test_clusters_are_the_types(reads, result):
    types = reads.cells.obs["cell_type"].loc[result.obs_names]
    assert adjusted_rand_score(types, result.obs["cicl"].astype(str)) >= 0.95


def test_the_way_of_the_reads_is_recorded(result):
    record = result.uns["cicl"]
    assert record["reads"]["protocol"] == "10XV3"
    assert record["reads"]["whitelist_match"] > 0.9
    assert record["reads"]["summary"]["Reads With Valid Barcodes"] > 0.95
    assert record["cells"]["cells"] == 300


def test_each_step_is_run_once(run):
    for process in ("FASTQ_CHECK (pbmc)", "STAR_GENOMEGENERATE (genome)", "STAR_SOLO (pbmc)", "CALL_CELLS (pbmc)"):
        assert run.tasks.count(process) == 1


def test_the_counts_are_kept(run):
    counts = run.outdir / "counts"
    assert {path.name for path in (counts / "pbmc.solo").iterdir()} >= {
        "matrix.mtx.gz",
        "features.tsv.gz",
        "Summary.csv",
    }
    assert anndata.read_h5ad(counts / "pbmc.cells.h5ad").n_obs == 300


@pytest.mark.slow
def test_alevin_counts_the_same_molecules(alevin, reads, pipeline, tmp_path):
    options = ("--aligner", "alevin", "--epochs", "5", "--skip_multiqc")
    found = pipeline(
        "--input", reads.sheet(), *reads.references(), *options, "-work-dir", tmp_path, folder=reads.folder
    )
    assert found.status == 0, found.text
    assert {"GFFREAD (genome)", "SALMON_INDEX", "SALMON_ALEVIN (pbmc)"} <= set(found.tasks)
    cells = anndata.read_h5ad(found.outdir / "pbmc" / "pbmc.h5ad")
    assert set(cells.obs_names) == set(reads.cells.obs_names)
    counted = cells.to_df()
    true = reads.cells.to_df().loc[counted.index, counted.columns]
    assert np.corrcoef(counted.to_numpy().ravel(), true.to_numpy().ravel())[0, 1] > 0.99
    assert (cells.var["gene_symbols"].astype(str) == reads.reference.genes["gene_symbols"].loc[cells.var_names]).all()


def test_reads_that_do_not_fit_stop_the_run_before_the_alignment(reads, pipeline, tmp_path):
    folder = tmp_path / "launch"
    folder.mkdir()
    (folder / "other.txt").write_text("\n".join(["ACGTACGTACGTACGT", "TTTTACGTACGTACGT"]))
    sheet = reads.folder / reads.sheet()
    arguments = ["--fasta", reads.folder / "genome.fa", "--gtf", reads.folder / "genes.gtf", "--whitelist", "other.txt"]
    run = pipeline("--input", str(sheet), *map(str, arguments), folder=folder)
    assert run.status != 0
    assert "STAR_SOLO (pbmc)" not in run.tasks
    last = run.text.strip().splitlines()[-1]
    assert last.startswith("ERROR: only 0.0% of the barcodes")
    assert "other.txt: the whitelist or --protocol 10XV3 is that of another chemistry" in last


def test_references_are_asked_for_before_anything_is_started(reads, pipeline, tmp_path):
    run = pipeline("--input", str(reads.folder / reads.sheet()), "--gtf", "nowhere.gtf", folder=tmp_path)
    assert run.status == 2
    assert run.tasks == []
    assert "ERROR: Parameter --gtf: 'nowhere.gtf' does not exist; correct the path." in run.text
    assert "The samplesheet has reads (fastq_1), so --fasta is missing" in run.text
