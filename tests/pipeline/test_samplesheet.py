"""Samplesheets as people write them: what is accepted, and what is refused with which sentence."""

import json
import os
import random
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
    "capitals.csv": b"Sample,INPUT\ns1,data.h5ad\n",
    "comments.csv": b"# of Monday\nsample,input\n# the first\ns1,data.h5ad\n",
    "list.yml": b"# of Monday\n- sample: s1\n  input: data.h5ad\n  n_clusters:\n",
    "list.yaml": b"- {Sample: 's1', Input: \"data.h5ad\", batch_col: ~}\n",
    "list.json": b'[{"sample": "s1",\n\t"input": "data.h5ad", "batch_col": null}]',
}
# Names of files that a shell or Nextflow would expand, or that a cell has to be quoted for
ODD_FILES = [
    "a b.h5ad",
    "it's.h5ad",
    'say "x".h5ad',
    "x*.h5ad",
    "x?.h5ad",
    "x[1].h5ad",
    "a,b;c.h5ad",
    "~x.h5ad",
    "#1.h5ad",
]
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
    "latin1.csv": (
        b"sample,input\ns1,d\xe4.h5ad\n",
        "latin1.csv is not UTF-8: save it as CSV (UTF-8) in your spreadsheet",
    ),
    "excel.csv": (b"PK\x03\x04\x00", "The samplesheet excel.csv is not a text file: save it as CSV (UTF-8)"),
    "duplicate.csv": (
        b"sample,input\ns1,data.h5ad\ns2,data.h5ad\ns1,data.h5ad\n",
        "duplicate.csv, rows 2 and 4, column sample: 's1' is there 2 times; give each sample its own name.",
    ),
    "no_name.csv": (b"sample,input\n,data.h5ad\n", "no_name.csv, row 2, column sample: the cell is empty"),
    "no_path.csv": (b"sample,input\n\ns1,\n", "no_path.csv, row 3, column input: the cell is empty"),
    "bad_scheme.csv": (b"sample,input\ns1,x://y.h5ad\n", "row 2, column input: 'x://y.h5ad' does not exist"),
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
    "no_fastq_2.csv": (
        b"sample,fastq_1\ns1,a_R1.fastq.gz\n",
        "no_fastq_2.csv has no column 'fastq_2': its header is 'sample,fastq_1', and must hold sample, fastq_1 and "
        "fastq_2.",
    ),
    "unpaired.csv": (
        b"sample,fastq_1,fastq_2\ns1,a_R1.fastq.gz,\n",
        "unpaired.csv, row 2, column fastq_2: the cell is empty, but fastq_1 is not; reads of 10x come in pairs",
    ),
    "both.csv": (
        b"sample,input,fastq_1,fastq_2\ns1,data.h5ad,a_R1.fastq.gz,a_R2.fastq.gz\n",
        "both.csv, row 2: it has counts (input) and reads (fastq_1, fastq_2); keep one of them.",
    ),
    "neither.csv": (
        b"sample,input,fastq_1,fastq_2\ns1,,,\n",
        "column input: the cell is empty; give the path of the sample's counts, or its reads in fastq_1 and fastq_2.",
    ),
    "same.csv": (
        b"sample,fastq_1,fastq_2\ns1,a_R1.fastq.gz,a_R1.fastq.gz\n",
        "same.csv, row 2: fastq_1 and fastq_2 are the same file",
    ),
    "bam.csv": (
        b"sample,fastq_1,fastq_2\ns1,data.h5ad,a_R2.fastq.gz\n",
        "column fastq_1: 'data.h5ad' must end in .fastq, .fq, .fastq.gz or .fq.gz",
    ),
    "comma.csv": (
        b'sample,fastq_1,fastq_2\ns1,"a,b_R1.fastq.gz",a_R2.fastq.gz\n',
        "and the file's name hold no blank and no comma; give the reads as FASTQ.",
    ),
    "lane_twice.csv": (
        b"sample,fastq_1,fastq_2\ns1,a_R1.fastq.gz,a_R2.fastq.gz\ns1,a_R1.fastq.gz,b_R2.fastq.gz\n",
        "lane_twice.csv, rows 2 and 3: 'a_R1.fastq.gz' is there 2 times; give each file of reads once.",
    ),
    "lanes_differ.csv": (
        b"sample,fastq_1,fastq_2,expected_cells\ns1,a_R1.fastq.gz,a_R2.fastq.gz,5\ns1,b_R1.fastq.gz,b_R2.fastq.gz,6\n",
        "rows 2 and 3, column expected_cells: the lanes of 's1' have different values; give one of them.",
    ),
    "no_cells.csv": (
        b"sample,fastq_1,fastq_2,expected_cells\ns1,a_R1.fastq.gz,a_R2.fastq.gz,0\n",
        "column expected_cells: '0' is no whole number from 1 up",
    ),
    "lone_group.csv": (
        b"sample,input,group\ns1,data.h5ad,g\ns2,data.h5ad,\n",
        "lone_group.csv, row 2, column group: the group 'g' has one sample only, 's1'; give it another one",
    ),
    "group_name.csv": (
        b"sample,input,group\ns1,data.h5ad,s1\ns2,data.h5ad,s1\n",
        "group_name.csv, rows 2 and 3, column group: 's1' cannot name the result",
    ),
    "group_differs.csv": (
        b"sample,input,group,n_clusters\ns1,data.h5ad,g,5\ns2,data.h5ad,g,\ns3,data.h5ad,g,8\n",
        "group_differs.csv, rows 2 and 4, column n_clusters: the samples of the group 'g' have different values",
    ),
    "home.csv": (
        b"sample,input\ns1,~/x.h5ad\n",
        "home.csv, row 2, column input: '~/x.h5ad' does not exist; ~ and variables are not expanded in a samplesheet",
    ),
    "variable.csv": (b"sample,input\ns1,$HOME/x.h5ad\n", "'$HOME/x.h5ad' does not exist; ~ and variables are not"),
    "pattern.csv": (
        b"sample,input\ns1,d*/y.h5ad\n",
        "'d*/y.h5ad' does not exist; patterns such as *.h5ad are not expanded, so give each file a row of its own.",
    ),
    "windows_path.csv": (
        b"sample,input\ns1,C:\\data\\x.h5ad\n",
        "'C:\\data\\x.h5ad' is a path of Windows; write it as",
    ),
    "web.csv": (
        b"sample,input\ns1,http://localhost:1/x.h5ad\n",
        "'http://localhost:1/x.h5ad' cannot be reached; check the address and the network, or download the file and",
    ),
    "bucket.csv": (
        b"sample,input\ns1,s3://bucket/x.h5ad\n",
        "'s3://bucket/x.h5ad' cannot be reached; addresses of this kind need the plugin nf-amazon",
    ),
    "broken.yml": (b"- sample: [s1\n", "broken.yml cannot be read as YAML ("),
    "broken.json": (b'[{"sample": }]', "broken.json cannot be read as JSON ("),
    "mapping.yml": (
        b"s1: data.h5ad\n",
        "mapping.yml is no list of samples: write it as - {sample: s1, input: s1.h5ad}",
    ),
    "mapping.json": (b'{"s1": "data.h5ad"}', "mapping.json is no list of samples: write it as [{"),
    "empty.yml": (b"", "empty.yml is no list of samples"),
    "none.json": (b"[]", "none.json has no samples: add an entry for each sample."),
    "nested.yml": (
        b"- sample: s1\n  input: [data.h5ad, data.h5ad]\n",
        "nested.yml, entry 1: 'input' holds a list or a mapping; give one value.",
    ),
    "twice.yml": (
        b"- {sample: s1, input: data.h5ad, input: x.h5ad}\n",
        "twice.yml, entry 1 has 'input' twice: keep one",
    ),
    "same.yml": (
        b"- {sample: s1, input: data.h5ad}\n- {sample: s1, input: data.h5ad}\n",
        "same.yml, entries 1 and 2, column sample: 's1' is there 2 times; give each sample its own name.",
    ),
    "missing.csv": (None, "missing.csv' does not exist: check --input."),
    "folder.csv": (None, "folder.csv' is a folder: give the CSV file with --input."),
}


