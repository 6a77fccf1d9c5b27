"""Every profile loads, alone or with those it is used with, and asks its queue for what the tasks need."""

import json
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from anndata import AnnData

# What is used together, and what tells that it was loaded
PROFILES = {
    "test,docker": ["docker.enabled = true"],
    "test_full,singularity": ["singularity.enabled = true", "samplesheet_full.csv"],
    "test_gpu,wave": ["wave.enabled = true", "accelerator = {", "params.demo = true"],
    "debug,conda": ["conda.enabled = true"],
    "charliecloud": ["charliecloud.enabled = true"],
    "mamba": ["conda.enabled = true", "conda.useMamba = true"],
    "gpu,podman": ["podman.enabled = true", "maxForks = 1"],
    "gpu,apptainer,slurm": ["apptainer.enabled = true", "process.executor = slurm", "maxForks = 0", "--gres=gpu:"],
    "gpu,sge,array": ["process.executor = sge", "process.array = 100", "-l gpu="],
    "gpu,pbspro": ["process.executor = pbspro", ":ngpus="],
    "gpu,lsf": ["process.executor = lsf", "executor.perJobMemLimit = true", "-gpu num="],
    "gpu,k8s": ["process.executor = k8s", "k8s.namespace = default"],
    "gpu,awsbatch": ["process.executor = awsbatch"],
    "gpu,google-batch": ["process.executor = google-batch", "google.batch.installGpuDrivers = true"],
}
QUEUES = {"slurm", "sge", "pbspro", "lsf", "k8s", "awsbatch", "google-batch"}


def flat(text):
    """Settings of `nextflow config -flat`; the parser v1 prints a map as one value, v2 each of its entries."""
    found = {}
    for line in re.sub(r"\n(?!(?:[\w.]|'with)+.* = )", " ", text).splitlines():
        if " = " not in line or line.startswith("WARN") or "trace_report_suffix" in line:
            continue
        key, value = line.split(" = ", 1)
        value = re.sub(r"_\d{4}-\d\d-\d\d_[\d-]+", "", value)
        entries = re.fullmatch(r"\[(\w+:.*)\]", value.strip())
        if entries:
            parts = re.split(r", (?=\w+:)", entries[1])
            found |= {f"{key}.{name}": value.strip("'") for name, value in (part.split(":", 1) for part in parts)}
        else:
            found[key] = re.sub(r"\s+", " ", value.strip().strip("'"))
    return found


ORDERS = ["slurm,gpu", "slurm,test", "conda,docker", "singularity,conda"]


@pytest.fixture(scope="module")
def configs(nextflow, tmp_path_factory):
    """`configs(profile)`: the settings of both parsers, all in one start of Nextflow; v2 is that of Nextflow 26."""
    to = tmp_path_factory.mktemp("configs") / "found.json"
    script = str(Path(__file__).with_name("configs.nf"))
    run = nextflow("run", script, "--profiles", ";".join([*PROFILES, *ORDERS]), "--to", str(to))
    assert run.status == 0, run.text
    found = json.loads(to.read_text())
    return lambda profile: [flat(found[parser][profile]) for parser in ("v1", "v2")]


@pytest.mark.parametrize("profile", PROFILES)
def test_profile_loads(configs, profile):
    old, new = configs(profile)
    assert old == new
    text = "\n".join(f"{key} = {value}" for key, value in old.items())
    for setting in PROFILES[profile]:
        assert setting in text
    names = profile.split(",")
    assert ("accelerator = {" in text) == bool({"gpu", "test_gpu"} & set(names))
    if QUEUES & set(names):
        # A queue's nodes are not the machine that starts the run, and it hands its GPUs out itself.
        assert old["process.resourceLimits"] == "null" and old["process.'withName:.*'.maxForks"] == "0"
    else:
        assert "process.resourceLimits.cpus" in old and "process.'withName:.*'.maxForks" not in old


