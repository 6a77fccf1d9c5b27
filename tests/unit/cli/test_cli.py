"""The commands as a user runs them, on cells whose types are known."""

import json
import os
import subprocess
import sys
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sccicl.cli import main
from sccicl.cli.options import sample_id
from sccicl.io import model_file
from simulate import simulate_cells
from sklearn.metrics import adjusted_rand_score

QUICK = ["--epochs", "5", "--threads", "1", "--device", "cpu"]


def cicl(*arguments: object, code: int = 0):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module")
def cells():
    return simulate_cells()


@pytest.fixture(scope="module")
def finished(cells, tmp_path_factory):
    """Folder of `run` on the simulated cells with default settings."""
    folder = tmp_path_factory.mktemp("run")
    cells.write_h5ad(folder / "five.h5ad")
    cicl(
        "run",
        folder / "five.h5ad",
        "--outdir",
        folder / "out",
        "--label-col",
        "cell_type",
        "--n-clusters",
        5,
        "--threads",
        1,
    )
    return folder / "out"


def test_run_finds_well_separated_types(finished):
    metrics = json.loads((finished / "five.metrics.json").read_text())
    assert metrics["ari"] == metrics["nmi"] == pytest.approx(1) == metrics["ami"]
    assert metrics["n_clusters"] == 5 and metrics["k_given"] is True
    assert set(metrics["seconds"]) == set(metrics["peak_memory_mb"]) == {"prepare", "fit", "cluster", "plot"}
    assert metrics["device"].startswith("cpu") and metrics["versions"]["torch"]


def test_run_writes_every_output(finished):
    names = {path.name for path in finished.iterdir()}
    data = {"five.h5ad", "five.clusters.csv", "five.embedding.parquet", "five.model.pt", "five.metrics.json"}
    figures = {f"five.{figure}.png" for figure in ("umap", "training", "sizes")}
    multiqc = {f"five{kind}_mqc.json" for kind in ("", ".sizes", ".clusters", ".umap", ".training")}
    data |= {"five.markers.csv"}
    figures |= {"five.markers_dotplot.png", "five.markers_heatmap.png"}
    assert names == data | figures | multiqc | {"cicl_report.html"}


def test_h5ad_keeps_counts_and_adds_the_result(finished, cells):
    result = anndata.read_h5ad(finished / "five.h5ad")
    assert (result.X != cells[:, result.var_names].X).nnz == 0
    assert list(result.obs_names) == list(cells.obs_names)
    assert list(result.obs["cicl"].cat.categories) == list("01234")
    assert result.obs["cicl_confidence"].between(0, 1).all()
    assert result.obsm["X_cicl"].shape[0] == result.n_obs and "X_cicl_input" not in result.obsm
    assert result.obsm["X_umap"].shape == (result.n_obs, 2) and "X_tsne" not in result.obsm
    record = result.uns["cicl"]
    assert record["seed"] == 0 and record["params"]["temperature"] == pytest.approx(0.5, abs=1)
    assert len(record["history"]["loss"]) == len(record["history"]["epoch"])


def test_tsne_is_made_on_request(finished, tmp_path):
    cicl("plot", finished / "five.h5ad", "--tsne", "--outdir", tmp_path)
    assert (tmp_path / "five.tsne.png").stat().st_size > 10_000
    drawn, before = (anndata.read_h5ad(folder / "five.h5ad") for folder in (tmp_path, finished))
    assert drawn.obsm["X_tsne"].shape == (drawn.n_obs, 2)
    np.testing.assert_array_equal(drawn.obsm["X_umap"], before.obsm["X_umap"])


def test_tables_agree_with_the_h5ad(finished):
    result = anndata.read_h5ad(finished / "five.h5ad")
    clusters = pd.read_csv(finished / "five.clusters.csv", dtype={"cluster": str})
    assert list(clusters.columns) == ["barcode", "cluster", "confidence"]
    assert list(clusters["barcode"]) == list(result.obs_names) and list(clusters["cluster"]) == list(result.obs["cicl"])
    embedding = pd.read_parquet(finished / "five.embedding.parquet")
    np.testing.assert_array_equal(embedding, result.obsm["X_cicl"])
    assert list(embedding.index) == list(result.obs_names)


