import json
import os
import subprocess
import sys

import pytest
from clustered import bare, clustered, described, metrics
from sccicl.report.multiqc import write_multiqc


def test_a_file_of_each_kind(tmp_path):
    adata = described(clustered())
    written = write_multiqc(adata, metrics(adata) | {"stability": [0.9] * 11}, tmp_path / "pbmc_mqc.json")
    kinds = ("", ".sizes", ".clusters", ".umap", ".training")
    assert [path.name for path in written] == [f"pbmc{kind}_mqc.json" for kind in kinds]
    statistics, sizes, clusters, umap, training = (json.loads(path.read_text())["data"] for path in written)
    assert statistics["pbmc"]["ari"] == 0.612
    assert statistics["pbmc"]["seconds"] == pytest.approx(66.1)
    assert sizes["pbmc"]["Cluster 0"] == 130
    assert len(training["pbmc"]) == 50
    first = clusters["pbmc, cluster 0"]
    assert first["cells"] == 130 and first["stability"] == 0.9 and first["celltypist"] == "type 0"
    assert first["markers"].split(", ")[0] == adata.uns["cicl"]["markers"]["table"]["symbol"].iloc[0]
    assert len(umap["Cluster 0"]) == 130
    assert sum(map(len, umap.values())) == 700


def test_only_clusters(tmp_path):
    written = write_multiqc(bare(clustered()), {}, tmp_path / "pbmc_mqc.json")
    assert [path.name for path in written] == ["pbmc_mqc.json", "pbmc.sizes_mqc.json", "pbmc.clusters_mqc.json"]
    assert json.loads(written[0].read_text())["data"]["pbmc"] == {"cells": 700, "clusters": 11}


def test_name(tmp_path):
    with pytest.raises(ValueError, match="end in _mqc"):
        write_multiqc(clustered(), {}, tmp_path / "pbmc.json")


def test_multiqc_merges_samples(tmp_path):
    pytest.importorskip("multiqc")
    # The sample with labels and more clusters comes first: the second must not take away its columns.
    first, second = clustered("a"), clustered("b", n_cells=350)
    second = second[second.obs["cicl"].isin(["0", "1"])].copy()
    second.obs["cicl"] = second.obs["cicl"].cat.remove_unused_categories()
    write_multiqc(first, metrics(first), tmp_path / "in" / "a_mqc.json")
    write_multiqc(second, metrics(second, labels=False), tmp_path / "in" / "b_mqc.json")
    done = subprocess.run(
        [sys.executable, "-m", "multiqc", "--strict", "--no-ansi", "--outdir", tmp_path / "out", tmp_path / "in"],
        env=os.environ | {"MULTIQC_NO_VERSION_CHECK": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    data = tmp_path / "out" / "multiqc_data"
    table = [line.split("\t") for line in (data / "multiqc_general_stats.txt").read_text().splitlines()]
    assert [row[0] for row in table] == ["Sample", "a", "b"]
    assert "0.612" in table[1]
    sizes = (data / "multiqc_cicl_cluster_sizes_plot.txt").read_text().splitlines()
    assert len(sizes) == 3
    assert "Cluster 10" in sizes[0]
    assert (tmp_path / "out" / "multiqc_report.html").stat().st_size > 100_000