READS = b"""sample,input,fastq_1,fastq_2,expected_cells,n_clusters
s1,,a_R1.fastq.gz,a_R2.fastq.gz,300,
s2,data.h5ad,,,,
s1,,b_R1.fastq.gz,b_R2.fastq.gz,,4
"""


@pytest.fixture(scope="module")
def outcomes(nextflow, tmp_path_factory):
    """All sheets in one start of Nextflow."""
    folder = tmp_path_factory.mktemp("sheets")
    (folder / "folder.csv").mkdir()
    contents = ACCEPTED | {name: content for name, (content, _) in REFUSED.items() if content is not None}
    values = b'sample,input,n_clusters,label_col,batch_col\ns1,data.h5ad,12,,"it\'s, ""so"""\n'
    contents |= {"values.csv": values, "data.h5ad": b"sample,input\n", "reads.csv": READS}
    contents["group.csv"] = b"sample,input,group,n_clusters,batch_col\ns1,data.h5ad,g,,\ns2,data.h5ad,g,12,b\n"
    contents |= {f"{lane}_R{mate}.fastq.gz": b"" for lane in ("a", "b", "a,b") for mate in (1, 2)}
    # A number, a truth and a date of YAML are names here.
    contents["names.yml"] = b"".join(b"- {sample: %s, input: data.h5ad}\n" % name for name in (b"001", b"no", b"1e5"))
    cells = ['"' + name.replace('"', '""') + '"' for name in ODD_FILES]
    contents["odd.csv"] = ("sample,input\n" + "".join(f"s{i},{cell}\n" for i, cell in enumerate(cells))).encode()
    contents["odd.json"] = json.dumps([{"sample": f"s{i}", "input": name} for i, name in enumerate(ODD_FILES)]).encode()
    contents |= dict.fromkeys(ODD_FILES, b"")
    for name, content in contents.items():
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