def test_steps_give_what_run_gives(finished, cells, tmp_path):
    cells.write_h5ad(tmp_path / "five.h5ad")
    cicl("prepare", tmp_path / "five.h5ad", "--outdir", tmp_path)
    cicl("fit", tmp_path / "five.prepared.h5ad", "--outdir", tmp_path, "--n-clusters", 5, "--threads", 1)
    cicl("cluster", tmp_path / "five.prepared.h5ad", "--fit", tmp_path / "five.fit.pt", "--outdir", tmp_path)
    cicl("score", tmp_path / "five.clustered.h5ad", "--label-col", "cell_type", "--outdir", tmp_path)
    assert (tmp_path / "five.clusters.csv").read_bytes() == (finished / "five.clusters.csv").read_bytes()
    ours, whole = (json.loads((folder / "five.metrics.json").read_text()) for folder in (tmp_path, finished))
    assert {name: ours[name] for name in ("ari", "silhouette", "cluster_sizes")} == {
        name: whole[name] for name in ("ari", "silhouette", "cluster_sizes")
    }


def test_several_numbers_of_clusters(finished, cells, tmp_path):
    """The first is what it is alone; simulated types in threes, fours and twos are unions of the five types."""
    cells.write_h5ad(tmp_path / "five.h5ad")
    cicl("prepare", tmp_path / "five.h5ad", "--outdir", tmp_path)
    cicl("fit", tmp_path / "five.prepared.h5ad", "--outdir", tmp_path, "--n-clusters", "5,2,3", "--threads", 1)
    cicl("cluster", tmp_path / "five.prepared.h5ad", "--fit", tmp_path / "five.fit.pt", "--outdir", tmp_path)
    table = pd.read_csv(tmp_path / "five.clusters.csv")
    alone = pd.read_csv(finished / "five.clusters.csv")
    assert list(table.columns) == ["barcode", "cluster", "confidence", "cluster_2", "cluster_3"]
    assert (table["cluster"] == alone["cluster"]).all()
    result = anndata.read_h5ad(tmp_path / "five.clustered.h5ad")
    for k in (2, 3):
        of_cell = table.set_index("barcode")[f"cluster_{k}"]
        assert list(result.obs[f"cicl_{k}"].astype(int)) == list(of_cell[result.obs_names])
        assert list(result.obs[f"cicl_{k}"].value_counts(sort=False).index.astype(int)) == list(range(k))
        assert table.groupby("cluster")[f"cluster_{k}"].nunique().max() == 1
    stability = result.uns["cicl"]["stability"]
    assert stability.shape == (5,) and (stability > 0.9).all()


def test_labels_reach_nothing_but_the_score(finished, cells, tmp_path):
    """Permuted labels: the clusters are the same to the byte, and only the agreement differs."""
    shuffled = cells.copy()
    shuffled.obs["cell_type"] = np.random.default_rng(1).permutation(cells.obs["cell_type"].astype(str))
    shuffled.write_h5ad(tmp_path / "five.h5ad")
    cicl(
        "run",
        tmp_path / "five.h5ad",
        "--outdir",
        tmp_path / "out",
        "--label-col",
        "cell_type",
        "--n-clusters",
        5,
        "--threads",
        1,
    )
    assert (tmp_path / "out" / "five.clusters.csv").read_bytes() == (finished / "five.clusters.csv").read_bytes()
    assert json.loads((tmp_path / "out" / "five.metrics.json").read_text())["ari"] < 0.2


def test_model_labels_new_cells(finished, cells, tmp_path):
    """Half of the cells, in another order and with genes in another order, get the clusters that they had."""
    rng = np.random.default_rng(2)
    new = cells[rng.permutation(cells.n_obs)[:75], rng.permutation(cells.n_vars)].copy()
    new.write_h5ad(tmp_path / "new.h5ad")
    cicl("map", tmp_path / "new.h5ad", "--model", finished / "five.model.pt", "--device", "cpu", "--outdir", tmp_path)
    mapped = pd.read_csv(tmp_path / "new.mapped.csv", index_col="barcode")
    clusters = pd.read_csv(finished / "five.clusters.csv", index_col="barcode")
    assert list(mapped.index) == list(new.obs_names)
    assert adjusted_rand_score(clusters.loc[mapped.index, "cluster"], mapped["cluster"]) == 1


