"""What a result does not depend on: columns of obs and the order of cells and genes not at all, the threads hardly."""

import numpy as np
import pandas as pd
import pytest
import torch
from sccicl.config import preset_config
from sccicl.numerics.ordering import in_input_order, sort_by_name
from sccicl.preprocess import prepare_backed
from sccicl.steps.cluster import cluster_sample, write_clusters
from sccicl.steps.demo import pbmc_counts
from sccicl.steps.fit import fit_sample
from sccicl.steps.plot import plot_to_files
from sccicl.steps.prepare import prepare_sample, prepare_to_file
from sccicl.steps.score import score_sample
from simulate import simulate_cells
from sklearn.metrics import adjusted_rand_score

CONFIG = preset_config("default").changed(epochs=1, min_steps=30)
# Types that come apart and one pair that hardly does: labels could move.
CELLS = simulate_cells(300, 4, 300, markers=25, fold=4.0)


def clustered(cells, folder, n_clusters=4, **options):
    cells.write_h5ad(folder / "s.h5ad")
    prepared = prepare_sample(folder / "s.h5ad", "s", config=CONFIG, **options)
    return finished(prepared, n_clusters)


def finished(prepared, n_clusters=4):
    fitted = fit_sample(
        prepared, n_clusters, config=CONFIG, seed=0, device=torch.device("cpu"), others=[6], evolution=True, quiet=True
    )
    model = cluster_sample(prepared, fitted)
    prepared = in_input_order(prepared)
    prepared.uns["model"] = model
    return prepared


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return clustered(CELLS.copy(), tmp_path_factory.mktemp("expected"))


def assert_equal(found, expected):
    """Bit for bit, cell by cell and gene by gene; the values of a result in the order of its input."""
    cells, genes = found.obs_names.get_indexer(expected.obs_names), found.var_names.get_indexer(expected.var_names)
    assert not (found.obs_names == expected.obs_names).all() or not (found.var_names == expected.var_names).all()
    for column in ("cicl", "cicl_confidence", "cicl_6"):
        assert list(found.obs[column].iloc[cells]) == list(expected.obs[column]), column
    np.testing.assert_array_equal(found.obsm["X_cicl"][cells], expected.obsm["X_cicl"])
    for column in ("highly_variable", "cicl_mean", "cicl_std"):
        np.testing.assert_array_equal(found.var[column].iloc[genes], expected.var[column])
    ours, theirs = (adata.uns["cicl"] for adata in (found, expected))
    for key in ("history", "stability", "valley", "k"):
        assert_same_record(ours[key], theirs[key])
    shown = [
        dict(zip(kept["cells"], kept["clusters"].T.tolist(), strict=True))
        for kept in (found.uns["cicl"]["evolution"], expected.uns["cicl"]["evolution"])
    ]
    assert shown[0] == shown[1]
    ours, theirs = found.uns["model"], expected.uns["model"]
    assert ours.genes == theirs.genes and (ours.gene_mean == theirs.gene_mean).all()
    assert all((ours.encoder[name] == value).all() for name, value in theirs.encoder.items())
    assert (ours.centroids == theirs.centroids).all()
    for adata in (found, expected):
        adata.uns["cicl"].setdefault("stages", {})
    metrics = [score_sample(sort_by_name(adata)) for adata in (found, expected)]
    assert metrics[0]["silhouette"] == metrics[1]["silhouette"]


def assert_same_record(ours, theirs):
    if isinstance(theirs, dict):
        assert ours.keys() == theirs.keys()
        for key in theirs:
            assert_same_record(ours[key], theirs[key])
    else:
        np.testing.assert_array_equal(ours, theirs)


def shuffled(cells, axis, seed=1):
    rng = np.random.default_rng(seed)
    rows = rng.permutation(cells.n_obs) if axis != "genes" else np.arange(cells.n_obs)
    columns = rng.permutation(cells.n_vars) if axis != "cells" else np.arange(cells.n_vars)
    return cells[rows][:, columns].copy()


def test_the_same_again_and_with_other_columns_of_obs(expected, tmp_path):
    rng = np.random.default_rng(0)
    cells = CELLS.copy()
    cells.obs["noise"], cells.obs["text"] = rng.normal(size=300), "x"
    cells.obs["cell_type"] = rng.permutation(cells.obs["cell_type"].astype(str))
    again = clustered(cells, tmp_path)
    assert (again.obs["cicl"].to_numpy() == expected.obs["cicl"].to_numpy()).all()
    np.testing.assert_array_equal(again.obsm["X_cicl"], expected.obsm["X_cicl"])


@pytest.mark.parametrize("axis", ["both", *(pytest.param(axis, marks=pytest.mark.slow) for axis in ("cells", "genes"))])
def test_another_order_changes_nothing(axis, expected, tmp_path):
    assert_equal(clustered(shuffled(CELLS, axis), tmp_path), expected)