def test_names_in_yaml_are_text(outcomes):
    assert [sample["id"] for sample in outcomes["names.yml"]] == ["001", "no", "1e5"]


@pytest.mark.parametrize("sheet", ["odd.csv", "odd.json"])
def test_files_with_odd_names_are_found(outcomes, sheet):
    assert [sample["input"] for sample in outcomes[sheet]] == [f"{outcomes['folder']}/{name}" for name in ODD_FILES]


def test_values_of_a_row_override_the_parameters(outcomes):
    (sample,) = outcomes["values.csv"]
    assert sample["n_clusters"] == "12"
    assert sample["label_col"] == "cell_type"
    assert sample["batch_col"] == 'it\'s, "so"'
    assert "counts_layer" not in sample


def test_samples_of_a_group_share_what_one_of_them_has(outcomes):
    first, second = outcomes["group.csv"]
    assert (first["n_clusters"], second["n_clusters"]) == ("12", "12")
    assert "batch_col" not in first and second["batch_col"] == "b"


def test_rows_of_reads_are_lanes_of_their_sample(outcomes):
    reads, counts = outcomes["reads.csv"]
    assert reads["input"] == [["a_R1.fastq.gz", "a_R2.fastq.gz"], ["b_R1.fastq.gz", "b_R2.fastq.gz"]]
    assert (reads["id"], reads["expected_cells"], reads["n_clusters"]) == ("s1", "300", "4")
    assert counts["input"] == f"{outcomes['folder']}/data.h5ad"
    assert "expected_cells" not in counts


PIECES = [
    b"\x00", b"\xff", BOM, b"\r", b"\n\n", b'"', b"'", b",", b";", b"\t", b"#", b"$(x)", b"${x}", b"-1",
    b"nan", b"1e9",
          b"99999999999999999999", b" ", b"..", b"/", b"*", b"data.h5ad", b"s1", b"auto",
    "ä細🧬".encode(), b"x" * 300,
          b"true", b"%s", b"\\", b"http://", b"s3://b/c", b"file:",
    b"\x1b[2J", "\u2028".encode(),
]  # fmt: skip
WHOLE = [
    b"sample,input,n_clusters,label_col,batch_col,group\ns1,data.h5ad,5,a,b,g\ns2,data.h5ad,5,,,g\n",
    READS,
    b"sample,input,cell_calling,expected_cells\ns1,data.h5ad,true,300\ns2,data.h5ad,false,\n",
]


