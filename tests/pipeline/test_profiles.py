"""Every profile loads, alone or with those it is used with."""

import re

import pytest

PROFILES = {
    "test,docker": "docker.enabled = true",
    "test_full,singularity": "singularity.enabled = true",
    "debug,conda": "conda.enabled = true",
    "gpu,podman": "podman.enabled = true",
    "gpu,apptainer,slurm": "apptainer.enabled = true",
}


@pytest.mark.parametrize("profile", PROFILES)
def test_profile_loads(nextflow, root, profile):
    run = nextflow("config", "-flat", "-profile", profile, root)
    assert run.status == 0, run.text
    assert PROFILES[profile] in run.text
    assert ("accelerator = 1" in run.text) == ("gpu" in profile)
    assert ("process.executor = 'slurm'" in run.text) == ("slurm" in profile)


def test_every_profile_is_tried(root):
    from pathlib import Path

    block = re.search(r"^profiles \{(.*?)^\}", (Path(root) / "nextflow.config").read_text(), re.MULTILINE | re.DOTALL)[
        1
    ]
    assert set(re.findall(r"^    (\w+) \{", block, re.MULTILINE)) == set(",".join(PROFILES).split(","))


@pytest.mark.parametrize(
    ("profile", "image"), [("test,docker", "cicl-nextflow:0.1.0"), ("test,docker,gpu", "cicl-nextflow:0.1.0-gpu")]
)
def test_image_of_the_training(nextflow, root, profile, image):
    run = nextflow("inspect", root, "-profile", profile, "-format", "config", "--outdir", "results")
    assert run.status == 0, run.text
    assert f"withName: 'CICL' {{ container = '{image}' }}" in re.sub(r"\s+", " ", run.text)
