"""The demonstration for real, through every process."""

import csv
import json
import re

import pytest

FILES = (
    *("h5ad", "clusters.csv", "embedding.parquet", "model.pt", "metrics.json", "markers.csv", "annotation.csv"),
    *("umap.png", "training.png", "sizes.png", "markers_dotplot.png", "markers_heatmap.png"),
)
EXPORTS = ("cellxgene.h5ad", "loupe.csv", "loupe_umap.csv")
TYPES = """cell_type,genes
B cell,CD79A;MS4A1;CD19
T cell,CD3D;CD3E;IL7R
Monocyte,LYZ;CD14;FCGR3A
NK cell,GZMB;PRF1;GZMH
"""
ARGUMENTS = ("-profile", "test", "--epochs", "5", "--marker_list", "types.csv", "--export", "cellxgene,loupe")
# Which Nextflow before 26 hands over as a number
TITLE = ("--multiqc_title", "240115")
CELLS = {"pbmc700": 700, "pbmc350": 350}


@pytest.fixture(scope="module")
def demo(pipeline, tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    (folder / "types.csv").write_text(TYPES)
    # Few epochs: what is looked at is that the steps fit together.
    run = pipeline(*ARGUMENTS, *TITLE, folder=folder)
    assert run.status == 0, run.text
    return run


def metrics(demo, sample):
    return json.loads((demo.outdir / sample / f"{sample}.metrics.json").read_text())


@pytest.mark.parametrize("sample", CELLS)
def test_files_of_a_sample(demo, sample):
    expected = {f"{sample}.{ending}" for ending in FILES}
    expected |= {f"{sample}{kind}_mqc.json" for kind in ("", ".sizes", ".clusters", ".umap", ".training")}
    found = {path.name: path.stat().st_size for path in (demo.outdir / sample).iterdir()}
    assert expected | {"export"} == set(found)
    assert all(found.values())
    exported = {path.name for path in (demo.outdir / sample / "export").iterdir()}
    assert exported == {f"{sample}.{ending}" for ending in EXPORTS}


def test_files_of_the_run(demo):
    assert f"<h1>{TITLE[1]}</h1>" in (demo.outdir / "report" / "cicl_report.html").read_text()
    for name in ("report/cicl_report.html", "multiqc/multiqc_report.html", "pipeline_info/software_versions.yml"):
        assert (demo.outdir / name).stat().st_size > 0
    kinds = (
        "execution_report_*.html",
        "execution_trace_*.txt",
        "execution_timeline_*.html",
        "pipeline_dag_*.html",
        "params_*.json",
    )
    for kind in kinds:
        assert len(list((demo.outdir / "pipeline_info").glob(kind))) == 1
    assert "results/report/cicl_report.html" in demo.text
    # the last lines of the run are what was found, as the report says it
    summary = (demo.outdir / "report" / "cicl_summary.txt").read_text().splitlines()
    found = [line for line in summary if not line.startswith("WARNING: ")]
    assert len(found) == 2 and all(line in demo.text for line in summary)
    page = (demo.outdir / "report" / "cicl_report.html").read_text(encoding="utf-8")
    assert all(line.split(": ", 1)[1] in page for line in found)
    assert len(page) < 2_500_000


@pytest.mark.parametrize("sample", CELLS)
def test_clusters(demo, sample):
    found = metrics(demo, sample)
    assert found["id"] == sample
    assert found["n_cells"] == CELLS[sample]
    assert sum(found["cluster_sizes"].values()) == CELLS[sample]
    assert len(found["cluster_sizes"]) == found["n_clusters"]
    with (demo.outdir / sample / f"{sample}.clusters.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len({row["barcode"] for row in rows}) == CELLS[sample]
    assert {row["cluster"] for row in rows} == set(found["cluster_sizes"])
    assert all(0 <= float(row["confidence"]) <= 1 for row in rows)


def test_agreement_with_the_labels(demo):
    labelled = metrics(demo, "pbmc700")
    assert not labelled["k_given"] and 2 < labelled["n_clusters"] < 15
    # Labels at random would give 0.
    assert 0.3 < labelled["ari"] <= 1
    assert 0.4 < labelled["nmi"] <= 1


def test_no_labels_no_agreement(demo):
    unlabelled = metrics(demo, "pbmc350")
    assert not unlabelled["k_given"]
    assert "ari" not in unlabelled


def test_h5ad(demo):
    import anndata

    adata = anndata.read_h5ad(demo.outdir / "pbmc700" / "pbmc700.h5ad")
    assert {"cicl", "cicl_confidence", "bulk_labels"} <= set(adata.obs)
    assert {"X_cicl", "X_umap"} <= set(adata.obsm)
    assert adata.uns["cicl"]["params"]["epochs"] == 5


def test_markers_and_cell_types_are_those_of_the_cells(demo):
    import anndata

    adata = anndata.read_h5ad(demo.outdir / "pbmc700" / "pbmc700.h5ad")
    first = adata.uns["cicl"]["markers"]["table"].query("rank <= 5")
    of_b = adata.obs.loc[adata.obs["bulk_labels"] == "CD19+ B", "cicl"].mode()[0]
    assert {"CD79A", "MS4A1"} & set(first.loc[first["cluster"] == of_b, "gene"])
    called = adata.obs["cicl_marker_list"].astype(str)
    assert (called[adata.obs["bulk_labels"] == "CD19+ B"] == "B cell").mean() > 0.9
    assert (called[adata.obs["bulk_labels"] == "CD14+ Monocyte"] == "Monocyte").mean() > 0.9


def test_report_holds_every_sample_and_needs_no_other_file(demo):
    report = (demo.outdir / "report" / "cicl_report.html").read_text()
    assert all(sample in report for sample in CELLS)
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=[\"']?(https?:)?//", report)


def test_multiqc_holds_samples_versions_and_methods(demo):
    page = (demo.outdir / "multiqc" / "multiqc_report.html").read_text()
    assert all(text in page for text in (*CELLS, "Parameters of the run", "Methods", "Software Versions"))


def test_versions(demo):
    text = (demo.outdir / "pipeline_info" / "software_versions.yml").read_text()
    for tool in ("cicl", "torch", "scanpy", "Nextflow"):
        assert re.search(rf'^ +{tool}: "\d+\.\d+', text, re.MULTILINE)
    assert "none" not in text


def test_resume_starts_nothing(demo, pipeline):
    again = pipeline(*ARGUMENTS, *TITLE, "-resume", folder=demo.folder)
    assert again.status == 0, again.text
    assert again.tasks == []
    assert again.text.count("Cached process > ") == len(demo.tasks)