def odd_sheet(rng: random.Random) -> bytes:
    """A sheet with one to four pieces put in, taken out, or in the place of a cell."""
    text = rng.choice(WHOLE)
    for _ in range(rng.randint(1, 4)):
        at, piece = rng.randrange(len(text) + 1), rng.choice(PIECES)
        end = next((i for i in range(at, len(text)) if text[i : i + 1] in b",\n"), len(text))
        text = rng.choice(
            [
                text[:at] + piece + text[at:],
                text[:at] + piece + text[end:],
                text[:at] + text[end:],
                text[:at],
                text + text[at:],
            ]
        )
    return text


def test_odd_sheets_are_read_or_refused_in_sentences(nextflow, tmp_path):
    """In one start of Nextflow; what is read has a name for files, an input that exists, and settings of their form."""
    n = int(os.environ.get("CICL_EXAMPLES", 200))
    sheets = {f"{i:04d}.csv": odd_sheet(random.Random(i)) for i in range(n)}
    sheets |= {"data.h5ad": b""} | {f"{lane}_R{mate}.fastq.gz": b"" for lane in "ab" for mate in (1, 2)}
    for name, content in sheets.items():
        (tmp_path / name).write_bytes(content)
    run = nextflow("run", str(Path(__file__).with_name("samplesheets.nf")), "--folder", str(tmp_path))
    assert run.status == 0, run.text
    (line,) = [line for line in run.text.splitlines() if line.startswith("OUTCOMES ")]
    found = {name: outcome for name, outcome in json.loads(line.removeprefix("OUTCOMES ")).items() if name in sheets}
    found = {name: outcome for name, outcome in found.items() if name.endswith(".csv")}
    assert len(found) == n
    refused = {name: outcome for name, outcome in found.items() if isinstance(outcome, str)}
    assert 0.2 * n < len(refused) < n
    for name, told in refused.items():
        for sentence in told.splitlines():
            assert sentence.startswith(("ERROR: ", "... and ")), (name, sheets[name], told)
            assert not sentence.startswith("ERROR: ") or (name in sentence and len(sentence) > 40), (name, told)
    for name in set(found) - set(refused):
        for sample in found[name]:
            assert sample["id"].isprintable() and sample["id"][0].isalnum() | (sample["id"][0] == "_"), sheets[name]
            assert sample["input"], sheets[name]
            assert all(part == "auto" or int(part) > 0 for part in sample["n_clusters"].split(",")), sheets[name]


def test_a_bad_sheet_stops_the_run_before_any_task(pipeline, tmp_path):
    (tmp_path / "sheet.csv").write_text("sample,input\na;rm -rf x,nothing.h5ad\n")
    run = pipeline("--input", "sheet.csv", folder=tmp_path)
    assert run.status == 2
    assert run.tasks == []
    assert "ERROR: sheet.csv, row 2, column sample: 'a;rm -rf x' cannot name files" in run.text
    assert "ERROR: sheet.csv, row 2, column input: 'nothing.h5ad' does not exist" in run.text


def test_joined_samples_must_not_differ_nor_integration_lack_batches(pipeline, tmp_path):
    """What one of the samples is asked for would be dropped without a word."""
    (tmp_path / "cells.h5ad").touch()
    (tmp_path / "differ.csv").write_text("sample,input,n_clusters\na,cells.h5ad,5\nb,cells.h5ad,8\n")
    run = pipeline("-stub", "--input", "differ.csv", "--join", folder=tmp_path)
    assert (run.status, run.tasks) == (2, [])
    assert "rows 2 and 3, column n_clusters: the samples of the group 'joined' have different values" in run.text
    run = pipeline("-stub", "--input", "differ.csv", "--integrate", folder=tmp_path)
    assert (run.status, run.tasks) == (2, [])
    assert "ERROR: --integrate needs the batch of each cell: name its column of obs with --batch_col" in run.text


def test_bad_data_stop_the_run_with_the_engine_s_sentence(pipeline, tmp_path):
    (tmp_path / "cells.h5ad").write_text("these are no cells")
    (tmp_path / "sheet.csv").write_text("sample,input\ns1,cells.h5ad\n")
    run = pipeline("--input", "sheet.csv", folder=tmp_path)
    assert run.status != 0
    assert run.tasks == ["PREPARE (s1)"], "bad input must not be tried again"
    assert run.text.strip().splitlines()[-1].startswith("ERROR: ")
    assert not (tmp_path / "results" / "s1").exists()
