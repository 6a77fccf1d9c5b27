"""What is told about data without clusters: none found; cuts of a continuum and splits of a type are pointed out."""

import numpy as np
import pytest
import torch
from nulls import NULLS, trajectory
from sccicl.clustering.ensemble import Ensemble
from sccicl.clustering.gaps import gap_density, without_gap
from sccicl.clustering.n_clusters import choose_k
from sccicl.config import preset_config
from sccicl.io.read import take_counts
from sccicl.preprocess.features import CountFeatures
from sccicl.preprocess.prepare import prepare
from sccicl.report.page import write_report
from sccicl.steps.cluster import cluster_sample
from sccicl.steps.fit import fit_sample
from sccicl.steps.prepare import prepare_sample
from sccicl.steps.score import score_sample
from scipy import stats
from simulate import simulate_cells


def described(cells, n_clusters, folder) -> tuple[dict, str]:
    """Metrics and report of a quick run."""
    config = preset_config("default").changed(epochs=1, min_steps=20)
    cells.write_h5ad(folder / "cells.h5ad")
    prepared = prepare_sample(folder / "cells.h5ad", "cells", config=config)
    fitted = fit_sample(prepared, n_clusters, config=config, seed=0, device=torch.device("cpu"), quiet=True)
    cluster_sample(prepared, fitted)
    metrics = score_sample(prepared)
    return metrics, write_report([(prepared, metrics)], folder / "report.html").read_text()


def estimated(counts, input_kind="counts", seed=0) -> int:
    features = CountFeatures(prepare(take_counts(counts, input_kind=input_kind), input_kind=input_kind).X, input_kind)
    return choose_k(features, "auto", Ensemble(features, seed=seed), seed=seed).n_clusters


@pytest.mark.parametrize(("step", "n"), [(3, 7), pytest.param(1, 20, marks=pytest.mark.slow)])
def test_false_clusters_are_found_in_at_most_one_of_the_null_sets(step, n):
    found = {null: estimated(null.draw(seed)) for seed, null in list(enumerate(NULLS))[::step]}
    false = {null: k for null, k in found.items() if k > 1}
    assert len(found) == n and len(false) <= 1, false


def test_the_estimate_does_see_clusters_in_such_noise():
    """The check above could be passed by an estimate that always says 1."""
    cells = simulate_cells(300, 3, 500, markers=30, fold=5.0)
    assert estimated(cells) == 3


def test_report_and_metrics_of_a_null_set_say_that_nothing_was_found(tmp_path):
    metrics, page = described(NULLS[5].draw(1), "auto", tmp_path)
    assert metrics["n_clusters"] == 1 and not metrics["k_given"] and metrics["without_gap"] == []
    assert "No clusters were found" in page


def test_a_trajectory_is_called_a_continuum(tmp_path):
    metrics, page = described(trajectory(300), 4, tmp_path)
    assert len(metrics["without_gap"]) >= 2
    assert "continuum" in page


def test_splits_of_types_are_flagged_as_unstable(tmp_path):
    cells = simulate_cells(400, 2, 400, markers=40, fold=6.0)
    right, page = described(cells, 2, tmp_path)
    assert min(right["stability"]) > 0.95 and right["without_gap"] == []
    assert "stability below 0.6" not in page
    split, page = described(cells, 8, tmp_path)
    assert np.mean(np.array(split["stability"], dtype=float) < 0.6) > 0.5
    assert "stability below 0.6" in page


@pytest.mark.parametrize("apart", [2.0, 3.0, 4.0, 6.0])
def test_valley_of_two_normal_clusters_is_that_of_their_densities(apart):
    """Both windows hold what the normal distribution says, of both clusters."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 40_000)
    x = rng.normal(size=(80_000, 3)) + np.outer(labels * apart, [1, 0, 0])

    def inside(place):
        ends = np.array([-0.125, 0.125]) * apart
        return sum(np.diff(stats.norm.cdf(place * apart - mean + ends))[0] for mean in (0, apart))

    assert gap_density(x, labels)[0, 1] == pytest.approx(inside(0.5) / inside(0), rel=0.05)


def test_no_gap_in_a_uniform_distribution_and_none_claimed_of_few_cells():
    x = np.random.default_rng(0).random((3000, 1))
    labels = (3 * x[:, 0]).astype(int)
    valley = gap_density(x, labels)
    assert valley[0, 1] == pytest.approx(1, abs=0.15)
    assert (0, 1) in without_gap(valley) and (1, 2) in without_gap(valley)
    few = np.concatenate([np.flatnonzero(labels == i)[:10] for i in range(3)])
    assert without_gap(gap_density(x[few], labels[few])) == []
