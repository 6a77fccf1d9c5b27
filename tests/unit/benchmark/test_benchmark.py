"""The benchmark: scores, rivals, that no label is seen, the plan and the report."""

import csv
import shutil
from itertools import permutations
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sccicl.benchmark import plan as plan_module
from sccicl.benchmark import rivals
from sccicl.benchmark.accuracy import clustering_accuracy, score
from sccicl.benchmark.cli import main
from sccicl.benchmark.methods import METHODS, Rival, config_of
from sccicl.benchmark.plan import STUDIES, code_version, missing, plan
from sccicl.benchmark.run import COLUMNS, run
from sccicl.benchmark.summary import ALL, cliques, ranks, summarise
from scipy import sparse
from simulate import simulate_cells

HERE = [name for name, method in METHODS.items() if isinstance(method, Rival) and method.package is None]


def benchmark(*arguments: object, code: int = 0):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two data sets; one is not of counts."""
    folder = tmp_path_factory.mktemp("data")
    simulate_cells(seed=1).write_h5ad(folder / "five.h5ad")
    simulate_cells(100, 3, seed=2).write_h5ad(folder / "three.h5ad")
    (folder / "datasets.tsv").write_text("name\tcounts\nfive\tyes\nthree\tNO (normalised)\n")
    return folder


def test_help_lists_the_commands_as_they_follow_each_other():
    told = benchmark("--help").output
    assert told.index("\n  plan ") < told.index("\n  run ") < told.index("\n  report ")


# Scores ------------------------------------------------------------------------------------------------------------


def accuracy_by_brute_force(types, clusters):
    """The best share of agreeing cells over all ways to give each cluster another type, or none."""
    names, found = list(np.unique(types)), list(np.unique(clusters))
    names += [None] * max(0, len(found) - len(names))
    return max(
        np.mean([dict(zip(found, chosen, strict=True))[c] == t for t, c in zip(types, clusters, strict=True)])
        for chosen in permutations(names, len(found))
    )


@pytest.mark.parametrize("seed", range(12))
def test_accuracy_is_that_of_brute_force(seed):
    rng = np.random.default_rng(seed)
    types, clusters = rng.integers(rng.integers(1, 6), size=25), rng.integers(rng.integers(1, 6), size=25)
    assert clustering_accuracy(types, clusters) == pytest.approx(accuracy_by_brute_force(types, clusters))


def test_accuracy_of_known_partitions():
    types = np.array(list("aaabbbcc"))
    assert clustering_accuracy(types, np.array([2, 2, 2, 0, 0, 0, 1, 1])) == 1
    assert clustering_accuracy(types, np.zeros(8, int)) == 3 / 8
    assert clustering_accuracy(types, np.arange(8)) == 3 / 8


def test_cells_without_a_type_are_not_scored():
    types = np.array(["a", "a", None, "b", np.nan], dtype=object)
    found = score(types, np.array([0, 0, 2, 1, 1]))
    assert found == {"ari": 1, "nmi": 1, "ami": 1, "acc": 1, "n_clusters": 3}


# Rivals ------------------------------------------------------------------------------------------------------------


def test_rivals_find_well_separated_types(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = run(folder / "five.h5ad", tuple(HERE), ("given", "estimated"), (0, 1))
    assert [(row["method"], row["track"], row["seed"]) for row in rows] == [
        (name, METHODS[name].track, seed) for seed in (0, 1) for name in HERE
    ]
    assert all(row["ari"] == row["acc"] == pytest.approx(1) and row["n_clusters"] == row["k"] == 5 for row in rows)
    assert all(row["seconds"] > 0 and row["peak_memory_mb"] > 10 and set(row) == set(COLUMNS) for row in rows)
    assert not list(tmp_path.iterdir())


def test_medoid_is_the_partition_that_agrees_most():
    rng = np.random.default_rng(0)
    true = np.repeat(np.arange(4), 25)

    def worse(share):
        moved = rng.random(100) < share
        return np.where(moved, rng.integers(4, size=100), true)

    assert rivals.medoid([worse(0.5), worse(0.3), true, worse(0.4), worse(0.6)]) == 2


def test_leiden_k_gives_k_clusters(folder):
    cells = rivals.read_cells(folder / "five.h5ad", "counts")
    graph = rivals.neighbours(cells, 0)
    assert len(np.unique(rivals.leiden_k(graph, 7, 0))) == 7


def test_28_partitions_where_there_are_genes_enough():
    counts = np.random.default_rng(0).poisson(1.0, (60, 5000)).astype(np.float32)
    cells = anndata.AnnData(sparse.csr_matrix(counts))
    cells.var["rank"] = np.arange(5000)
    embeddings = rivals.pca_of_many(cells, 0)
    assert len(embeddings) == 28 and {e.shape[1] for e in embeddings} == {8, 14, 24, 40}


def test_scvi_runs_where_it_is_installed(folder, tmp_path, monkeypatch):
    pytest.importorskip("scvi")
    monkeypatch.chdir(tmp_path)
    rows = run(folder / "five.h5ad", ("scvi-kmeans", "scvi-leiden"), ("given", "estimated"), (0,))
    assert [row["track"] for row in rows] == ["given", "estimated"] and rows[0]["n_clusters"] == 5


def test_slow_rival_runs_one_seed(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sccicl.benchmark.run.SLOW_SECONDS", 0)
    rows = run(folder / "five.h5ad", ("pca20-kmeans",), ("given",), (3, 4, 5))
    assert [row["seed"] for row in rows] == [3] and "only seed 3" in capsys.readouterr().err


# CICL --------------------------------------------------------------------------------------------------------------


def test_cicl_is_given_k_and_settings_but_no_label(folder, tmp_path, monkeypatch):
    from sccicl.steps.prepare import prepare_sample

    seen = []

    def prepare(path, *arguments, **options):
        cells = anndata.read_h5ad(path)
        seen.append((list(cells.obs.columns), list(cells.uns), cells.obs_names[0], options["config"]))
        return original(path, *arguments, **options)

    original = prepare_sample
    monkeypatch.setattr("sccicl.steps.prepare.prepare_sample", prepare)
    monkeypatch.chdir(tmp_path)
    rows = run(
        folder / "five.h5ad",
        ("cicl",),
        ("given", "estimated"),
        (0,),
        settings=({"epochs": "2"},),
        device="cpu",
    )
    assert [(row["track"], row["setting"]) for row in rows] == [("given", "epochs=2"), ("estimated", "epochs=2")]
    assert rows[0]["n_clusters"] == 5
    assert all((columns, uns, cell) == ([], [], "0") for columns, uns, cell, _ in seen)
    assert all(config.epochs == 2 for *_, config in seen)


def test_runs_with_the_same_ensemble_share_it_and_find_what_they_find_alone(folder, tmp_path, monkeypatch):
    from sccicl.clustering.ensemble import Ensemble

    made = []

    def make_blocks(self):
        made.append(self.seed)
        return original(self)

    original = Ensemble._make_blocks
    monkeypatch.setattr(Ensemble, "_make_blocks", make_blocks)
    monkeypatch.chdir(tmp_path)
    settings = ({"epochs": "1"}, {"epochs": "2"})
    path, tracks = folder / "three.h5ad", ("given", "estimated")
    together = run(path, ("cicl", "cicl-instance"), tracks, (0,), settings=settings, device="cpu")
    assert len(together) == 8 and made == [0]
    alone = run(path, ("cicl-instance",), ("estimated",), (0,), settings=settings[1:], device="cpu")
    assert made == [0, 0]
    assert [together[-1][name] for name in ("method", "setting", "ari")] == [
        alone[0][name] for name in ("method", "setting", "ari")
    ]


def test_permuted_labels_change_the_scores_alone(folder, tmp_path, monkeypatch):
    cells = anndata.read_h5ad(folder / "five.h5ad")
    cells.obs["cell_type"] = np.random.default_rng(0).permutation(cells.obs["cell_type"].astype(str))
    cells.write_h5ad(tmp_path / "five.h5ad")
    monkeypatch.chdir(tmp_path)
    (row,) = run(tmp_path / "five.h5ad", ("pca20-kmeans",), ("given",), (0,))
    assert row["n_clusters"] == 5 and row["ari"] < 0.2


# Plan --------------------------------------------------------------------------------------------------------------


def test_plan_has_every_method_set_track_and_seed(folder):
    rows, left_out = plan(folder, methods=[], sets=[], tracks=[], n_seeds=3, studies=[])
    runs = {
        (row["dataset"], name, track, seed)
        for row in rows
        for name in row["methods"].split(",")
        for track in row["tracks"].split(",")
        for seed in row["seeds"].split(",")
        if track in METHODS[name].tracks
    }
    assert runs == {
        (dataset, name, track, seed)
        for dataset in ("five", "three")
        for name, method in METHODS.items()
        for track in method.tracks
        for seed in "012"
        if name not in left_out
    }
    assert {row["input_kind"] for row in rows if row["dataset"] == "three"} == {"normalised"}
    assert len([row for row in rows if row["methods"] == "cicl,cicl-instance"]) == 2 * 3
    assert len([row for row in rows if row["methods"] == "leiden-k"]) == 2


def test_plan_leaves_out_what_cannot_run(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("sccicl.benchmark.plan.find_spec", lambda package: None)
    asked = ["--tracks", "given", "--seeds", 1, "--methods", "cicl,leiden-1,scvi-kmeans,scvi-leiden,clear"]
    told = benchmark("plan", folder, *asked, "--outdir", tmp_path).output
    assert "scvi-kmeans is left out: the Python package scvi is not installed" in told
    assert "CLEAR is left out: --benchmark_programs does not give its folder" in told
    left_out = ["leiden-1", "scvi-kmeans", "scvi-leiden", "clear"]
    assert [row["method"] for row in rows_of(tmp_path / "left_out.tsv")] == left_out
    assert not any("scvi" in row["methods"] for row in rows_of(tmp_path / "plan.tsv"))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--method", "scvi-kmeans"], "scvi-kmeans cannot be run: the Python package scvi is not installed"),
        (["--method", "pca20-kmeans", "--track", "estimated"], "no way to run with k estimated, but with k given"),
        (["--method", "phenograph", "--track", "given"], "no way to run with k given, but with k estimated"),
    ],
)
def test_a_method_that_cannot_run_is_refused(folder, tmp_path, monkeypatch, arguments, told):
    monkeypatch.setattr("sccicl.benchmark.plan.find_spec", lambda package: None)
    out = tmp_path / "x.tsv"
    assert told in benchmark("run", folder / "five.h5ad", *arguments, "--out", out, code=2).stderr
    assert not out.exists()


def test_run_of_a_file_that_is_not_there(tmp_path):
    told = benchmark("run", tmp_path / "x.h5ad", "--method", "leiden-1", "--out", tmp_path / "x.tsv", code=2).stderr
    assert told == f"ERROR: {tmp_path / 'x.h5ad'} does not exist: check the path\n"


def test_studies_change_one_parameter(folder):
    rows, _ = plan(folder, methods=["cicl"], sets=["five"], tracks=["estimated"], n_seeds=1, studies=["lambda"])
    (values,) = [row["setting"].split(";") for row in rows if row["setting"]]
    assert values[0] == "cluster_loss_weight=0" and values[-1] == "cluster_loss_weight=1" and len(values) == 11
    assert {row["tracks"] for row in rows if row["setting"]} == {"given"}


def test_settings_of_studies_are_parameters():
    for parameter, values, other in STUDIES.values():
        for value in values:
            settings = dict(setting.split("=") for setting in f"{parameter}={value}{other}".split(","))
            config = config_of(METHODS["cicl"], settings, n_cells=100, on_gpu=False)
            assert getattr(config, parameter) == float(value)


def test_parameters_of_the_variants():
    def epochs(n_cells, on_gpu):
        return config_of(METHODS["cicl-paper"], {}, n_cells=n_cells, on_gpu=on_gpu).epochs

    assert config_of(METHODS["cicl-instance"], {}, n_cells=9, on_gpu=False).cluster_loss_weight == 0
    assert (epochs(499, False), epochs(500, False), epochs(500, True)) == (1000, 50, 1000)


def test_code_version_tells_methods_apart():
    assert code_version("cicl") != code_version("cicl-instance") != code_version("pca20-kmeans")
    assert code_version("pca20-kmeans") == code_version("leiden-1")
    assert code_version("sc3s") != code_version("secuer") != code_version("seurat")


def test_code_version_changes_with_every_folder_that_matters(tmp_path):
    engine = Path(plan_module.__file__).parents[1]
    package = tmp_path / "sccicl"
    shutil.copytree(engine, package, ignore=shutil.ignore_patterns("__pycache__"))
    before = code_version("cicl", engine=package)
    assert before == code_version("cicl")
    for folder in sorted({path.parent for path in package.rglob("*.py")} - {package}):
        (folder / "more.py").write_text("x = 1")
        top = folder.relative_to(package).parts[0]
        matters = top not in ("benchmark", "cli", "count", "downstream", "report")
        assert (code_version("cicl", engine=package) != before) == matters, folder.name
        (folder / "more.py").unlink()
    for name in ("downstream/metrics.py", "benchmark/run.py"):
        with (package / name).open("a") as file:
            file.write("x = 1\n")
        assert code_version("cicl", engine=package) != before, name
        shutil.copy(engine / name, package / name)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--methods", "kmeans"], "no method 'kmeans'"),
        (["--sets", "five,six"], "no data set 'six'"),
        (["--tracks", "both"], "no track 'both'"),
        (["--studies", "depth"], "no study 'depth'"),
    ],
)
def test_unknown_names(folder, tmp_path, arguments, told):
    assert told in benchmark("plan", folder, "--outdir", tmp_path, *arguments, code=2).stderr


def test_folder_without_data_and_data_without_labels(tmp_path):
    assert "no h5ad" in benchmark("plan", tmp_path, "--outdir", tmp_path, code=2).stderr
    cells = simulate_cells()
    del cells.obs["cell_type"]
    cells.write_h5ad(tmp_path / "x.h5ad")
    told = benchmark("run", tmp_path / "x.h5ad", "--method", "leiden-1", "--out", tmp_path / "x.tsv", code=2).stderr
    assert "cell_type" in told and not (tmp_path / "x.tsv").exists()


def test_nothing_is_run_when_the_code_changed(folder, tmp_path):
    arguments = ["run", folder / "five.h5ad", "--method", "cicl", "--code", "old", "--out", tmp_path / "x.tsv"]
    assert "code has changed" in benchmark(*arguments, code=2).stderr and not list(tmp_path.iterdir())


@pytest.mark.parametrize(("setting", "told"), [("depth=3", "no parameter depth"), ("epochs=x", "int"), ("x", "NAME")])
def test_wrong_settings(folder, tmp_path, monkeypatch, setting, told):
    monkeypatch.chdir(tmp_path)
    wrong = benchmark("run", folder / "five.h5ad", "--method", "cicl", "--setting", setting, "--out", "x.tsv", code=2)
    assert told in wrong.stderr


# Report ------------------------------------------------------------------------------------------------------------


def synthetic(n_sets: int = 6, n_seeds: int = 3) -> pd.DataFrame:
    """Results in which methods keep an order, by 0.1 of ARI each."""
    rng = np.random.default_rng(0)
    names = {"given": ["cicl", "pca20-kmeans", "leiden-k"], "estimated": ["cicl", "cicl-instance", "leiden-1"]}
    runs = [(track, i, name) for track in names for i, name in enumerate(names[track])]
    rows = [(track, i, name, "", 1) for track, i, name in runs]
    rows += [("given", 0, "cicl", f"epochs={value},min_steps=1", value) for value in (1, 10, 100)]
    table = []
    for track, i, name, setting, value in rows:
        for dataset in range(n_sets):
            for seed in range(n_seeds):
                ari = 0.8 - 0.1 * i + 0.01 * dataset + rng.normal(0, 0.002)
                scores = dict.fromkeys(("ari", "nmi", "ami", "acc"), ari)
                n_cells = 100 * (dataset + 1)
                run = dict(zip(COLUMNS, (f"set{dataset}", name, setting, track, seed, n_cells, 5, 5 + i), strict=False))
                told = {"cells_used": n_cells, "version": f"{name} 1", "failure": ""}
                table.append({**run, **scores, "seconds": 2.0 * value, "peak_memory_mb": 300.0, **told})
    return pd.DataFrame(table)[list(COLUMNS)]


def test_summary_has_mean_and_sd_over_seeds_then_over_sets():
    results = synthetic()
    summary = summarise(results)
    one = results.query("track == 'given' and method == 'cicl' and setting == '' and dataset == 'set2'")["ari"]
    row = summary.query("track == 'given' and method == 'cicl' and setting == '' and dataset == 'set2'").iloc[0]
    assert row["ari_mean"] == pytest.approx(one.mean()) and row["ari_sd"] == pytest.approx(one.std())
    assert (row["n_seeds"], row["n_datasets"], row["k"]) == (3, 1, 5)
    sets = summary.query("track == 'given' and method == 'cicl' and setting == '' and dataset != @ALL")
    whole = summary.query("track == 'given' and method == 'cicl' and setting == '' and dataset == @ALL").iloc[0]
    assert whole["ari_mean"] == pytest.approx(sets["ari_mean"].mean()) and whole["n_datasets"] == 6
    assert whole["ari_sd"] == pytest.approx(sets["ari_sd"].mean())
    assert ALL == "(all)" and len(summary) == (6 + 3) * 7


def test_ranks_and_critical_difference():
    table = pd.DataFrame(np.tile([0.9, 0.5, 0.7, 0.1], (10, 1)), columns=list("abcd"))
    found = ranks(table)
    assert found.mean.to_dict() == {"a": 1, "c": 2, "b": 3, "d": 4} and found.p < 1e-5
    # Demšar (2006), table 5: q = 2.569 for four methods
    assert found.critical_difference == pytest.approx(2.569 * np.sqrt(4 * 5 / 60), abs=1e-3)
    assert cliques(found) == [("a", "c"), ("c", "b"), ("b", "d")]
    assert ranks(table.iloc[:2]) is None and ranks(table[["a", "b"]]) is None


def test_a_method_with_few_sets_is_not_ranked():
    table = pd.DataFrame(np.tile([0.9, 0.5, 0.7, 0.1], (10, 1)), columns=list("abcd"))
    table.loc[:2, "b"] = np.nan
    table.loc[9, "d"] = np.nan
    found = ranks(table)
    assert found.left_out == ("b",) and list(found.mean.index) == ["a", "c", "d"] and found.n_datasets == 9


def test_report_from_results(tmp_path):
    (tmp_path / "tables").mkdir()
    for i, (_, part) in enumerate(synthetic().groupby(["dataset", "method"])):
        part.to_csv(tmp_path / "tables" / f"{i}.tsv", sep="\t", index=False)
    pd.DataFrame(columns=list(COLUMNS)).to_csv(tmp_path / "tables" / "none.tsv", sep="\t", index=False)
    (tmp_path / "left_out.tsv").write_text("method\treason\nscvi-kmeans\tnot <installed>\n")
    (tmp_path / "plan.tsv").write_text(
        "dataset\tmethods\ttracks\tseeds\tsetting\nset1\tkmeans-medoid\tgiven,estimated\t0,1\t\n"
        "set1\tleiden-k\tgiven,estimated\t0,1,9\t\nset1\tcicl\tgiven\t0\t\nset1\tcicl\tgiven\t9\t\n"
    )
    benchmark(
        *("report", tmp_path / "tables", "--outdir", tmp_path / "out"),
        *("--plan", tmp_path / "plan.tsv", "--left-out", tmp_path / "left_out.tsv"),
    )
    assert len(rows_of(tmp_path / "out" / "results.tsv")) == len(synthetic())
    assert rows_of(tmp_path / "out" / "summary.tsv")[0]["dataset"] == ALL
    page = (tmp_path / "out" / "report.html").read_text()
    for told in (
        "k given",
        "k estimated",
        "Study: epochs",
        "not &lt;installed&gt;",
        "Friedman",
        "Against pca20-kmeans",
    ):
        assert told in page
    assert "kmeans-medoid on set1, k given, seed 0,1" in page and "cicl on set1, k given, seed 9" in page
    assert page.count("no result</li>") == 2 and "src=" not in page.split("</script>")[-1]


def test_report_says_what_failed_which_version_and_what_was_sampled(tmp_path):
    (tmp_path / "tables").mkdir()
    results = synthetic(4, 2)
    more = results.query("method == 'pca20-kmeans'").assign(method="graphscc", version="commit abc1234", cells_used=50)
    failed = more.query("dataset == 'set3'").assign(failure="it took more than 600 s, the limit")
    failed[["ari", "nmi", "ami", "acc", "n_clusters", "seconds", "peak_memory_mb"]] = ""
    table = pd.concat([results, more.query("dataset != 'set3'"), failed])
    table.to_csv(tmp_path / "tables" / "a.tsv", sep="\t", index=False)
    benchmark("report", tmp_path / "tables", "--outdir", tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "GraphSCC on set3, k given, seed 0, 1: it took more than 600 s, the limit</li>" in page
    assert "commit abc1234" in page and "3 sampled" in page and "Peak memory against cells" in page
    rows = rows_of(tmp_path / "results.tsv")
    kept = [row for row in rows if row["method"] == "GraphSCC"]
    assert len(kept) == 8 and [row["ari"] for row in kept if row["dataset"] == "set3"] == ["", ""]
    summary = {row["dataset"]: row for row in rows_of(tmp_path / "summary.tsv") if row["method"] == "GraphSCC"}
    assert set(summary) == {"set0", "set1", "set2", ALL} and summary[ALL]["n_datasets"] == "3"
    lost = [row for row in rows_of(tmp_path / "paired.tsv") if row["rival"] == "GraphSCC"]
    assert lost and all(row["n_datasets"] == "3" for row in lost)


@pytest.mark.parametrize("other", ["", "dataset\tari\nx\t1\n", "a\n1\t2\t3\n1\n"])
def test_report_of_a_folder_with_other_tables(tmp_path, other):
    synthetic(1, 1).to_csv(tmp_path / "a.tsv", sep="\t", index=False)
    (tmp_path / "groups.tsv").write_text(other)
    assert "groups.tsv is no table of runs" in benchmark("report", tmp_path, "--outdir", tmp_path, code=2).stderr


def test_report_where_every_run_failed(tmp_path):
    results = synthetic(1, 1).assign(failure="no R")
    results[["ari", "nmi", "ami", "acc", "n_clusters", "seconds", "peak_memory_mb"]] = ""
    results.to_csv(tmp_path / "a.tsv", sep="\t", index=False)
    assert "every run failed" in benchmark("report", tmp_path, "--outdir", tmp_path, code=2).stderr


def test_report_of_one_method_on_one_set(tmp_path):
    (tmp_path / "tables").mkdir()
    few = synthetic(1, 1).query("method == 'leiden-k'")
    few.to_csv(tmp_path / "tables" / "a.tsv", sep="\t", index=False)
    benchmark("report", tmp_path / "tables", "--outdir", tmp_path)
    assert rows_of(tmp_path / "summary.tsv")[0]["ari_sd"] == ""
    assert "1 data set, 1 seed" in (tmp_path / "report.html").read_text()


def test_missing_counts_a_rival_done_when_one_seed_is():
    row = {"dataset": "d", "methods": "leiden-k,leiden-1", "tracks": "given,estimated", "seeds": "0,1", "setting": ""}
    done = [{"dataset": "d", "method": "leiden-k", "setting": "", "track": "given", "seed": 0}]
    assert missing([row], done) == ["leiden-1 on d, k estimated, seed 0,1"]


def test_no_results_at_all(tmp_path):
    assert "no result" in benchmark("report", tmp_path, "--outdir", tmp_path, code=2).stderr