@pytest.mark.parametrize("profile", ORDERS)
def test_the_order_of_profiles_does_not_matter(configs, profile):
    """The parser v2 takes the order that was typed, v1 that of the file. Of several engines one is on."""
    old, new = configs(profile)
    if "slurm" in profile:
        assert old == new
        assert new["process.'withName:.*'.maxForks"] == "0" and new["process.resourceLimits"] == "null"
        return
    first, last = profile.split(",")
    assert (new[f"{first}.enabled"], new[f"{last}.enabled"]) == ("false", "true")
    assert (
        len([key for key in old if re.fullmatch(r"(docker|singularity|conda)\.enabled", key) and old[key] == "true"])
        == 1
    )


def declared(root):
    block = re.search(r"^profiles \{(.*?)^\}", (Path(root) / "nextflow.config").read_text(), re.MULTILINE | re.DOTALL)[
        1
    ]
    return set(re.findall(r"^    '?([\w-]+)'? \{", block, re.MULTILINE))


def test_every_profile_is_tried(root):
    assert declared(root) == set(",".join(PROFILES).split(","))


def test_every_profile_is_documented(root):
    text = (Path(root) / "docs" / "usage.md").read_text()
    assert [name for name in sorted(declared(root)) if f"`{name}`" not in text] == []


@pytest.mark.parametrize("profile", ["test,docker,gpu", pytest.param("test,docker", marks=pytest.mark.slow)])
def test_image_of_the_training(nextflow, root, profile):
    run = nextflow(
        "inspect", root, "-profile", profile, "-format", "config", "--outdir", "results", "--validate_params", "false"
    )
    assert run.status == 0, run.text
    image = f"cicl.localhost/cicl-nextflow:0.1.0{'-gpu' if 'gpu' in profile else ''}"
    process = "CICL_FIT" if "gpu" in profile else "CICL"
    assert f"withName: '{process}' {{ container = '{image}' }}" in re.sub(r"\s+", " ", run.text)


def test_the_image_has_one_name(root):
    """What is built and published, what modules and configuration ask for, and what is made for Singularity."""
    folder = Path(root)
    names = {}
    for kind in ("cpu", "gpu"):
        done = subprocess.run([folder / "containers" / "name.sh", kind], capture_output=True, text=True, check=True)
        names[kind] = done.stdout.strip()
    files = [*folder.glob("modules/**/main.nf"), *folder.glob("conf/*.config")]
    asked = {word for path in files for word in re.findall(r"'(\S*cicl-nextflow\S*)'", path.read_text())}
    assert asked == set(names.values())
    for kind, name in names.items():
        # The name that Nextflow looks for, as test_engines.py sees
        assert f"{name.replace('/', '-').replace(':', '-')}.img" in (folder / f"containers/{kind}.def").read_text()
    texts = [path.read_text() for path in folder.glob("modules/**/main.nf")]
    labelled = {text.split("process ")[1].split()[0] for text in texts if "label 'process_gpu'" in text}
    (pattern,) = re.findall(r"withName: '(\S+)' \{\n\s+container", (folder / "conf/gpu.config").read_text())
    assert all(re.fullmatch(pattern, name) for name in labelled)


def test_profiles_of_a_site(nextflow, root, tmp_path, monkeypatch):
    """As those of nf-core/configs, from a folder; an address is left alone where NXF_OFFLINE is set."""
    (tmp_path / "nfcore_custom.config").write_text(
        "profiles { uppmax { params.igenomes_base = '/sw'; process.queue = 'core' } }\n"
    )
    arguments = ["--custom_config_base", str(tmp_path), "-profile", "uppmax", "--outdir", "results", "--inptu", "x"]
    run = nextflow("run", root, *arguments)
    assert "--inptu" in run.text and "igenomes_base" not in run.text, "what the site sets is no mistake of the user"
    assert "Unknown configuration profile" not in run.text
    monkeypatch.setenv("NXF_OFFLINE", "true")
    run = nextflow("run", root, "--version", "--custom_config_base", "https://configs.example.org")
    assert run.status == 0, run.text


