"""Batches that are shifted on purpose: the shift is taken out, the types stay."""

import anndata
import numpy as np
import pandas as pd
import pytest
import torch
from sccicl.config import PRESETS
from sccicl.downstream.metrics import ilisi, perplexity_weights
from sccicl.errors import InputError
from sccicl.model.minibatches import balanced_minibatches
from sccicl.preprocess.batch_correction import (
    batch_codes,
    correct,
    corrected_input,
    mutual_pairs,
    neighbours_across,
    order_genes_within_batches,
)
from sccicl.preprocess.join import join_samples
from sccicl.preprocess.qc import Limits
from sccicl.steps.prepare import prepare_sample
from scipy import sparse


@pytest.fixture(scope="module")
def shifted():
    """Three types at distance 10 from each other; the cells of batch 1 are moved by 4 in a direction of their own."""
    rng = np.random.default_rng(0)
    types = rng.integers(0, 3, 600)
    batches = np.repeat([0, 1], [350, 250])
    x = 10 * np.eye(3, 10)[types] + rng.normal(0, 1, (600, 10))
    x[:, 9] += 4 * batches
    return (x - x.mean(0)).astype(np.float32), types, batches


def test_codes_count_from_the_biggest_batch():
    assert list(batch_codes(np.array(["b", "a", "a", "c", "a", "b"]))) == [1, 0, 0, 2, 0, 1]


def test_mutual_pairs_are_nearest_both_ways():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(30, 4)), rng.normal(size=(40, 4))
    cosine = (x / np.linalg.norm(x, axis=1)[:, None]) @ (y / np.linalg.norm(y, axis=1)[:, None]).T
    forth = np.argsort(-cosine, axis=1)[:, :5]
    back = np.argsort(-cosine, axis=0)[:5].T
    expected = {(i, j) for i in range(30) for j in forth[i] if i in back[j]}
    assert set(zip(*mutual_pairs(x, y, 5), strict=True)) == expected


def test_the_shift_is_taken_out_and_the_types_stay(shifted):
    x, types, batches = shifted
    corrected = correct(x, batches)
    assert ilisi(x, batches) < 1.1
    assert ilisi(corrected, batches) > 1.7
    assert ilisi(corrected, types) < 1.05
    assert (corrected[batches == 0] == x[batches == 0]).all()


def test_the_input_is_moved_along_its_components_only(shifted):
    x, _types, batches = shifted
    wide = np.hstack([x, np.random.default_rng(2).normal(0, 0.1, (600, 5)).astype(np.float32)])
    found = corrected_input(wide, batches)
    assert found.shape == wide.shape
    assert ilisi(found, batches) > 1.7
    assert found[batches == 0] == pytest.approx(wide[batches == 0], abs=1e-3)


def test_neighbours_are_of_both_batches_and_of_the_type(shifted):
    x, types, batches = shifted
    found = neighbours_across(correct(x, batches), batches, 5)
    assert found.shape == (600, 10)
    own, across = found[:, :5], found[:, 5:]
    assert (batches[own] == batches[:, None]).all()
    assert (batches[across] != batches[:, None]).mean() > 0.5
    assert (types[found] == types[:, None]).mean() > 0.99
    assert (own != np.arange(600)[:, None]).all()


def test_minibatches_hold_every_batch_in_its_share():
    batches = torch.tensor([0] * 900 + [1] * 90 + [2] * 10)
    found = balanced_minibatches(batches, 100, torch.Generator().manual_seed(0))
    assert sorted(torch.cat(found).tolist()) == list(range(1000))
    for cells in found:
        shares = torch.bincount(batches[cells], minlength=3)
        assert abs(int(shares[0]) - 90) <= 1 and abs(int(shares[1]) - 9) <= 1 and abs(int(shares[2]) - 1) <= 1
    again = balanced_minibatches(batches, 100, torch.Generator().manual_seed(1))
    assert any((a != b).any() for a, b in zip(found, again, strict=True))


def counts_of_two_batches():
    """Genes 0-19 tell types apart in both batches, genes 20-39 are on in batch b only, the others are noise."""
    rng = np.random.default_rng(3)
    types, in_b = rng.integers(0, 2, 300), np.arange(300) >= 160
    mean = np.tile(rng.gamma(3, 1.5, 200) + 1, (300, 1))
    mean[:, :20] *= np.where(types, 1.8, 0.2)[:, None]
    mean[:, 20:40] *= np.where(in_b, 1.8, 0.2)[:, None]
    obs = pd.DataFrame({"run": np.where(in_b, "b", "a")}, index=[f"c{i}" for i in range(300)])
    var = pd.DataFrame(index=[f"g{i}" for i in range(200)])
    return anndata.AnnData(sparse.csr_matrix(rng.poisson(mean).astype(np.float32)), obs=obs, var=var), types


