"""Reads in, annotated cells and a report out: simulated FASTQ files whose molecules and cell types are known."""

import hashlib

import anndata
import numpy as np
import pandas as pd
import pytest
import simulate_reads
from sklearn.metrics import adjusted_rand_score
from typed_model import train_celltypist


@pytest.fixture(scope="module")
def model(reads):
    """A CellTypist model of other cells of the same types; as published ones do, it names genes by symbols."""
    pytest.importorskip("celltypist")
    droplets = simulate_reads.draw_droplets(reads.reference, profile_seed=1, seed=11)
    cells = droplets[droplets.obs["cell_type"] != "empty"].copy()
    cells.var_names = cells.var["gene_symbols"].astype(str)
    return train_celltypist(cells, "cell_type", reads.folder / "types.pkl")


@pytest.fixture(scope="module")
def run(star, reads, model, pipeline):
    annotation = ("--celltypist_model", model.name)
    sheet = reads.sheet(expected_cells="300")
    found = pipeline("--input", sheet, *reads.references(), *annotation, folder=reads.folder)
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


def test_markers_of_the_types_are_on_top(reads, run, result):
    """A type has 15 true markers: at least 14 of a cluster's first 15 genes are among those of its type."""
    table = pd.read_csv(run.outdir / "pbmc" / "pbmc.markers.csv", dtype={"cluster": str})
    types = reads.cells.obs["cell_type"].loc[result.obs_names]
    true = simulate_reads.marker_genes()
    genes = reads.reference.genes.index
    for cluster in result.obs["cicl"].astype(str).unique():
        kind = types[result.obs["cicl"].astype(str) == cluster].mode()[0]
        top = table[(table["cluster"] == cluster) & (table["rank"] <= 15)].sort_values("rank")["gene"].tolist()
        assert len(set(top) & set(genes[true[kind]])) >= 14
        assert set(top[:5]) <= set(genes[true[kind]])


def test_cells_get_the_names_of_their_types(reads, result):
    types = reads.cells.obs["cell_type"].loc[result.obs_names].to_numpy()
    for column in ("cicl_celltypist_cell", "cicl_celltypist"):
        assert (result.obs[column].astype(str).to_numpy() == types).mean() >= 0.95


def test_quality_control_keeps_good_cells(run, result):
    """Nothing is wrong with the simulated cells: the defaults remove none and mark few as doublets."""
    qc = result.uns["cicl"]["qc"]
    assert qc["cells_in"] == result.n_obs == 300
    assert qc["doublets"] <= 15


def test_the_report_tells_of_all_steps(run):
    (page,) = (run.outdir / "report").glob("*.html")
    text = page.read_text(encoding="utf-8")
    sample = text.split('<section class="sample" id="sample-0"')[1].split("</section>")[0]
    for heading in (
        ">pbmc</h2>",
        "<caption>Reads</caption>",
        "Quality control: 300 cells before, 300 after",
        "<figcaption>Marker genes",
    ):
        assert heading in sample
    assert "<b>CellTypist</b>: types.pkl: 4 cell types" in sample
    for kind in simulate_reads.TYPES:
        assert f"<td>{kind} <small>" in sample


def test_the_way_of_the_reads_is_recorded(result):
    record = result.uns["cicl"]
    assert record["reads"]["protocol"] == "10XV3"
    assert record["reads"]["whitelist_match"] > 0.9
    assert record["reads"]["summary"]["Reads With Valid Barcodes"] > 0.95
    assert record["cells"]["cells"] == 300


def test_the_reads_have_checksums(run, reads):
    table = pd.read_csv(run.outdir / "pipeline_info" / "input_checksums.tsv", sep="\t")
    sums = dict(zip(table["file"], table["sha256"], strict=True))
    files = list(reads.folder.glob("*.fastq.gz"))
    assert (
        files and {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}.items() <= sums.items()
    )


def test_each_step_is_run_once(run):
    for process in (
        "CHECK_READS (pbmc)",
        "STAR_GENOMEGENERATE (genome.fa)",
        "STAR_STARSOLO (pbmc)",
        "CALL_CELLS (pbmc)",
    ):
        assert run.tasks.count(process) == 1


def test_the_counts_are_kept(run):
    counts = run.outdir / "counts"
    assert {path.name for path in (counts / "pbmc.Solo.out" / "Gene" / "raw").iterdir()} >= {
        "matrix.mtx.gz",
        "features.tsv.gz",
    }
    assert (counts / "pbmc.Solo.out" / "Gene" / "Summary.csv").exists()
    assert anndata.read_h5ad(counts / "pbmc.cells.h5ad").n_obs == 300


@pytest.mark.slow
def test_alevin_counts_the_same_molecules(alevin, reads, pipeline, tmp_path):
    options = ("--aligner", "alevin", "--epochs", "5", "--skip_multiqc")
    found = pipeline(
        "--input", reads.sheet(), *reads.references(), *options, "-work-dir", tmp_path, folder=reads.folder
    )
    assert found.status == 0, found.text
    assert {"GFFREAD (genome)", "SIMPLEAF_INDEX (genome)", "SIMPLEAF_QUANT (pbmc)"} <= set(found.tasks)
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
    assert "STAR_STARSOLO (pbmc)" not in run.tasks
    last = run.text.strip().splitlines()[-1]
    assert last.startswith("ERROR: only 0.0% of the barcodes")
    assert "other.txt: the whitelist or --protocol 10XV3 is that of another chemistry" in last


def test_references_are_asked_for_before_anything_is_started(reads, pipeline, tmp_path):
    run = pipeline("--input", str(reads.folder / reads.sheet()), "--gtf", "nowhere.gtf", folder=tmp_path)
    assert run.status == 2
    assert run.tasks == []
    assert "ERROR: Parameter --gtf: 'nowhere.gtf' does not exist; correct the path." in run.text
    assert "The samplesheet has reads (fastq_1), so --fasta is missing" in run.text
