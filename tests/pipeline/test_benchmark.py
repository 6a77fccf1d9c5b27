"""The benchmark through Nextflow."""

import csv

import pytest


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data sets")
    for name in ("one", "two"):
        (folder / f"{name}.h5ad").touch()
    return folder


def test_stub_has_the_whole_way(data, pipeline):
    run = pipeline("-stub", "--benchmark", str(data))
    assert run.status == 0, run.text
    runs = [f"BENCHMARK_RUN ({name}.cicl.given.0)" for name in ("one", "two")]
    assert sorted(run.tasks) == sorted(["BENCHMARK_PLAN", *runs, "BENCHMARK_REPORT"])
    assert "The report of the run: results/report.html" in run.text
    assert {"results.tsv", "summary.tsv", "report.html"} <= {path.name for path in run.outdir.iterdir()}


def test_wrong_parameters(data, pipeline):
    wrong = {
        "--benchmark_tracks": ("both", "given, estimated or given,estimated"),
        "--benchmark_seeds": ("0", "at least 1"),
        "--benchmark_methods": ("a; b", "names separated by commas"),
    }
    run = pipeline("--benchmark", str(data), *(word for name, (value, _) in wrong.items() for word in (name, value)))
    assert run.status != 0 and not run.tasks
    for name, (_, expected) in wrong.items():
        assert f"{name} must be {expected}" in run.text


@pytest.mark.slow
def test_resume_does_only_what_is_new(data, pipeline, tmp_path, simulated):
    folder = tmp_path / "sets"
    folder.mkdir()
    for seed, name in enumerate(("one", "two")):
        simulated(folder / f"{name}.h5ad", seed)
    asked = ["--benchmark", str(folder), "--benchmark_seeds", "2", "--benchmark_tracks", "given"]
    first = pipeline(*asked, "--benchmark_methods", "pca20-kmeans", folder=tmp_path / "launch")
    assert first.status == 0, first.text
    second = pipeline(*asked, "--benchmark_methods", "pca20-kmeans,leiden-k", "-resume", folder=tmp_path / "launch")
    assert sorted(second.tasks) == sorted(
        [
            "BENCHMARK_PLAN",
            "BENCHMARK_REPORT",
            *(f"BENCHMARK_RUN ({name}.leiden-k.given.0_1)" for name in ("one", "two")),
        ]
    )
    with (second.outdir / "results.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(rows) == 2 * 2 * 2 and all(float(row["ari"]) > 0.9 for row in rows)


@pytest.fixture
def simulated(root):
    """`simulated(path, seed)` writes cells of five types."""
    import sys

    sys.path.insert(0, f"{root}/tests/helpers")
    from simulate import simulate_cells

    return lambda path, seed: simulate_cells(seed=seed).write_h5ad(path)