def test_genes_that_differ_between_batches_only_are_not_chosen():
    adata, _ = counts_of_two_batches()
    order = order_genes_within_batches(
        adata.X, np.ones(300), "counts", "cell_ranger", batch_codes(adata.obs["run"].to_numpy()), 20
    )
    assert len(set(order[:20]) & set(range(20))) >= 18
    assert not set(order[:20]) & set(range(20, 40))


def test_prepared_cells_of_batches_mix(tmp_path):
    adata, types = counts_of_two_batches()
    adata.write_h5ad(tmp_path / "two.h5ad")
    config = PRESETS["default"]
    apart = prepare_sample(tmp_path / "two.h5ad", "two", config=config, batch_col="run")
    integrated = prepare_sample(tmp_path / "two.h5ad", "two", config=config, batch_col="run", integrate=True)
    types = types[adata.obs_names.get_indexer(integrated.obs_names)]
    assert ilisi(apart.obsm["X_cicl_input"], apart.obs["run"]) < 1.2
    assert ilisi(integrated.obsm["X_cicl_input"], integrated.obs["run"]) > 1.5
    assert ilisi(integrated.obsm["X_cicl_input"], types) < 1.2
    assert integrated.uns["cicl"]["prepare"]["integrate"]


@pytest.mark.parametrize(
    ("runs", "sentence"),
    [
        (["a"] * 300, "all cells are of one batch ('a' in the obs column 'run')"),
        (["a"] * 297 + ["b"] * 3, "the batch 'b' has 3 cells, and 10 are needed"),
        (["a"] * 100 + ["b"] * 100 + [None] * 100, "100 cells have no value in the obs column 'run'"),
    ],
)
def test_batches_that_cannot_be_integrated(tmp_path, runs, sentence):
    adata, _ = counts_of_two_batches()
    adata.obs["run"] = pd.Categorical(runs)
    adata.write_h5ad(tmp_path / "x.h5ad")
    with pytest.raises(InputError) as error:
        prepare_sample(tmp_path / "x.h5ad", "x", config=PRESETS["default"], batch_col="run", integrate=True)
    assert sentence in str(error.value)


def test_integration_needs_a_column(tmp_path):
    counts_of_two_batches()[0].write_h5ad(tmp_path / "x.h5ad")
    with pytest.raises(InputError, match="--integrate needs the obs column"):
        prepare_sample(tmp_path / "x.h5ad", "x", config=PRESETS["default"], integrate=True)


def write_samples(folder):
    adata, _ = counts_of_two_batches()
    parts = adata[:160].copy(), adata[160:, :150].copy()
    parts[1].obs_names = parts[0].obs_names[: parts[1].n_obs]
    for name, part in zip("ab", parts, strict=True):
        part.write_h5ad(folder / f"{name}.h5ad")
    return [folder / "a.h5ad", folder / "b.h5ad"], parts


def test_samples_are_joined(tmp_path):
    paths, parts = write_samples(tmp_path)
    joined = join_samples(paths, ["a", "b"], limits=Limits(min_counts=1))
    assert joined.shape == (300, 150)
    assert list(joined.obs["sample"]) == ["a"] * 160 + ["b"] * 140
    assert joined.obs_names.is_unique and joined.obs_names[160] == "b_c0"
    assert (joined.X[160:].toarray() == parts[1].X.toarray()).all()
    assert joined.uns["cicl"]["qc"]["cells_in"] == 300
    assert set(joined.uns["cicl"]["qc"]["samples"]) == {"a", "b"}


def test_a_group_of_one(tmp_path):
    paths, _ = write_samples(tmp_path)
    with pytest.raises(InputError, match=r"only the sample .a. was given"):
        join_samples(paths[:1], ["a"], limits=Limits())


def test_samples_with_other_gene_names(tmp_path):
    paths, parts = write_samples(tmp_path)
    parts[1].var_names = [f"ENSG{i}" for i in range(150)]
    parts[1].write_h5ad(paths[1])
    with pytest.raises(InputError, match=r"0 genes in common.*'g0' in 'a' and 'ENSG0' in 'b'"):
        join_samples(paths, ["a", "b"], limits=Limits())


def test_ilisi_of_known_mixtures():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(900, 3))
    # Of about 25 neighbours that count, drawn at random: 1 / (1/3 + (2/3) / 25)
    assert ilisi(x, np.arange(900) % 3) == pytest.approx(2.78, abs=0.12)
    assert ilisi(x, np.zeros(900)) == pytest.approx(1)
    assert ilisi(np.vstack([x, x + 100]), np.repeat([0, 1], 900)) == pytest.approx(1)


def test_perplexity():
    distance = np.sort(np.random.default_rng(5).gamma(2, 1, (20, 90)), axis=1)
    weight = perplexity_weights(distance, 30)
    assert weight.sum(1) == pytest.approx(np.ones(20))
    assert np.exp(-(weight * np.log(weight)).sum(1)) == pytest.approx(np.full(20, 30.0), rel=1e-3)
