"""Text from samplesheets, names of files and columns never reach a shell as code, nor a page as markup."""

import hashlib
import json
import re
import sys
from pathlib import Path

import pytest

HOSTILE_SAMPLES = [
    "a;rm -rf x", "$(id)", "../../x", "`id`", "a b", "a'b", "a|b", "a&b", "a>b", "a*", "-rf", ".hidden", "s/1",
    "né", "样本", "a\\nb", "$HOME", "~root", "..", "{a,b}",
]  # fmt: skip
# Everything that a shell knows, in the name of a file
HOSTILE_FILE = 'it\'s "5" `touch hacked`; touch hacked & | > (x) [x]* ~ ! # é.h5ad'
HOSTILE_COLUMN = "it's $(touch hacked) <img src=x onerror=alert(1)>"


# Nextflow's own staging would expand the first three, and take the last for an option.
REFUSED_FILES = ["$HOME.h5ad", "${HOME}.h5ad", "{a,b}.h5ad", "-rf.h5ad"]


@pytest.fixture(scope="module")
def refusals(nextflow, tmp_path_factory):
    """What is said of a sheet of hostile names of samples, and of one of such files, in one start of Nextflow."""
    folder = tmp_path_factory.mktemp("names")
    for name in ("cells.h5ad", *REFUSED_FILES):
        (folder / name).touch()
    of_files = [f'file_{i},"{name}"' for i, name in enumerate(REFUSED_FILES)]
    of_samples = [*(f'"{name}",cells.h5ad' for name in HOSTILE_SAMPLES), *of_files]
    for name, rows in (("samples.csv", of_samples), ("files.csv", of_files)):
        (folder / name).write_text("\n".join(["sample,input", *rows]), encoding="utf-8")
    run = nextflow("run", str(Path(__file__).with_name("samplesheets.nf")), "--folder", str(folder))
    assert run.status == 0, run.text
    (line,) = [line for line in run.text.splitlines() if line.startswith("OUTCOMES ")]
    return json.loads(line.removeprefix("OUTCOMES "))


def test_names_of_samples(refusals):
    # The run tells 20 errors and how many more there are.
    for row, name in list(enumerate(HOSTILE_SAMPLES, 2))[:20]:
        assert f"samples.csv, row {row}, column sample: '{name}' cannot name files" in refusals["samples.csv"]
    assert f"and {len(HOSTILE_SAMPLES) + len(REFUSED_FILES) - 20} more errors" in refusals["samples.csv"]


def test_names_of_inputs(refusals):
    for row, name in enumerate(REFUSED_FILES, 2):
        assert f"row {row}, column input: '{name}' cannot be staged" in refusals["files.csv"]


@pytest.fixture(scope="module")
def hostile(pipeline, root, tmp_path_factory):
    """A real run on cells whose file, columns and title hold all that a shell or a browser would take for code."""
    sys.path.insert(0, f"{root}/tests/helpers")
    from simulate import simulate_cells

    folder = tmp_path_factory.mktemp("hostile")
    cells = simulate_cells(n_cells=60, n_types=3)
    cells.obs[HOSTILE_COLUMN] = [f"<script>alert('{kind}')</script>" for kind in cells.obs["cell_type"]]
    cells.var_names = ["ERCC-00002", *cells.var_names[1:]]
    cells.write_h5ad(folder / HOSTILE_FILE)
    quoted = ['"' + text.replace('"', '""') + '"' for text in (HOSTILE_FILE, HOSTILE_COLUMN)]
    (folder / "sheet.csv").write_text("sample,input,label_col\ns1," + ",".join(quoted) + "\n", encoding="utf-8")
    options = ["--n_clusters", "3", "--epochs", "1", "--multiqc_title", "it's $(touch hacked) <b>bold</b>"]
    run = pipeline("--input", "sheet.csv", *options, folder=folder)
    assert run.status == 0, run.text
    return run


def test_nothing_was_run(hostile):
    assert not list(hostile.folder.rglob("hacked"))


def test_warnings_are_among_the_last_lines_of_the_run(hostile):
    last = hostile.text.split("The report of the run: ")[1]
    assert "WARNING: s1: " in last and "are no genes and are left out: 1 spike-in ('ERCC-00002')" in last


def test_columns_and_titles_are_text_on_the_page(hostile):
    page = (hostile.outdir / "report" / "cicl_report.html").read_text()
    own = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert "<img src=x" not in own and "<b>bold" not in own
    assert "alert('type" not in own.replace("&#39;", "_").replace("\\u0027", "_")
    metrics = json.loads((hostile.outdir / "s1" / "s1.metrics.json").read_text())
    assert metrics["label_col"] == HOSTILE_COLUMN


def test_inputs_are_recorded_with_their_checksums(hostile):
    lines = (hostile.outdir / "pipeline_info" / "input_checksums.tsv").read_text().splitlines()
    content = (hostile.folder / HOSTILE_FILE).read_bytes()
    expected = ["s1", HOSTILE_FILE, str(len(content)), hashlib.sha256(content).hexdigest()]
    assert lines == ["sample\tfile\tbytes\tsha256", "\t".join(expected)]
    metrics = json.loads((hostile.outdir / "s1" / "s1.metrics.json").read_text())
    assert metrics["input_sha256"] == expected[-1]


def modules():
    return sorted((Path(__file__).resolve().parents[2] / "modules").rglob("main.nf"))


@pytest.mark.parametrize("path", modules(), ids=lambda path: "_".join(path.parts[-3:-1]))
def test_modules_quote_the_names_of_their_inputs(path):
    """Nextflow puts a backslash before a blank, which breaks `'${file}'`; `${quoted(file.name)}` and `${file}` hold."""
    text = path.read_text()
    inputs = re.search(r"^    input:(.*?)^    output:", text, re.MULTILINE | re.DOTALL)
    names = re.findall(r"path\(?\s*([a-z_]\w*)", inputs[1]) if inputs else []
    scripts = re.findall(r'"""(.*?)"""', text, re.DOTALL)
    wrong = [name for name in names for script in scripts if re.search(rf"['\"]\$\{{?{name}\b", script)]
    assert not wrong, f"{path}: quotes around {', '.join(wrong)}"
    # Nor does it put one into the text of a list. Names of samples are checked before.
    lists = [name for script in scripts for name in re.findall(r"\$\{(\w+)\.join\(", script) if name != "samples"]
    assert not lists, f"{path}: names that are not quoted, of {', '.join(lists)}"
