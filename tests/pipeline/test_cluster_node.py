"""The demonstration on a node as clusters have them."""

import json
import os
import subprocess
from pathlib import Path

import pytest

# A whole demo, on slow paths: minutes
pytestmark = pytest.mark.slow

NODE = ["unshare", "--mount", "--net", str(Path(__file__).with_name("cluster_node.sh"))]


@pytest.fixture(scope="module")
def node(nextflow, root, tmp_path_factory):
    """No root, network and room in /tmp, a home that cannot be written, and a long path with blanks."""
    folder = tmp_path_factory.mktemp("node")
    if os.getuid() != 0 or subprocess.run([*NODE, folder, "true"], capture_output=True, check=False).returncode:
        pytest.skip("file systems are mounted, which takes root")
    few = ("--epochs", "1", "--n_clusters", "5", "--doublets", "off", "--skip_markers", "--skip_multiqc")
    words = ("run", root, "-profile", "test", "--outdir", "my results", *few)
    run = nextflow(*words, folder=folder, command=[*NODE, folder, "nextflow"])
    assert run.status == 0, run.text
    return run


def test_it_is_such_a_node(node):
    assert "node: user 1000, path 255, free in /tmp 0, network: 0" in " ".join(node.text.split())
    assert "the home can be written" not in node.text


@pytest.mark.parametrize(("sample", "n_cells"), [("pbmc700", 700), ("pbmc350", 350)])
def test_results_are_complete(node, sample, n_cells):
    folder = node.folder / "my results" / sample
    metrics = json.loads((folder / f"{sample}.metrics.json").read_text())
    assert sum(metrics["cluster_sizes"].values()) == n_cells
    found = {path.name for path in folder.iterdir()}
    assert {f"{sample}.{ending}" for ending in ("h5ad", "clusters.csv", "model.pt", "umap.png")} <= found
    assert (node.folder / "my results" / "report" / "cicl_report.html").stat().st_size > 100_000
