"""The image as clusters run it: any user, read-only root and home, no network."""

import json
import os
import subprocess

import pytest

# Nobody's: neither in the image nor on this machine
USER = "54321:54321"
LOCKED = ["--rm", "--read-only", "--network", "none", "--cap-drop", "all", "--security-opt", "no-new-privileges"]


@pytest.fixture(scope="module")
def run(image):
    engine, name = image

    def run(*words, folder=None, user=USER, options=()):
        mounts = ["--tmpfs", "/tmp:rw,mode=1777"]
        if folder is not None:
            mounts += ["--volume", f"{folder}:/data", "--workdir", "/data"]
        return subprocess.run(
            [engine, "run", *LOCKED, *mounts, "--user", user, *options, name, *map(str, words)],
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture
def folder(tmp_path):
    """A folder that the user of the container may write to."""
    os.chmod(tmp_path, 0o777)
    for parent in list(tmp_path.parents)[:3]:
        os.chmod(parent, parent.stat().st_mode | 0o055)
    return tmp_path


def test_help_and_version(run, image):
    done = run("cicl", "--help")
    assert done.returncode == 0 and "Cluster single cells" in done.stdout
    assert image[1].split(":")[1] in run("cicl", "--version").stdout


def test_labels_and_user(image):
    (found,) = json.loads(
        subprocess.run([image[0], "image", "inspect", image[1]], capture_output=True, check=True).stdout
    )
    labels = found.get("Labels") or found["Config"]["Labels"]
    assert labels["org.opencontainers.image.version"] == image[1].split(":")[1]
    assert len(labels["org.opencontainers.image.revision"]) == 40
    assert found["Config"]["User"] not in ("", "root", "0")


def test_whole_run_locked_down(run, folder):
    """Home is not there at all, and nothing but the mounted folder and /tmp can be written."""
    options = ["--env", "HOME=/nonexistent"]
    done = run("cicl", "demo-data", folder=folder, options=options)
    assert done.returncode == 0, done.stderr
    words = ["cicl", "run", "pbmc350.h5ad", "--outdir", "out", "--n-clusters", 4, "--epochs", 2, "--threads", 2]
    done = run(*words, folder=folder, options=options)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((folder / "out" / "pbmc350.metrics.json").read_text())
    assert metrics["n_clusters"] == 4 and sum(metrics["cluster_sizes"].values()) == 350
    assert (folder / "out" / "cicl_report.html").stat().st_size > 100_000
    assert (folder / "out" / "pbmc350.h5ad").stat().st_uid == int(USER.split(":")[0])


def test_tools_of_the_other_processes(run):
    assert run("multiqc", "--version").returncode == 0
    assert run("ps", "-e").returncode == 0, "Nextflow measures tasks with ps"
    assert run("cicl", "fit", "x", "--device", "cuda").returncode == 2, "no GPU here, so it must say so and end"


def test_locked_versions(run):
    """The image holds what the lock says, torch's build for a CPU aside."""
    from conftest import ROOT

    found = json.loads(run("python3", "-c", VERSIONS).stdout)
    # The lock is for all Pythons at once, so a package may have a version for each.
    lock = [line.split(" ")[0] for line in (ROOT / "requirements.txt").read_text().splitlines() if "==" in line]
    for name, version in found.items():
        assert f"{name}=={version.split('+')[0]}" in lock


VERSIONS = """
import importlib.metadata as m, json
print(json.dumps({name: m.version(name) for name in ("torch", "scanpy", "anndata", "numpy", "multiqc")}))
"""