def test_run_without_labels_estimates_k(cells, tmp_path):
    plain = cells.copy()
    del plain.obs["cell_type"]
    plain.write_h5ad(tmp_path / "plain.h5ad")
    cicl("run", tmp_path / "plain.h5ad", "--outdir", tmp_path / "out", *QUICK)
    metrics = json.loads((tmp_path / "out" / "plain.metrics.json").read_text())
    assert metrics["k_given"] is False and "ari" not in metrics


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--n-clusters", "0"], "n_clusters is 0"),
        (["--n-clusters", "many"], "n_clusters is 'many': give a whole number or auto"),
        (["--n-clusters", "5000"], "only 150 cells are left"),
        (["--label-col", "celltype"], "cell_type"),
        (["--epochs", "0"], "--epochs must be at least 1"),
        (["--temperature", "0"], "--temperature must be at least"),
        (["--device", "cuda:77"], "cuda"),
        (["--device", "meta"], "--device is 'meta': give auto, cpu, cuda"),
        (["--n-clusters", "1_0"], "n_clusters is '1_0': give a whole number"),
        (["--learning-rate", "inf"], "--learning-rate must be at most 1"),
        (["--label-col", "cicl"], "the clusters are written to the obs column 'cicl'"),
        (["--id", "../x"], "--id '../x'"),
    ],
)
def test_wrong_options_end_with_a_sentence_and_leave_nothing(arguments, told, tmp_path):
    simulate_cells().write_h5ad(tmp_path / "five.h5ad")
    result = cicl("run", tmp_path / "five.h5ad", "--outdir", tmp_path / "out", *QUICK, *arguments, code=2)
    assert told in result.stderr and "Traceback" not in result.output
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_damaged_files_between_steps(tmp_path, cells):
    (tmp_path / "a.prepared.h5ad").write_bytes(b"junk")
    (tmp_path / "a.fit.pt").write_bytes(b"junk")
    assert "no h5ad" in cicl("fit", tmp_path / "a.prepared.h5ad", "--outdir", tmp_path, code=2).stderr
    cells.write_h5ad(tmp_path / "b.h5ad")
    assert "previous step" in cicl("score", tmp_path / "b.h5ad", "--outdir", tmp_path, code=2).stderr
    told = cicl("cluster", tmp_path / "b.h5ad", "--fit", tmp_path / "a.fit.pt", "--outdir", tmp_path, code=2).stderr
    assert "a.fit.pt" in told


def test_model_file_is_never_unpickled(tmp_path):
    import torch

    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "exploded"),))

    torch.save({"cicl": "model", "format": 1, "bomb": Bomb()}, tmp_path / "x.model.pt")
    with pytest.raises(model_file.InputError):
        model_file.load(tmp_path / "x.model.pt", "model")
    assert not (tmp_path / "exploded").exists()


def test_help_of_every_command():
    for name in main.commands:
        assert "Usage:" in cicl(name, "--help").output


