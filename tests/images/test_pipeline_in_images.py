"""The demonstration with every process in the image: by podman, and by the unpacked image as a read-only root."""

import csv
import json
import os
import shutil
import subprocess
import tarfile

import pytest
from conftest import ROOT


def clusters(outdir, sample="pbmc350"):
    with (outdir / sample / f"{sample}.clusters.csv").open() as file:
        return {row["barcode"]: row["cluster"] for row in csv.DictReader(file)}


def start(folder, *arguments):
    import importlib.util

    spec = importlib.util.spec_from_file_location("pipeline_conftest", ROOT / "tests" / "pipeline" / "conftest.py")
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["pipeline_conftest"] = module
    spec.loader.exec_module(module)
    return module.start(folder, "run", str(ROOT), "--outdir", "results", "--epochs", "2", *arguments)


@pytest.fixture(scope="module")
def by_podman(image, tmp_path_factory):
    run = start(tmp_path_factory.mktemp("podman"), "-profile", f"test,{image[0]}")
    assert run.status == 0, run.text
    return run


def test_every_task_ran_in_the_image(by_podman, image):
    jobs = list((by_podman.folder / "work").glob("*/*/.command.run"))
    assert len(jobs) == len(by_podman.tasks)
    assert all(f"{image[0]} run" in job.read_text() and image[1] in job.read_text() for job in jobs)


def test_results_belong_to_the_user(by_podman):
    files = [path for path in by_podman.outdir.rglob("*") if path.is_file()]
    assert len(files) > 20 and {path.stat().st_uid for path in files} == {os.getuid()}
    assert (
        sum(json.loads((by_podman.outdir / "pbmc350" / "pbmc350.metrics.json").read_text())["cluster_sizes"].values())
        == 350
    )


@pytest.fixture(scope="module")
def unpacked(image, tmp_path_factory):
    """The image as a folder: what Singularity mounts read-only, and charliecloud runs."""
    if shutil.which("ch-run") is None:
        pytest.skip("charliecloud is not installed")
    engine, name = image
    folder = tmp_path_factory.mktemp("unpacked") / "root"
    folder.mkdir()
    container = subprocess.run([engine, "create", name], capture_output=True, text=True, check=True).stdout.strip()
    try:
        with (
            subprocess.Popen([engine, "export", container], stdout=subprocess.PIPE) as export,
            tarfile.open(fileobj=export.stdout, mode="r|") as archive,
        ):
            archive.extractall(folder, filter="tar")
    finally:
        subprocess.run([engine, "rm", container], capture_output=True, check=True)
    # What Charliecloud's own ch-convert adds; and the place of the engine, as nothing can be made in a read-only root.
    settings = json.loads(subprocess.run([engine, "image", "inspect", name], capture_output=True, check=True).stdout)
    (folder / "ch").mkdir()
    (folder / "ch" / "environment").write_text("\n".join(settings[0]["Config"]["Env"]) + "\n")
    for file in ("hosts", "resolv.conf"):
        (folder / "etc" / file).touch()
    (folder / str(ROOT / "bin").lstrip("/")).mkdir(parents=True, exist_ok=True)
    yield folder
    shutil.rmtree(folder)


def test_read_only_root_gives_the_same_clusters(by_podman, unpacked, tmp_path):
    """Charliecloud mounts the folder read-only; engine and work folder come from outside, as with Singularity."""
    settings = "charliecloud { readOnlyInputs = true; writeFake = false }\n"
    (tmp_path / "unpacked.config").write_text(
        f"{settings}process {{ withName: '.*' {{ container = '{unpacked}' }} }}\n"
    )
    os.environ.setdefault("USER", "root")  # ch-run asks for it
    run = start(tmp_path, "-profile", "test,charliecloud", "-c", "unpacked.config")
    assert run.status == 0, run.text
    jobs = list((tmp_path / "work").glob("*/*/.command.run"))
    assert jobs and all("ch-run" in job.read_text() and " -w " not in job.read_text() for job in jobs)
    assert clusters(run.outdir) == clusters(by_podman.outdir)
