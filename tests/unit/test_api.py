"""The Python API for notebooks."""

import anndata
import numpy as np
import pytest
from sccicl import CICL, InputError, cicl
from simulate import simulate_cells
from sklearn.metrics import adjusted_rand_score

SMALL = {"epochs": 5, "feed_forward": 64, "projection_hidden": 32, "projection_size": 16}


@pytest.fixture
def cells():
    return simulate_cells()


def test_cicl_sets_the_documented_fields_and_nothing_else(cells):
    before = cells.copy()
    assert cicl(cells, n_clusters=5, key_added="types", device="cpu", **SMALL) is None
    assert adjusted_rand_score(cells.obs["cell_type"], cells.obs["types"]) == 1
    assert set(cells.obs) - set(before.obs) == {"types", "types_confidence"}
    assert set(cells.obsm) == {"X_types"} and cells.obsm["X_types"].shape[0] == cells.n_obs
    assert cells.uns["types"]["params"]["epochs"] == 5
    assert (cells.X != before.X).nnz == 0 and list(cells.var) == list(before.var)


def test_copy_leaves_the_original(cells):
    result = cicl(cells, n_clusters=3, copy=True, device="cpu", **SMALL)
    assert "cicl" in result.obs and "cicl" not in cells.obs


def test_cells_without_counts_are_refused(cells):
    cells.X[0] = 0
    with pytest.raises(InputError, match="1 cells have no counts"):
        cicl(cells, n_clusters=3, device="cpu", **SMALL)


@pytest.fixture(scope="module")
def array():
    rng = np.random.default_rng(0)
    truth = np.arange(120) % 4
    return (rng.normal(size=(4, 10)) * 4)[truth] + rng.normal(size=(120, 10)), truth


def test_estimator_fits_transforms_and_predicts(array):
    x, truth = array
    model = CICL(4, parameters=SMALL, device="cpu").fit(x)
    assert adjusted_rand_score(truth, model.labels_) == 1
    np.testing.assert_allclose(model.transform(x), model.embedding_, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(model.predict(x), model.labels_)
    assert model.fit_predict(x).tolist() == model.labels_.tolist()
    assert model.n_clusters_ == 4 and ((model.confidence_ >= 0) & (model.confidence_ <= 1)).all()


def test_estimator_follows_scikit_learn(array):
    from sklearn.base import clone

    model = CICL(4, preset="paper", parameters={"epochs": 2}, random_state=3)
    assert clone(model).get_params() == model.get_params()
    with pytest.raises(Exception, match="not fitted"):
        model.predict(array[0])


@pytest.mark.parametrize("n_clusters", [2.5, None, True, "3.0", 0])
def test_numbers_of_clusters_that_are_none(cells, n_clusters):
    with pytest.raises(InputError, match="n_clusters is"):
        cicl(cells, n_clusters=n_clusters, device="cpu", **SMALL)


def test_unknown_preset(cells):
    with pytest.raises(InputError, match="the preset must be one of paper, default, not 'papr'"):
        cicl(cells, preset="papr")


def test_estimator_counts_the_clusters_that_there_are():
    x = np.repeat(np.eye(3), 10, axis=0)
    model = CICL(5, parameters=SMALL, device="cpu").fit(x)
    assert model.n_clusters_ == len(model.cluster_centers_) == len(set(model.labels_)) == 3


def test_estimator_needs_two_columns():
    with pytest.raises(ValueError, match="minimum of 2 is required"):
        CICL(2, device="cpu").fit(np.ones((20, 1)))


def test_arguments_of_scanpy(cells):
    from scipy import sparse

    expected = cicl(cells, n_clusters=5, device="cpu", copy=True, random_state=2, **SMALL).obs["cicl"]
    cells.layers["counts"] = cells.X.copy()
    cells.raw = cells.copy()
    cells.X = sparse.csr_matrix(np.log1p(cells.X.toarray()))
    for where in ({"layer": "counts"}, {"use_raw": True}):
        found = cicl(cells, n_clusters=5, device="cpu", copy=True, random_state=2, **where, **SMALL).obs["cicl"]
        assert (found == expected).all(), where
    with pytest.raises(ValueError, match="both layer and use_raw"):
        cicl(cells, layer="counts", use_raw=True)


@pytest.mark.parametrize(("wrong", "right"), [("seed", "random_state"), ("counts_layer", "layer"), ("epoch", "epochs")])
def test_unknown_arguments(cells, wrong, right):
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{wrong}'. Did you mean '{right}'"):
        cicl(cells, **{wrong: 1})


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"epochs": "20"}, "epochs must be a whole number, not '20'"),
        ({"batch_size": 256.0}, "batch_size must be a whole number, not 256.0"),
        ({"learning_rate": "1e-3"}, "learning_rate must be a number, not '1e-3'"),
        ({"epochs": 0}, "epochs must be at least 1, not 0"),
    ],
)
def test_values_that_no_parameter_has_are_named(cells, array, wrong, told):
    for call in (lambda: cicl(cells, **wrong), lambda: CICL(4, parameters=wrong, device="cpu").fit(array[0])):
        with pytest.raises(InputError, match=f"^{told}"):
            call()