@pytest.mark.slow
def test_another_order_of_real_cells_changes_nothing(tmp_path):
    """With k estimated; of 700 cells and 765 genes, of which 500 are selected."""
    cells = pbmc_counts()
    expected, found = (clustered(adata, tmp_path, "auto") for adata in (cells, shuffled(cells, "both")))
    assert_equal(found, expected)


def test_another_order_of_values_that_are_no_whole_numbers(tmp_path):
    """Sums over the genes of a cell are rounded, so library sizes depend on the order unless care is taken."""
    cells = CELLS.copy()
    cells.X.data *= np.random.default_rng(0).lognormal(0, 1, cells.X.nnz).astype(np.float32)
    options = {"input_kind": "normalised"}
    found, expected = (clustered(adata, tmp_path, **options) for adata in (shuffled(cells, "both"), cells))
    assert_equal(found, expected)


def test_another_order_of_integrated_batches(tmp_path):
    options = {"batch_col": "batch", "integrate": True}
    found, expected = (clustered(adata, tmp_path, **options) for adata in (shuffled(CELLS, "both"), CELLS.copy()))
    assert_equal(found, expected)


@pytest.mark.parametrize("input_kind", ["counts", pytest.param("normalised", marks=pytest.mark.slow)])
def test_another_order_in_a_file_that_is_read_in_blocks(input_kind, tmp_path, monkeypatch):
    """Blocks hold other cells then, and the fit reads the counts from the file."""
    import anndata

    monkeypatch.setattr(prepare_backed, "fits_in_memory", lambda *_: False)
    monkeypatch.setattr(prepare_backed, "MAX_BLOCK_ENTRIES", 5_000)
    cells = CELLS.copy()
    if input_kind == "normalised":
        cells.X.data *= np.random.default_rng(0).lognormal(0, 1, cells.X.nnz).astype(np.float32)
    results = []
    for name, adata in {"as_is": cells, "shuffled": shuffled(cells, "both")}.items():
        source, target = tmp_path / f"{name}.h5ad", tmp_path / f"{name}.prepared.h5ad"
        adata.write_h5ad(source)
        prepare_to_file(source, "s", target, config=CONFIG, memory_gb=1.0, input_sha256="", input_kind=input_kind)
        fitted = fit_sample(
            anndata.read_h5ad(target, backed="r"),
            4,
            config=CONFIG,
            seed=0,
            device=torch.device("cpu"),
            others=[6],
            evolution=True,
            quiet=True,
        )
        prepared = anndata.read_h5ad(target)
        model = cluster_sample(prepared, fitted)
        results.append(in_input_order(prepared))
        results[-1].uns["model"] = model
    assert_equal(*results[::-1])


def test_another_order_with_doublets_looked_for(tmp_path):
    from sccicl.preprocess.qc import Limits

    limits = Limits(min_genes=5, doublets="mark")
    scores = []
    for adata in (CELLS, shuffled(CELLS, "both")):
        adata.write_h5ad(tmp_path / "s.h5ad")
        prepared = prepare_sample(tmp_path / "s.h5ad", "s", config=CONFIG, limits=limits)
        scores.append(prepared.obs["cicl_qc_doublet_score"])
    assert scores[0].gt(0).any() and scores[0].equals(scores[1].reindex(scores[0].index))


def test_files_of_the_steps_cluster_and_plot_in_another_order_of_cells(expected, tmp_path):
    """Both in the order of their input, with the same maps and partitions of every cell."""
    import anndata

    found = []
    for name, rows in (("as_is", np.arange(300)), ("shuffled", np.random.default_rng(1).permutation(300))):
        adata = expected[rows].copy()
        del adata.uns["model"]
        adata.uns["cicl"].update(id=name, stages={})
        adata.uns["cicl"]["k"]["given"] = False
        plot_to_files(sort_by_name(adata), tmp_path, name, None, None, None)
        found.append(anndata.read_h5ad(tmp_path / f"{name}.h5ad"))
        assert list(found[-1].obs_names) == list(adata.obs_names)
        write_clusters(sort_by_name(adata), expected.uns["model"], tmp_path, name)
        table = pd.read_csv(tmp_path / f"{name}.clusters.csv", dtype={"cluster": str})
        assert list(table["barcode"]) == list(adata.obs_names) and list(table["cluster"]) == list(adata.obs["cicl"])
        assert (found[-1].X != adata.X).nnz == 0
    for key in ("X_umap", "cicl_partitions"):
        np.testing.assert_array_equal(found[0].obsm[key][rows], found[1].obsm[key])


def test_two_threads_find_the_clusters_of_one(expected, tmp_path):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3 - min(before, 2))
        found = clustered(CELLS.copy(), tmp_path).obs["cicl"]
    finally:
        torch.set_num_threads(before)
    ari = adjusted_rand_score(found.astype(str), expected.obs["cicl"].astype(str))
    print(f"one and two threads: ARI {ari:.3f}")
    assert ari > 0.95
