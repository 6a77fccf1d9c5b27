"""What the report says first, on samples whose answer is known."""

import numpy as np
import pandas as pd
from clustered import bare, clustered, described, metrics
from sccicl.report.answer import answer
from sccicl.report.notes import ROOM, n_open, notes
from sccicl.report.sample import read_sample


def sample(stability=None, pairs=(), k_given=None, n=4, cells=400):
    adata = bare(clustered(n_cells=cells))
    adata.obs["cicl"] = pd.Categorical.from_codes(np.arange(cells) % n, [str(i) for i in range(n)])
    uns = adata.uns["cicl"]
    if stability is not None:
        uns["stability"] = np.array(stability)
    valley = np.full((n, n), 0.1)
    for i, j in pairs:
        valley[i, j] = valley[j, i] = 0.75
    np.fill_diagonal(valley, np.nan)
    uns["valley"] = valley
    return read_sample(adata, {} if k_given is None else {"k_given": k_given})


def test_all_reliable():
    found = answer(sample([0.9, 0.8, 0.7, 0.6], k_given=False))
    assert found.sentence == "pbmc: 400 cells, 4 clusters (number estimated from the data). All 4 are reliable."
    assert found.doubtful == [] and found.merges == []


def test_clusters_without_a_gap_could_be_one():
    found = answer(sample([0.9, 0.8, 0.7, 0.5], pairs=[(0, 1), (1, 2)], k_given=True))
    assert [merge.clusters for merge in found.merges] == [["0", "1", "2"]]
    assert found.merges[0].result == "2 clusters, one of them with 300 cells"
    assert found.doubtful == ["0", "1", "2", "3"]
    assert found.reasons["3"] == ["unstable (0.50)"] and found.reasons["1"] == ["no gap to 0, 2"]
    assert "you set 4" in found.sentence and "Could be one: 0 + 1 + 2." in found.sentence
    assert any("estimate the number" in step for step in found.next_steps)
    assert any("75" in check and "half-way" in check for check in found.checks)


def test_nothing_computed_is_not_reliable():
    result = read_sample(bare(clustered()), {})
    found = answer(result)
    assert found.reasons is None and "reliable" not in found.sentence


def test_no_clusters():
    adata = bare(clustered())
    adata.obs["cicl"] = pd.Categorical(["0"] * adata.n_obs)
    assert answer(read_sample(adata, {"k_given": False})).sentence == "pbmc: 700 cells, no clusters found."


def test_small_clusters_doublets_and_mitochondria():
    adata = described(clustered("full"))
    rng = np.random.default_rng(0)
    inside = (adata.obs["cicl"] == "9").to_numpy()
    adata.obs["cicl_qc_doublet_score"] = np.where(inside, 0.2, 0.03) + rng.uniform(0, 0.01, adata.n_obs)
    adata.obs["cicl_qc_mito"] = np.where((adata.obs["cicl"] == "8").to_numpy(), 30.0, 4.0)
    found = answer(read_sample(adata, metrics(adata)))
    assert any("doublet score in cluster 9" in check for check in found.checks)
    assert any("mitochondrial share in cluster 8" in check for check in found.checks)
    assert "Cell types: type" in found.sentence


def test_a_cluster_of_one_cell():
    adata = described(clustered("full"))
    names = np.where(np.arange(adata.n_obs) == 5, "10", adata.obs["cicl"].astype(str).replace("10", "0"))
    adata.obs["cicl"] = pd.Categorical(names, [str(i) for i in range(11)])
    adata.uns["cicl"]["stability"] = np.array([0.9] * 10 + [np.nan])
    found = answer(read_sample(adata, {"k_given": True}))
    assert found.doubtful == ["10"] and found.reasons["10"] == ["only 1 cell"]
    assert "10 are reliable, 1 needs a check (10)." in found.sentence
    assert sum("Cluster 10 has only 1 cell." in check for check in found.checks) == 1
    assert not any("nan" in text for text in [found.sentence, *found.checks, *found.next_steps])


def test_known_labels_change_nothing():
    adata = described(clustered("full"))
    with_labels = answer(read_sample(adata, metrics(adata)))
    assert with_labels == answer(read_sample(adata, metrics(adata, labels=False)))


def test_notes_begin_with_merges_and_those_beyond_the_first_screen_are_folded():
    result = sample([0.9, 0.8, 0.7, 0.5], pairs=[(0, 1)])
    result.metrics["warnings"] = [f"the input has odd names: {letter * 300}" for letter in "abc"]
    told = notes(result, answer(result))
    assert "0 + 1 could be one" in told[0] and told[1].startswith("The input has odd names") and "Unstable" in told[-1]
    assert sum(map(len, told[: n_open(told)])) <= ROOM < sum(map(len, told[: n_open(told) + 1]))
    assert n_open(["a" * 2000, "b"]) == 1 and n_open(["a", "b"]) == 2
