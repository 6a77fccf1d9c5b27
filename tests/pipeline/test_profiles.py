"""Every profile loads, alone or with those it is used with, and asks its queue for what the tasks need."""

import os
import re
from pathlib import Path

import pytest

# What is used together, and what tells that it was loaded
PROFILES = {
    "test,docker": ["docker.enabled = true"],
    "test_full,singularity": ["singularity.enabled = true", "samplesheet_full.csv"],
    "test_gpu,wave": ["wave.enabled = true", "accelerator = {", "params.demo = true"],
    "debug,conda": ["conda.enabled = true"],
    "charliecloud,mamba": ["charliecloud.enabled = true", "conda.useMamba = true"],
    "gpu,podman": ["podman.enabled = true", "maxForks = 1"],
    "gpu,apptainer,slurm": ["apptainer.enabled = true", "process.executor = 'slurm'", "maxForks = 100", "--gres=gpu:"],
    "gpu,sge,array": ["process.executor = 'sge'", "process.array = 100", "-l gpu="],
    "gpu,pbspro": ["process.executor = 'pbspro'", ":ngpus="],
    "gpu,lsf": ["process.executor = 'lsf'", "executor.perJobMemLimit = true", "-gpu num="],
    "gpu,k8s": ["process.executor = 'k8s'", "k8s.namespace = 'default'"],
    "gpu,awsbatch": ["process.executor = 'awsbatch'"],
    "gpu,google-batch": ["process.executor = 'google-batch'", "google.batch.installGpuDrivers = true"],
}
QUEUES = {"slurm", "sge", "pbspro", "lsf", "k8s", "awsbatch", "google-batch"}


@pytest.mark.parametrize("profile", PROFILES)
def test_profile_loads(nextflow, root, profile):
    run = nextflow("config", "-flat", "-profile", profile, root)
    assert run.status == 0, run.text
    for setting in PROFILES[profile]:
        assert setting in run.text
    names = profile.split(",")
    assert ("accelerator = {" in run.text) == bool({"gpu", "test_gpu"} & set(names))
    # A queue's nodes are not the machine that starts the run.
    assert ("process.resourceLimits = []" in run.text) == bool(QUEUES & set(names))


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


@pytest.mark.parametrize("parser", ["v1", "v2"])
def test_both_parsers_read_all_profiles(nextflow, root, monkeypatch, parser):
    monkeypatch.setenv("NXF_SYNTAX_PARSER", parser)
    run = nextflow("config", "-show-profiles", root)
    assert run.status == 0, run.text


@pytest.mark.parametrize(
    ("profile", "image"), [("test,docker", "cicl-nextflow:0.1.0"), ("test,docker,gpu", "cicl-nextflow:0.1.0-gpu")]
)
def test_image_of_the_training(nextflow, root, profile, image):
    run = nextflow("inspect", root, "-profile", profile, "-format", "config", "--outdir", "results")
    assert run.status == 0, run.text
    assert f"withName: 'CICL' {{ container = '{image}' }}" in re.sub(r"\s+", " ", run.text)


@pytest.mark.parametrize("engine", ["singularity", "apptainer"])
def test_images_of_the_library_are_found(pipeline, tmp_path, engine):
    """The name that containers/sif.sh gives an image is the one that Nextflow looks for; nothing is pulled.

    The script of the task is what counts: without the engine it ends with status 127.
    """
    script = (Path(__file__).resolve().parents[2] / "containers" / "sif.sh").read_text()
    assert "containers/images/${tag/:/-}.img" in script
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "cicl-nextflow-0.1.0.img").touch()
    (tmp_path / "library.config").write_text(f"{engine}.libraryDir = '{tmp_path}/images'\n")
    (tmp_path / "cells.h5ad").touch()
    (tmp_path / "sheet.csv").write_text("sample,input\nx,cells.h5ad\n")
    pipeline("-profile", engine, "-c", "library.config", "-stub", "--input", "sheet.csv", folder=tmp_path)
    (task,) = (tmp_path / "work").glob("*/*/.command.run")
    assert f" {tmp_path}/images/cicl-nextflow-0.1.0.img /bin/bash" in task.read_text()


@pytest.mark.parametrize(
    ("options", "directives"),
    [
        (["--queue", "short"], ["#SBATCH -p short"]),
        (["--gpu_queue", "gpu", "--gpu_type", "a100"], ["#SBATCH -p gpu", "#SBATCH --gres=gpu:a100:1"]),
        (["--cluster_options=--account=lab42"], ["#SBATCH --account=lab42 --gres=gpu:1"]),
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
    (tmp_path / "local.config").write_text("process { withName: 'PREPARE' { executor = 'local' } }\n")
    arguments = ["-profile", "gpu,slurm", "-c", "local.config", "-stub", "--input", "sheet.csv", "--skip_multiqc"]
    run = pipeline(*arguments, *options, folder=tmp_path)
    assert run.status != 0
    jobs = [path.read_text() for path in (tmp_path / "work").glob("*/*/.command.run")]
    (job,) = [text for text in jobs if "#SBATCH" in text]
    assert all(line in job.splitlines() for line in directives), job
