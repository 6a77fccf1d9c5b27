"""A result once more, from nothing but itself."""

import hashlib
import json
import subprocess

import anndata
import numpy as np
import pytest
from click.testing import CliRunner
from sccicl.cli import main
from simulate import simulate_cells


def cicl(*arguments: object, code: int = 0):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A result whose every number differs from the default, of cells that are hard to tell apart; and its input."""
    folder = tmp_path_factory.mktemp("made")
    cells = simulate_cells(n_cells=120, fold=2.5, seed=3)
    cells.layers["raw_counts"] = cells.X.copy()
    cells.X = cells.X * 0.5
    # Empty, so that it is dropped before the training
    cells.layers["raw_counts"][7] = 0
    cells.layers["raw_counts"].eliminate_zeros()
    cells.write_h5ad(folder / "hard.h5ad")
    options = ["--n-genes", 60, "--seed", 11, "--threads", 1, "--epochs", 3, "--temperature", 0.4, "--device", "cpu"]
    columns = ["--counts-layer", "raw_counts", "--label-col", "cell_type", "--batch-col", "batch"]
    cicl("run", folder / "hard.h5ad", "--outdir", folder / "out", *options, *columns, "--n-clusters", 4)
    return folder


def labels(path):
    return anndata.read_h5ad(path).obs["cicl"].astype(str).to_dict()


def test_same_labels_from_the_result_alone(made, tmp_path):
    alone = tmp_path / "copied.h5ad"
    alone.write_bytes((made / "out" / "hard.h5ad").read_bytes())
    done = cicl("rerun", alone, "--outdir", tmp_path / "again")
    assert labels(tmp_path / "again" / "hard.h5ad") == labels(made / "out" / "hard.h5ad")
    assert "all 119 cells have the same cluster as before" in done.output
    before, after = (
        json.loads((folder / "hard.metrics.json").read_text()) for folder in (made / "out", tmp_path / "again")
    )
    for timed in ("seconds", "peak_memory_mb", "warnings"):
        before.pop(timed), after.pop(timed)
    assert before == after


def test_a_rerun_can_be_rerun(made, tmp_path):
    cicl("rerun", made / "out" / "hard.h5ad", "--outdir", tmp_path / "first")
    cicl("rerun", tmp_path / "first" / "hard.h5ad", "--outdir", tmp_path / "second")


def test_joined_samples(tmp_path):
    """Batches that lie apart: without the integration they would be clusters of their own."""
    for seed, name in enumerate(("left", "right")):
        sample = simulate_cells(n_cells=80, n_types=3, seed=5)
        sample.X = sample.X.multiply(1 + 3 * seed * (np.arange(sample.n_vars) % 2)).tocsr()
        sample.write_h5ad(tmp_path / f"{name}.h5ad")
    inputs = [tmp_path / "left.h5ad", tmp_path / "right.h5ad"]
    cicl("join", *inputs, "--samples", "left,right", "--id", "both", "--min-genes", 5, "--outdir", tmp_path)
    batches = ["--batch-col", "sample", "--integrate", "--n-clusters", "3,5"]
    options = [*batches, "--epochs", 2, "--threads", 1, "--n-genes", 80]
    (tmp_path / "types.csv").write_text("a,gene0,gene1\n")
    made = tmp_path / "out" / "both.h5ad"
    types = ["--marker-list", tmp_path / "types.csv"]
    cicl("run", tmp_path / "both.joined.h5ad", "--outdir", made.parent, "--id", "both", *options, *types)
    cicl("rerun", made, "--outdir", tmp_path / "again")
    before, after = anndata.read_h5ad(made), anndata.read_h5ad(tmp_path / "again" / "both.h5ad")
    assert labels(made) == labels(tmp_path / "again" / "both.h5ad")
    # These are of the genes that vary within the batches.
    assert before.var["cicl_mean"].equals(after.var["cicl_mean"])
    assert (before.obs["cicl_5"].astype(str) == after.obs["cicl_5"].astype(str)).all()
    assert after.uns["cicl"]["prepare"]["integrate"] and list(after.uns["cicl"]["joined"]["samples"]) == [
        "left",
        "right",
    ]
    assert after.uns["cicl"]["qc"]["cells_in"] == 160
    # Cell types are not found again, so none are left of before.
    assert "cicl_marker_list" in before.obs and "cicl_marker_list" not in after.obs


def test_from_the_original(made, tmp_path):
    cicl("rerun", made / "out" / "hard.h5ad", "--input", made / "hard.h5ad", "--outdir", tmp_path)
    assert labels(tmp_path / "hard.h5ad") == labels(made / "out" / "hard.h5ad")
    changed = anndata.read_h5ad(made / "hard.h5ad")
    changed.obs["note"] = "another file"
    changed.write_h5ad(tmp_path / "changed.h5ad")
    cicl("rerun", made / "out" / "hard.h5ad", "--input", tmp_path / "changed.h5ad", "--outdir", tmp_path / "changed")
    warnings = json.loads((tmp_path / "changed" / "hard.metrics.json").read_text())["warnings"]
    assert any("changed.h5ad is not the original input" in warning for warning in warnings)


def test_another_input_is_refused(made, tmp_path):
    simulate_cells(n_cells=50).write_h5ad(tmp_path / "few.h5ad")
    few = anndata.read_h5ad(tmp_path / "few.h5ad")
    few.layers["raw_counts"] = few.X.copy()
    few.write_h5ad(tmp_path / "few.h5ad")
    result = made / "out" / "hard.h5ad"
    told = cicl("rerun", result, "--input", tmp_path / "few.h5ad", "--outdir", tmp_path, code=2)
    assert "lacks 70 of the 119 cells" in told.output


def test_a_difference_is_told_and_ends_with_status_1(made, tmp_path):
    result = anndata.read_h5ad(made / "out" / "hard.h5ad")
    codes = result.obs["cicl"].cat.codes.to_numpy().copy()
    codes[:5] = (codes[:5] + 1) % 4
    result.obs["cicl"] = np.array(["0", "1", "2", "3"], dtype=object)[codes]
    result.uns["cicl"]["versions"]["torch"] = "1.0"
    result.write_h5ad(tmp_path / "altered.h5ad")
    told = cicl("rerun", tmp_path / "altered.h5ad", "--outdir", tmp_path / "again", code=1)
    assert "5 of 119 cells have another cluster than before" in told.output
    assert "torch 1.0 -> " in told.output


def test_what_is_no_result_is_refused(made, tmp_path):
    assert "run that step first" in cicl("rerun", made / "hard.h5ad", "--outdir", tmp_path, code=2).output
    told = cicl("rerun", made / "out" / "hard.h5ad", "--outdir", made / "out", code=2)
    assert "the result would replace it: give another --outdir\n" in told.output


def test_clusters_asked_for_after_the_training(made, tmp_path):
    """The steps one by one, with another number of clusters in the last than in the training."""
    cicl("prepare", made / "hard.h5ad", "--counts-layer", "raw_counts", "--outdir", tmp_path)
    prepared, fit = tmp_path / "hard.prepared.h5ad", tmp_path / "hard.fit.pt"
    quick = ["--epochs", 2, "--threads", 1]
    cicl("fit", prepared, "--n-clusters", 4, *quick, "--outdir", tmp_path)
    cicl("cluster", prepared, "--fit", fit, "--n-clusters", 6, "--outdir", tmp_path)
    cicl("rerun", tmp_path / "hard.clustered.h5ad", "--outdir", tmp_path / "again")
    assert len(set(labels(tmp_path / "again" / "hard.h5ad").values())) == 6


def test_checksums_are_those_of_sha256sum(made, tmp_path):
    folder = tmp_path / "tenx folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "b.txt").write_bytes(b"b" * 3_000_000)
    (folder / "a.txt").write_bytes(b"")
    from sccicl.runtime.checksums import combined, input_sums

    sums = input_sums(folder)
    lines = "".join(f"{item.sha256}  {item.name}\n" for item in sums)
    (tmp_path / "sums").write_text(lines)
    subprocess.run(["sha256sum", "--strict", "--quiet", "-c", "sums"], cwd=tmp_path, check=True)
    assert [(item.name, item.size) for item in sums] == [("tenx folder/a.txt", 0), ("tenx folder/sub/b.txt", 3_000_000)]
    assert combined(sums) == hashlib.sha256(lines.encode()).hexdigest()
    cicl("prepare", made / "hard.h5ad", "--counts-layer", "raw_counts", "--outdir", tmp_path)
    expected = hashlib.sha256((made / "hard.h5ad").read_bytes()).hexdigest()
    size = (made / "hard.h5ad").stat().st_size
    table = (tmp_path / "hard.inputs.tsv").read_text()
    assert table == f"sample\tfile\tbytes\tsha256\nhard\thard.h5ad\t{size}\t{expected}\n"
    assert anndata.read_h5ad(made / "out" / "hard.h5ad").uns["cicl"]["prepare"]["input_sha256"] == expected