@pytest.mark.parametrize(
    ("options", "directives"),
    [
        (
            ["--gpu_queue", "gpu", "--gpu_type", "a100", "--cluster_options=--account=lab42"],
            ["#SBATCH -p gpu", "#SBATCH --account=lab42 --gres=gpu:a100:1"],
        ),
        pytest.param(["--queue", "short"], ["#SBATCH -p short"], marks=pytest.mark.slow),
        pytest.param(["--gpu_queue", "gpu"], ["#SBATCH -p gpu", "#SBATCH --gres=gpu:1"], marks=pytest.mark.slow),
        pytest.param(
            ["--gpu_options=--gpus-per-node=1", "--gpu_queue", "gpu"],
            ["#SBATCH -p gpu", "#SBATCH --gpus-per-node=1"],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_slurm_is_asked_for_the_gpu(pipeline, tmp_path, monkeypatch, options, directives):
    """The script of the job is what counts; the `sbatch` here refuses it."""
    commands = tmp_path / "commands"
    commands.mkdir()
    (commands / "sbatch").write_text("#!/bin/sh\nexit 1\n")
    (commands / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    (tmp_path / "cells.h5ad").touch()
    (tmp_path / "sheet.csv").write_text("sample,input\nx,cells.h5ad\n")
    # Only the training goes to the queue.
    local = "process { withName: 'PREPARE|CICL_INIT' { executor = 'local'; cpus = 1; memory = 1.GB } }\n"
    (tmp_path / "local.config").write_text(local)
    arguments = ["-profile", "gpu,slurm", "-c", "local.config", "-stub", "--input", "sheet.csv", "--skip_multiqc"]
    run = pipeline(*arguments, *options, folder=tmp_path)
    assert run.status != 0
    jobs = [path.read_text() for path in (tmp_path / "work").glob("*/*/.command.run")]
    (job,) = [text for text in jobs if "#SBATCH" in text]
    assert all(line in job.splitlines() for line in directives), job


@pytest.mark.slow
def test_small_samples_train_on_the_cpu(pipeline, tmp_path):
    """Of two samples the larger one is given a GPU, which it does not find here; its clusters are those without."""
    rng = np.random.default_rng(0)
    rows = ["sample,input,n_clusters"]
    for n_cells in (60, 90):
        counts = AnnData(rng.poisson(2, (n_cells, 80)).astype(np.float32))
        counts.write_h5ad(tmp_path / f"s{n_cells}.h5ad")
        rows.append(f"s{n_cells},s{n_cells}.h5ad,2")
    (tmp_path / "sheet.csv").write_text("\n".join([*rows, ""]))
    skip = ["--skip_qc", "--skip_markers", "--skip_multiqc"]
    options = ["-profile", "gpu", "--gpu_min_cells", "80", "--allow_cpu_fallback", "--input", "sheet.csv", *skip]
    run = pipeline(*options, folder=tmp_path)
    assert run.status == 0, run.text
    assert {"CICL (s60)", "CICL_INIT (s90)", "CICL_FIT (s90)", "CICL_CLUSTER (s90)"} <= set(run.tasks)
    scripts = [path.read_text() for path in (tmp_path / "work").glob("*/*/.command.sh")]
    asked = {found for text in scripts for found in re.findall(r"fit '\./s(\d+)\..* --device (\w+)", text)}
    assert asked == {("60", "cpu"), ("90", "cuda")}
    folder = run.outdir / "s90"
    found = (folder / "s90.clusters.csv").read_text()
    assert {"s90.h5ad", "s90.model.pt", "s90.embedding.parquet"} <= {path.name for path in folder.iterdir()}
    again = pipeline("--input", "sheet.csv", *skip, folder=tmp_path)
    assert again.status == 0, again.text
    assert "CICL (s90)" in again.tasks and (folder / "s90.clusters.csv").read_text() == found
