"""Samplesheets as people write them: what is accepted, and what is refused with which sentence."""

import json
from pathlib import Path

import pytest

BOM = b"\xef\xbb\xbf"
ACCEPTED = {
    "plain.csv": b"sample,input\ns1,data.h5ad\n",
    "windows.csv": BOM + b"sample,input\r\ns1,data.h5ad\r\n,\r\n\r\n",
    "old_mac.csv": b"sample,input\rs1,data.h5ad",
    "quoted.csv": b'"sample","input"\n"s1","data.h5ad"\n',
    "semicolon.csv": b"sample;input\ns1;data.h5ad\n",
    "tabs.tsv": b"sample\tinput\ns1\tdata.h5ad\n",
    "blanks.csv": b" sample , input \n\n s1 , data.h5ad \n",
    "short_row.csv": b"sample,input,n_clusters\ns1,data.h5ad\n",
    "long_row.csv": b"sample,input\ns1,data.h5ad,,\n",
    "empty_first.csv": b"note,sample,input\n,s1,data.h5ad\n",
    "other_order.csv": b"input,sample\ndata.h5ad,s1\n",
}
REFUSED = {
    "empty.csv": (
        b"",
        "The samplesheet empty.csv is empty: give it the header sample,input and a row for each sample.",
    ),
    "header_only.csv": (b"sample,input\n", "header_only.csv has a header but no samples: add a row for each sample."),
    "no_input.csv": (
        b"sample,file\ns1,data.h5ad\n",
        "no_input.csv has no column 'input': its header is 'sample,file', and must hold sample and input.",
    ),
    "column_twice.csv": (
        b"sample,input,input\ns,data.h5ad,x\n",
        "column_twice.csv has the column 'input' twice: keep one of them.",
    ),
    "excel.csv": (b"PK\x03\x04\x00", "The samplesheet excel.csv is not a text file: save it as CSV (UTF-8)"),
    "duplicate.csv": (
        b"sample,input\ns1,data.h5ad\ns2,data.h5ad\ns1,data.h5ad\n",
        "duplicate.csv, rows 2 and 4, column sample: 's1' is there 2 times; give each sample its own name.",
    ),
    "no_name.csv": (b"sample,input\n,data.h5ad\n", "no_name.csv, row 2, column sample: the cell is empty"),
    "no_path.csv": (b"sample,input\n\ns1,\n", "no_path.csv, row 3, column input: the cell is empty"),
    "bad_path.csv": (b"sample,input\ns1,x.h5ad\n", "bad_path.csv, row 2, column input: 'x.h5ad' does not exist"),
    "shell.csv": (
        b"sample,input\na;rm -rf x,data.h5ad\n",
        "shell.csv, row 2, column sample: 'a;rm -rf x' cannot name files",
    ),
    "dot.csv": (b"sample,input\n../s,data.h5ad\n", "dot.csv, row 2, column sample: '../s' cannot name files"),
    "dash.csv": (b"sample,input\n-s,data.h5ad\n", "dash.csv, row 2, column sample: '-s' cannot name files"),
    "report.csv": (b"sample,input\nreport,data.h5ad\n", "column sample: 'report' is the name of a folder of the run"),
    "zero.csv": (
        b"sample,input,n_clusters\ns1,data.h5ad,0\n",
        "zero.csv, row 2, column n_clusters: '0' is neither auto nor",
    ),
    "word.csv": (b"sample,input,n_clusters\ns1,data.h5ad,many\n", "column n_clusters: 'many' is neither auto nor"),
    "wide.csv": (b"sample,input\ns1,data.h5ad,4\n", "wide.csv, row 2 has 3 cells, but the header has 2"),
    "missing.csv": (None, "missing.csv' does not exist: check --input."),
    "folder.csv": (None, "folder.csv' is a folder: give the CSV file with --input."),
}


@pytest.fixture(scope="module")
def outcomes(nextflow, tmp_path_factory):
    """All sheets in one start of Nextflow."""
    folder = tmp_path_factory.mktemp("sheets")
    (folder / "folder.csv").mkdir()
    contents = ACCEPTED | {name: content for name, (content, _) in REFUSED.items() if content is not None}
    values = b'sample,input,n_clusters,label_col,batch_col\ns1,data.h5ad,12,,"it\'s, ""so"""\n'
    for name, content in (contents | {"values.csv": values, "data.h5ad": b"sample,input\n"}).items():
        (folder / name).write_bytes(content)
    run = nextflow("run", str(Path(__file__).with_name("samplesheets.nf")), "--folder", str(folder))
    assert run.status == 0, run.text
    (line,) = [line for line in run.text.splitlines() if line.startswith("OUTCOMES ")]
    return json.loads(line.removeprefix("OUTCOMES ")) | {"folder": str(folder)}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(outcomes, name):
    expected = {"id": "s1", "n_clusters": "auto", "label_col": "cell_type", "input": f"{outcomes['folder']}/data.h5ad"}
    assert outcomes[name] == [expected]


@pytest.mark.parametrize("name", REFUSED)
def test_refused(outcomes, name):
    assert isinstance(outcomes[name], str)
    assert len(outcomes[name].splitlines()) == 1
    assert outcomes[name].startswith("ERROR: ")
    assert REFUSED[name][1] in outcomes[name]


def test_values_of_a_row_override_the_parameters(outcomes):
    (sample,) = outcomes["values.csv"]
    assert sample["n_clusters"] == "12"
    assert sample["label_col"] == "cell_type"
    assert sample["batch_col"] == 'it\'s, "so"'
    assert "counts_layer" not in sample


def test_a_bad_sheet_stops_the_run_before_any_task(pipeline, tmp_path):
    (tmp_path / "sheet.csv").write_text("sample,input\na;rm -rf x,nothing.h5ad\n")
    run = pipeline("--input", "sheet.csv", folder=tmp_path)
    assert run.status == 2
    assert run.tasks == []
    assert "ERROR: sheet.csv, row 2, column sample: 'a;rm -rf x' cannot name files" in run.text
    assert "ERROR: sheet.csv, row 2, column input: 'nothing.h5ad' does not exist" in run.text


def test_bad_data_stop_the_run_with_the_engine_s_sentence(pipeline, tmp_path):
    (tmp_path / "cells.h5ad").write_text("these are no cells")
    (tmp_path / "sheet.csv").write_text("sample,input\ns1,cells.h5ad\n")
    run = pipeline("--input", "sheet.csv", folder=tmp_path)
    assert run.status != 0
    assert run.tasks == ["PREPARE (s1)"], "bad input must not be tried again"
    assert run.text.strip().splitlines()[-1].startswith("ERROR: ")
    assert not (tmp_path / "results" / "s1").exists()
