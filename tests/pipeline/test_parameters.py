"""Help, version, and parameters that cannot be used."""

import dataclasses
import json
import re
from pathlib import Path

import pytest
from sccicl.config import PRESETS, Config


def visible(folder):
    """Files and folders in a launch folder, but for the work folder, which every start of Nextflow makes."""
    return {path.name for path in folder.glob("[!.]*")} - {"work"}


def test_help(nextflow, root):
    run = nextflow("run", root, "--help")
    assert run.status == 0
    for text in ("Input and output", "--input <file>", "--n_clusters", "[default: auto]", "<counts|normalised|log>"):
        assert text in run.text
    assert visible(run.folder) == set()
    # As on a terminal of 80 columns: the first words are Nextflow's own
    page = run.text[run.text.index("CICL for Nextflow ") :].splitlines()
    assert [line for line in page if len(line) > 80] == []
    groups = [group["title"] for group in schema(root)["$defs"].values() if shown(group)]
    assert [line for line in page if line in groups] == groups
    named = [line.split()[0].removeprefix("--") for line in page if re.match(r"  --\w", line)]
    assert named == [name for group in schema(root)["$defs"].values() for name in shown(group)]


def schema(root):
    return json.loads((Path(root) / "nextflow_schema.json").read_text())


def shown(group):
    return [name for name, text in group["properties"].items() if not text.get("hidden")]


def test_help_of_one_parameter(nextflow, root):
    run = nextflow("run", root, "--help", "input")
    assert run.status == 0
    assert "next to the samplesheet" in run.text


def test_version(nextflow, root):
    run = nextflow("run", root, "--version")
    assert run.status == 0
    assert run.text.strip().splitlines()[-1].startswith("CICL for Nextflow ")


@pytest.fixture(scope="module")
def refused(nextflow, root, tmp_path_factory):
    """One start with everything wrong at once, for a start takes seconds."""
    arguments = {
        "inptu": "x",
        "n-genes": "5",
        "seed": "abc",
        "preset": "papr",
        "n_clusters": "0",
        "temperature": "0",
        "epochs": "1.5",
        "batch_size": "1",
        "input_kind": "'; touch hacked; '",
        "marker_list": "nowhere.csv",
        "export": "excel",
        "checkpoint_dir": "s3://bucket/x",
    }
    words = [word for name, value in arguments.items() for word in (f"--{name}", value)]
    # YAML reads a plain off as false.
    values = tmp_path_factory.mktemp("values") / "values.yml"
    values.write_text("doublets: off\n")
    return nextflow("run", root, *words, "-params-file", str(values), "--label_col")


@pytest.mark.parametrize(
    "sentence",
    [
        "Unknown parameter --inptu: did you mean --input?",
        "did you mean --n_genes?",
        "Parameter --seed must be a whole number, not 'abc'.",
        "Parameter --preset must be one of default, paper, not 'papr'.",
        "Parameter --n_clusters must be auto or a whole number from 1 up, or several with commas, not '0'.",
        "Parameter --temperature must be at least 0.05, not '0'.",
        "Parameter --epochs must be a whole number, not '1.5'.",
        "Parameter --batch_size must be at least 2, not '1'.",
        "Parameter --input_kind must be one of counts, normalised, log",
        "Parameter --marker_list: there is no file 'nowhere.csv'",
        "Parameter --export must be cellxgene, seurat, loupe or several of them, separated by commas, not 'excel'.",
        "Parameter --checkpoint_dir must be a folder of a file system, no address, without ' in its path, not 's3://bucket/x'.",
        "Parameter --label_col needs a value",
        "Parameter --doublets is false, as which YAML reads a plain off: put quotes around it, 'off'.",
        "Parameter --outdir is missing",
        "Parameter --input is missing",
    ],
)
def test_refusal(refused, sentence):
    assert f"ERROR: {sentence}" in refused.text or (sentence.startswith("did") and sentence in refused.text)


def test_nothing_is_started_or_written(refused):
    assert refused.status == 2
    assert refused.tasks == []
    assert visible(refused.folder) == set()


def test_validation_can_be_left_out(pipeline):
    run = pipeline("-profile", "test", "-stub", "--validate_params", "false", "--my_site", "x", "--skip_multiqc")
    assert run.status == 0, run.text
    assert "DEMO_DATA" in run.tasks


@pytest.fixture(scope="module")
def described(root):
    return {name: text for group in schema(root)["$defs"].values() for name, text in group["properties"].items()}


def test_schema_and_defaults_name_the_same_parameters(nextflow, root, described):
    run = nextflow("config", "-flat", root)
    defaults = dict(re.findall(r"^params\.(\w+) = (.*)$", run.text, re.MULTILINE))
    assert set(defaults) == set(described)
    for name, text in described.items():
        assert text["description"].endswith(".")
        if "default" in text:
            assert defaults[name].strip("'") == json.dumps(text["default"]).strip('"')


def test_schema_has_the_bounds_of_the_engine(described):
    fields = {field.name: field for field in dataclasses.fields(Config)}
    assert set(described["preset"]["enum"]) == set(PRESETS)
    for name in set(described) & set(fields):
        assert described[name].get("minimum") == fields[name].metadata["low"]
        assert described[name].get("maximum") == fields[name].metadata["high"]