def test_script_runs_from_anywhere_with_a_read_only_home(tmp_path):
    script = Path(__file__).parents[3] / "bin" / "cicl.py"
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    done = subprocess.run(
        [sys.executable, script, "--version"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0 and "cicl" in done.stdout


def test_more_clusters_than_cells_tell_apart(tmp_path):
    """Of 30 cells in 3 groups of identical ones there are 3 clusters, and the user is told."""
    cells = simulate_cells(n_cells=30, n_types=3)
    cells.X = cells.X[np.arange(30) % 3]
    cells.write_h5ad(tmp_path / "same.h5ad")
    cicl("run", tmp_path / "same.h5ad", "--outdir", tmp_path / "out", "--n-clusters", 5, *QUICK)
    metrics = json.loads((tmp_path / "out" / "same.metrics.json").read_text())
    assert metrics["n_clusters"] == 3 and metrics["cluster_sizes"] == {"0": 10, "1": 10, "2": 10}
    assert "5 clusters were asked for, but only 3" in metrics["warnings"][-1]


@pytest.mark.parametrize("occupied_by", ["the input", "other cells", "a folder"])
def test_nothing_but_a_result_is_replaced(occupied_by, cells, tmp_path):
    """The result is called <id>.h5ad, as the counts may be: they must not be lost, also not by the steps."""
    cells.write_h5ad(tmp_path / "a.h5ad")
    target = tmp_path / "a.h5ad" if occupied_by == "the input" else tmp_path / "out" / "a.h5ad"
    target.parent.mkdir(exist_ok=True)
    if occupied_by == "a folder":
        target.mkdir()
    elif occupied_by == "other cells":
        cells[:20].write_h5ad(target)
    before = None if target.is_dir() else target.read_bytes()
    told = cicl("run", tmp_path / "a.h5ad", "--outdir", target.parent, *QUICK, code=2).stderr
    assert f"ERROR: {target}" in told and "--outdir" in told and len(told.splitlines()) == 1
    assert target.is_dir() if before is None else target.read_bytes() == before
    assert list(target.parent.glob(".*")) == []


def test_plot_does_not_replace_the_counts(finished, cells, tmp_path):
    cells.write_h5ad(tmp_path / "a.h5ad")
    (tmp_path / "a.clustered.h5ad").write_bytes((finished / "five.h5ad").read_bytes())
    told = cicl("plot", tmp_path / "a.clustered.h5ad", "--outdir", tmp_path, code=2).stderr
    assert "a.h5ad exists and is no result of CICL" in told


def test_a_result_is_replaced_by_the_next(cells, tmp_path):
    cells.write_h5ad(tmp_path / "a.h5ad")
    for k in (2, 3):
        cicl("run", tmp_path / "a.h5ad", "--outdir", tmp_path / "out", "--n-clusters", k, *QUICK)
    assert json.loads((tmp_path / "out" / "a.metrics.json").read_text())["n_clusters"] == 3
    cicl("plot", tmp_path / "out" / "a.h5ad", "--outdir", tmp_path / "out")


@pytest.mark.parametrize(("outdir", "told"), [("file", "is a file"), ("file/below", "is a file")])
def test_a_useless_outdir_costs_no_training(outdir, told, cells, tmp_path):
    (tmp_path / "file").write_text("x")
    result = cicl("run", tmp_path / "no.h5ad", "--outdir", tmp_path / outdir, *QUICK, code=2)
    assert told in result.stderr and "--outdir" in result.stderr


def test_files_of_the_wrong_step(finished, tmp_path):
    clustered = tmp_path / "a.clustered.h5ad"
    clustered.write_bytes((finished / "five.h5ad").read_bytes())
    assert "<id>.prepared.h5ad" in cicl("fit", clustered, "--outdir", tmp_path, *QUICK, code=2).stderr
    for content in ("[]", "{}", "{"):
        (tmp_path / "x.json").write_text(content)
        for arguments in (["plot", clustered, "--metrics", tmp_path / "x.json"], ["report", tmp_path / "x.json"]):
            told = cicl(*arguments, "--outdir", tmp_path, code=2).stderr
            assert "x.json: this is no metrics file" in told
    (tmp_path / "b.clustered.h5ad").write_bytes(clustered.read_bytes())
    files = [clustered, tmp_path / "b.clustered.h5ad", finished / "five.metrics.json"]
    assert "another h5ad of sample 'five'" in cicl("report", *files, "--outdir", tmp_path, code=2).stderr
    assert not (tmp_path / "cicl_report.html").exists()


def test_fit_keeps_to_what_was_prepared(cells, tmp_path):
    """Clipping of z-scores that the preparation did not do is not recorded, or new cells would be clipped."""
    cells.write_h5ad(tmp_path / "a.h5ad")
    cicl("prepare", tmp_path / "a.h5ad", "--outdir", tmp_path, "--preset", "paper", "--n-genes", 30)
    cicl("fit", tmp_path / "a.prepared.h5ad", "--outdir", tmp_path, "--n-clusters", 2, *QUICK)
    params = model_file.load(tmp_path / "a.fit.pt", "fit")["params"]
    assert params["n_genes"] == 30 and params["gene_selection"] == "seurat" and "max_value" not in params


def test_report_of_a_place_that_cannot_be_filled_in(finished, tmp_path):
    files = finished / "five.h5ad", finished / "five.metrics.json"
    for place in ("../{sample}/", "../{/", "{}"):
        told = cicl("report", *files, "--files-at", place, "--outdir", tmp_path, code=2).stderr
        assert "use {id} only" in told
    assert not list(tmp_path.iterdir())


def test_map_tells_which_genes_are_missing(finished, cells, tmp_path):
    cells[:, 10:].write_h5ad(tmp_path / "new.h5ad")
    result = cicl(
        "map", tmp_path / "new.h5ad", "--model", finished / "five.model.pt", "--outdir", tmp_path, "--device", "cpu"
    )
    assert "10 of the model's" in result.stderr


@pytest.mark.parametrize("n_genes", [2, 3])
def test_two_genes_are_enough(n_genes, tmp_path):
    cells = simulate_cells()[:, :n_genes].copy()
    cells[np.asarray(cells.X.sum(1)).ravel() > 0].write_h5ad(tmp_path / "a.h5ad")
    cicl("run", tmp_path / "a.h5ad", "--outdir", tmp_path / "out", *QUICK)


@pytest.mark.parametrize(("n_cells", "k"), [(10, "auto"), (10, 1), (10, 10), (11, 3)])
def test_few_cells(n_cells, k, tmp_path):
    simulate_cells()[:n_cells].write_h5ad(tmp_path / "a.h5ad")
    cicl("run", tmp_path / "a.h5ad", "--outdir", tmp_path / "out", "--n-clusters", k, *QUICK)


def test_identical_cells_are_no_clusters(tmp_path):
    cells = simulate_cells(n_cells=40)
    cells.X = cells.X[np.zeros(40, dtype=int)]
    cells.write_h5ad(tmp_path / "a.h5ad")
    assert "no clusters found" in cicl("run", tmp_path / "a.h5ad", "--outdir", tmp_path / "out", *QUICK).stdout


def test_normalised_values_of_any_scale(tmp_path):
    cells = simulate_cells()
    cells.X = cells.X.multiply(0.4 / cells.X.sum(1)).tocsr()
    cells.write_h5ad(tmp_path / "a.h5ad")
    cicl("run", tmp_path / "a.h5ad", "--outdir", tmp_path / "out", "--input-kind", "normalised", *QUICK)


def test_a_link_gives_its_own_name(tmp_path):
    (tmp_path / "real.h5ad").write_text("x")
    (tmp_path / "linked.h5ad").symlink_to(tmp_path / "real.h5ad")
    assert sample_id(tmp_path / "linked.h5ad", None) == "linked"


def test_interrupted_writing_leaves_nothing(finished, tmp_path, monkeypatch):
    def interrupt(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(pd.DataFrame, "to_parquet", interrupt)
    (tmp_path / "a.h5ad").write_bytes((finished / "five.h5ad").read_bytes())
    cicl("run", tmp_path / "a.h5ad", "--outdir", tmp_path / "out", "--n-clusters", 2, *QUICK, code=130)
    # The checkpoint stays: the same command goes on from it.
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert sum(name.endswith(".checkpoint.pt") for name in left) == 1
    assert {name for name in left if not name.endswith(".checkpoint.pt")} == {"a.clusters.csv"}


def test_the_largest_seed(cells, tmp_path):
    cells.write_h5ad(tmp_path / "five.h5ad")
    options = ["--label-col", "cell_type", *QUICK]
    cicl("run", tmp_path / "five.h5ad", "--outdir", tmp_path / "out", "--seed", 2**32 - 1, *options)
    assert json.loads((tmp_path / "out" / "five.metrics.json").read_text())["ari"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["plot", "{}", "--id", "x" * 201], "is too long to name files (201 bytes): give 200 at most with --id"),
        (["fit", "{}", "--seed", 2**32], "Invalid value for '--seed'"),
        (["call-cells", "{}", "--expected-cells", 2**64], "Invalid value for '--expected-cells'"),
        (["run", "{}", "--student-df", "inf"], "--student-df must be at most 2147483647, not inf"),
    ],
)
def test_numbers_and_names_that_no_file_holds(tmp_path, words, told):
    path = tmp_path / "s.h5ad"
    simulate_cells(40, 3, 60).write_h5ad(path)
    result = cicl(*(path if word == "{}" else word for word in words), "--outdir", tmp_path, code=2)
    assert told in result.stderr