def test_the_estimator_names_unknown_parameters(array):
    with pytest.raises(TypeError, match=r"CICL\(\) got an unexpected keyword argument 'epoch'. Did you mean 'epochs'"):
        CICL(4, parameters={"epoch": 3}).fit(array[0])


def test_messages_name_arguments_not_options(cells):
    with pytest.raises(ValueError) as told:
        cicl(cells, layer="nothing")
    assert "--" not in str(told.value)
    cells.X = cells.X * 0.5
    with pytest.raises(ValueError) as told:
        cicl(cells)
    assert "--" not in str(told.value) and "input_kind" in str(told.value)


def test_threads_of_others_change_nothing(cells, monkeypatch):
    """As scanpy.tl.umap does: numba raises torch's number of threads."""
    import torch

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = torch.get_num_threads()
    first = cicl(cells, n_clusters=5, device="cpu", copy=True, **SMALL)
    torch.set_num_threads(2)
    second = cicl(cells, n_clusters=5, device="cpu", copy=True, **SMALL)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)
    assert (first.obs["cicl"] == second.obs["cicl"]).all()
    assert first.obsm["X_cicl"].tobytes() == second.obsm["X_cicl"].tobytes()


@pytest.mark.parametrize("wrong", [-1, 2**32, "seed", 1.5])
def test_random_states_that_are_none(cells, wrong):
    with pytest.raises(ValueError):
        cicl(cells, random_state=wrong)


def test_random_state_as_scanpy_takes_it(array):
    """A generator gives the result of the number that it draws; None is another number each time."""
    x, _ = array
    drawn = np.random.RandomState(3).randint(2**31 - 1)
    first, second = (
        CICL(4, parameters=SMALL, device="cpu", random_state=state).fit(x)
        for state in (np.random.RandomState(3), np.int64(drawn))
    )
    assert first.embedding_.tobytes() == second.embedding_.tobytes()
    third = CICL(4, parameters=SMALL, device="cpu", random_state=None).fit(x)
    assert third.embedding_.tobytes() != first.embedding_.tobytes()


def test_what_leiden_takes_and_cicl_does_not(cells, tmp_path):
    with pytest.raises(TypeError, match="call it on a copy"):
        cicl(cells, restrict_to=("cell_type", ["a"]))
    with pytest.raises(TypeError, match="Did you mean 'n_clusters'"):
        cicl(cells, resolution=0.5)
    cells.write_h5ad(tmp_path / "cells.h5ad")
    with pytest.raises(ValueError, match="to_memory"):
        cicl(anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r"))


def test_result_is_what_the_plots_and_files_of_scanpy_take(cells, tmp_path):
    import matplotlib
    import scanpy as sc

    matplotlib.use("agg")
    cicl(cells, n_clusters=3, device="cpu", key_added="types", **SMALL)
    cells.write_h5ad(tmp_path / "result.h5ad")
    found = anndata.read_h5ad(tmp_path / "result.h5ad")
    assert list(found.uns["types_colors"]) == list(cells.uns["types_colors"]) and len(found.uns["types_colors"]) == 3
    axes = sc.pl.embedding(found, "X_types", color="types", show=False)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["0", "1", "2"]
    sc.pp.normalize_total(found)
    sc.pp.log1p(found)
    sc.tl.rank_genes_groups(found, "types")
    sc.tl.dendrogram(found, "types", use_rep="X_types")
    assert sc.pl.rank_genes_groups_dotplot(found, n_genes=2, show=False)


def test_names_for_completion():
    import sccicl

    assert {"cicl", "CICL", "InputError"} <= set(dir(sccicl)) and "Any" not in dir(sccicl)


def test_verbosity_is_that_of_scanpy(cells, tmp_path):
    import scanpy as sc

    before = sc.settings.verbosity, sc.settings.logfile
    try:
        for verbosity, says in ((1, False), (2, True)):
            sc.settings.verbosity, sc.settings.logfile = verbosity, tmp_path / f"{verbosity}.log"
            cicl(cells, n_clusters=3, device="cpu", copy=True, **SMALL)
            told = (tmp_path / f"{verbosity}.log").read_text()
            assert ("clustering by CICL" in told and "finished" in told) == says
    finally:
        sc.settings.verbosity, sc.settings.logfile = before
