"""The way of the samples through the processes, without the work."""

import http.server
import json
import threading
from functools import partial

import pytest

READS = ("sheets/l1_R1.fastq.gz", "sheets/l1_R2.fastq.gz")
FILES = ("sheets/a.h5ad", "sheets/b (1).h5ad", "c.h5ad", "u.h5ad", "d.h5ad", *READS)
REFERENCES = ("genome.fa", "genes.gtf")
SHEET = ("--input", "sheets/sheet.csv", "--fasta", "genome.fa", "--gtf", "genes.gtf")


@pytest.fixture(scope="module")
def launch(tmp_path_factory):
    """A launch folder with inputs beside the samplesheet and in the launch folder."""
    folder = tmp_path_factory.mktemp("launch")
    (folder / "sheets").mkdir()
    for name in (*FILES, *REFERENCES):
        (folder / name).touch()
    return folder


@pytest.fixture(scope="module")
def stub(launch, pipeline):
    # As a spreadsheet on Windows writes it: BOM, CRLF, semicolons, quotes, empty rows at the end
    rows = [
        "sample;input;n_clusters;label_col;note;fastq_1;fastq_2;group;cell_calling",
        'a;a.h5ad;4;"cell; type";x',
        's_2.x-1;"b (1).h5ad";;',
        "c;c.h5ad",
        "r;;;;;l1_R1.fastq.gz;l1_R2.fastq.gz",
        "u;u.h5ad;;;;;;;true",
        "d1;d.h5ad;;;;;;g",
        "d2;d.h5ad;;;;;;g",
        ";;;;",
        "",
    ]
    (launch / "sheets" / "sheet.csv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(rows).encode())
    run = pipeline("-stub", *SHEET, "--label_col", "it's $HOME", "--n_clusters", "7", folder=launch)
    assert run.status == 0, run.text
    return run


def test_tasks(stub):
    samples = ("a", "s_2.x-1", "c", "r", "u", "g")
    expected = [f"{process} ({sample})" for process in ("PREPARE", "CICL", "MARKERS", "PLOT") for sample in samples]
    of_reads = [
        "CHECK_READS (r)",
        "REFERENCE (genome)",
        "STAR_GENOMEGENERATE (genome.fa)",
        "STAR_STARSOLO (r)",
        "CALL_CELLS (r)",
        "CALL_CELLS (u)",
    ]
    sums = [f"CHECKSUMS ({sample})" for sample in ("r", "u", "d1", "d2")]
    assert sorted(stub.tasks) == sorted([*expected, *of_reads, *sums, "JOIN (g)", "REPORT", "MULTIQC (run)"])


def test_unused_column_is_mentioned(stub):
    assert "the column 'note' is not used" in stub.text


def test_results_lie_in_folders_of_samples(stub):
    found = {path.name for path in (stub.outdir / "s_2.x-1").iterdir()}
    assert "s_2.x-1.h5ad" in found
    assert "s_2.x-1.clustered.h5ad" not in found


def test_parameters_are_recorded(stub):
    (path,) = (stub.outdir / "pipeline_info").glob("params_*.json")
    assert json.loads(path.read_text())["n_clusters"] == 7


def test_strict_parser_with_cell_types_and_exports(launch, pipeline, stub, monkeypatch):
    """The parser of Nextflow 26, which hands over booleans as text, and the processes that a plain run leaves out."""
    monkeypatch.setenv("NXF_SYNTAX_PARSER", "v2")
    (launch / "types.csv").write_text("B cell,CD79A\n")
    flags = {"skip_multiqc": "true"} | dict.fromkeys(("skip_markers", "skip_qc", "join", "integrate", "help"), "false")
    (launch / "flags.json").write_text(json.dumps(flags))
    run = pipeline(
        *("-stub", *SHEET, "-params-file", "flags.json"),
        *("--marker_list", "types.csv", "--export", "cellxgene,loupe"),
        folder=launch,
    )
    assert run.status == 0, run.text
    started = {task.split(" ")[0] for task in run.tasks}
    of_reads = {"CHECKSUMS", "CHECK_READS", "REFERENCE", "STAR_GENOMEGENERATE", "STAR_STARSOLO", "CALL_CELLS"}
    assert started == {"PREPARE", "CICL", "MARKERS", "ANNOTATE", "PLOT", "EXPORT", "REPORT", "JOIN"} | of_reads
    folder = run.outdir / "a"
    assert (folder / "a.annotation.csv").exists() and (folder / "export" / "a.cellxgene.h5ad").exists()


def test_a_list_in_yaml_with_an_address(pipeline, tmp_path):
    """Nextflow fetches what has an address, and stages names that a shell would expand."""
    served = tmp_path / "served"
    served.mkdir()
    (served / "far.h5ad").touch()
    (tmp_path / "near [1] x*.h5ad").touch()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(served))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/far.h5ad"
        sheet = f"- {{sample: '001', input: '{address}'}}\n- sample: near\n  input: 'near [1] x*.h5ad'\n"
        (tmp_path / "samples.yml").write_text(sheet)
        run = pipeline("-stub", "--input", "samples.yml", "--skip_multiqc", "--skip_markers", folder=tmp_path)
        server.shutdown()
    assert run.status == 0, run.text
    assert sorted(task for task in run.tasks if task != "REPORT") == sorted(
        f"{process} ({sample})" for process in ("PREPARE", "CICL", "PLOT") for sample in ("001", "near")
    )


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass
