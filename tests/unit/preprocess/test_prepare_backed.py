"""Preparation from file to file, in small blocks, gives what preparation in memory gives."""

import copy

import anndata
import h5py
import numpy as np
import pytest
from formats import write_tenx_h5
from sccicl.config import PRESETS
from sccicl.errors import InputError
from sccicl.io.validate import are_plain_counts
from sccicl.preprocess import prepare_backed, qc
from sccicl.preprocess.features import CountFeatures
from sccicl.preprocess.qc import Limits
from sccicl.steps import prepare as prepare_step
from sccicl.steps.prepare import prepare_to_file
from scipy import sparse
from simulate import simulate_cells

CONFIG = PRESETS["default"].changed(n_genes=40)
KINDS = ["csr", "gzip", "csc", "dense", "layer", "zarr", "10x"]
ALL_LIMITS = Limits(nmads=3, max_mito=15, min_cells=12, doublets="remove")


@pytest.fixture(scope="module")
def cells():
    """Counts with cells and genes that have none, and zeros that are stored."""
    cells = simulate_cells(n_cells=80, n_genes=120)
    cells.var["gene_symbols"] = [f"SYM{i}" for i in range(cells.n_vars)]
    counts = cells.X.toarray()
    counts[[0, 17, 79]] = 0
    counts[:, [0, 60, 119]] = 0
    cells.X = sparse.csr_matrix(counts)
    cells.X.data[::7] = 0
    return cells


@pytest.fixture(scope="module")
def judged():
    """Two types in two batches, in no order of names; some cells with few counts, some with high mitochondrial ones."""
    rng = np.random.default_rng(3)
    profiles = rng.gamma(0.5, 1, (2, 100)) + 0.01
    types = np.repeat([0, 1], 80)
    own = profiles[types]
    own[::16] = profiles.mean(0)  # as doublets are
    depth = np.full((160, 1), 150.0) * rng.lognormal(0, 0.2, (160, 1))
    depth[:9] = 15
    own[9:17, :5] *= 12
    counts = rng.poisson(depth * own / own.sum(1, keepdims=True)).astype(np.float32)
    counts[[20, 90]] = 0
    counts[:, 50] = 0
    cells = anndata.AnnData(sparse.csr_matrix(counts))
    cells.obs_names = [f"c{i:03}" for i in rng.permutation(160)]
    cells.var_names = [f"{'MT-' if i < 5 else 'G'}{n:03}" for i, n in enumerate(rng.permutation(100))]
    cells.var["gene_symbols"] = list(cells.var_names)
    cells.obs["batch"], cells.obs["cell_type"] = np.tile(["x", "y"], 80), types.astype(str)
    return cells


@pytest.fixture
def in_blocks(monkeypatch):
    """Whatever the size, blocks of a few cells, and nothing in memory."""
    monkeypatch.setattr(prepare_step, "prepare_sample", None)
    monkeypatch.setattr(prepare_backed, "fits_in_memory", lambda *_: False)
    monkeypatch.setattr(prepare_backed, "MAX_BLOCK_ENTRIES", 700)


def written(cells, kind, folder):
    path = folder / ("a.zarr" if kind == "zarr" else "a.h5" if kind == "10x" else "a.h5ad")
    if kind == "10x":
        return write_tenx_h5(cells, path, antibodies=3)
    adata = cells.copy()
    if kind == "csc":
        adata.X = adata.X.tocsc()
    if kind == "dense":
        adata.X = adata.X.toarray()
    if kind == "layer":
        adata.layers["counts"], adata.X = adata.X, adata.X * 0.5
    adata.write_zarr(path) if kind == "zarr" else adata.write_h5ad(path, compression="gzip" if kind == "gzip" else None)
    return path


def prepared(path, folder, config=CONFIG, **options):
    prepare_to_file(path, "a", folder / "out.h5ad", config=config, memory_gb=4, input_sha256="x", **options)
    return anndata.read_h5ad(folder / "out.h5ad")


def assert_same(ours, theirs):
    assert ours.obs.equals(theirs.obs) and list(ours.var_names) == list(theirs.var_names)
    assert (ours.X != theirs.X).nnz == 0 and ours.X.dtype == theirs.X.dtype and ours.X.has_sorted_indices
    assert list(ours.var["highly_variable"]) == list(theirs.var["highly_variable"])
    for column in ("cicl_mean", "cicl_std"):
        np.testing.assert_allclose(ours.var[column], theirs.var[column], rtol=1e-6)
    np.testing.assert_allclose(ours.obsm["X_cicl_input"], theirs.obsm["X_cicl_input"], atol=1e-5)
    records = [copy.deepcopy(dict(adata.uns["cicl"])) for adata in (ours, theirs)]
    assert [record.pop("stages")["prepare"]["seconds"] >= 0 for record in records] == [True, True]
    medians = [record["prepare"].pop("size_factor_median") for record in records]
    assert medians[0] == pytest.approx(medians[1], rel=1e-6)
    warnings = [list(record.pop("warnings", ())) for record in records]
    assert warnings[0] == warnings[1]
    np.testing.assert_equal(records[0], records[1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("selection", ["seurat", "cell_ranger"])
def test_as_in_memory(kind, selection, cells, tmp_path, request):
    path = written(cells, kind, tmp_path)
    config = CONFIG.changed(gene_selection=selection, max_value=3.0)
    options = {"counts_layer": "counts"} if kind == "layer" else {}
    if kind != "10x":
        options.update(label_col="cell_type", batch_col="batch")
    theirs = prepared(path, tmp_path, config, **options)
    request.getfixturevalue("in_blocks")
    assert_same(prepared(path, tmp_path, config, **options), theirs)


@pytest.mark.parametrize("kind", KINDS)
def test_quality_control_as_in_memory(kind, judged, tmp_path, request):
    path = written(judged, kind, tmp_path)
    options = {"counts_layer": "counts"} if kind == "layer" else {}
    if kind != "10x":
        options.update(label_col="cell_type", batch_col="batch")
    theirs = prepared(path, tmp_path, limits=ALL_LIMITS, **options)
    record = theirs.uns["cicl"]["qc"]
    assert len(record["removed"]) == 4 and min(record["removed"].values()) > 0
    assert record["genes_out"] < record["genes_in"] and "doublet_parts" not in record
    request.getfixturevalue("in_blocks")
    assert_same(prepared(path, tmp_path, limits=ALL_LIMITS, **options), theirs)


@pytest.mark.parametrize(
    "limits", [Limits(), Limits(nmads=3), Limits(min_cells=30), Limits(min_counts=100, min_genes=10, doublets="mark")]
)
def test_some_limits_as_in_memory(limits, judged, tmp_path, request):
    """Also where cells and genes without counts are left, or come to be so."""
    path = written(judged, "csr", tmp_path)
    theirs = prepared(path, tmp_path, limits=limits)
    request.getfixturevalue("in_blocks")
    assert_same(prepared(path, tmp_path, limits=limits), theirs)


def test_doublets_in_parts_as_in_memory(judged, tmp_path, request, monkeypatch):
    monkeypatch.setattr(qc, "MOST_CELLS_FOR_DOUBLETS", 60)
    path = written(judged, "csr", tmp_path)
    theirs = prepared(path, tmp_path, limits=ALL_LIMITS)
    assert theirs.uns["cicl"]["qc"]["doublet_parts"] == 3
    request.getfixturevalue("in_blocks")
    assert_same(prepared(path, tmp_path, limits=ALL_LIMITS), theirs)


def test_parts_of_the_molecules_are_told_as_in_memory(cells, tmp_path, request):
    velocyto = cells.copy()
    velocyto.layers["spliced"], velocyto.layers["unspliced"] = cells.X.copy(), cells.X.copy()
    velocyto.write_h5ad(tmp_path / "a.h5ad")
    theirs = prepared(tmp_path / "a.h5ad", tmp_path)
    assert "layer 'spliced' alone" in theirs.uns["cicl"]["warnings"][0]
    request.getfixturevalue("in_blocks")
    assert_same(prepared(tmp_path / "a.h5ad", tmp_path), theirs)


def test_quality_control_of_an_earlier_step_is_kept(judged, tmp_path, request):
    done = qc.quality_control(judged, Limits(min_counts=50))
    done.uns["cicl"]["warnings"] = ["of the step before"]
    done.write_h5ad(tmp_path / "a.h5ad")
    theirs = prepared(tmp_path / "a.h5ad", tmp_path, limits=ALL_LIMITS)
    assert theirs.n_obs == done.n_obs and "of the step before" in theirs.uns["cicl"]["warnings"]
    request.getfixturevalue("in_blocks")
    assert_same(prepared(tmp_path / "a.h5ad", tmp_path, limits=ALL_LIMITS), theirs)


def test_limits_that_leave_nothing(judged, tmp_path, in_blocks):
    with pytest.raises(InputError, match="0 cells left by the quality control"):
        prepared(written(judged, "csr", tmp_path), tmp_path, limits=Limits(min_genes=1000))
    assert not (tmp_path / "out.h5ad").exists() and not list(tmp_path.glob(".out*"))


@pytest.mark.parametrize("input_kind", ["normalised", "log"])
@pytest.mark.parametrize("n_genes", [40, 1000])
def test_other_values_and_all_genes(input_kind, n_genes, cells, tmp_path, request):
    other = cells.copy()
    other.X = (other.X * 0.37).log1p() if input_kind == "log" else other.X * 0.37
    other.write_h5ad(tmp_path / "a.h5ad")
    config = CONFIG.changed(n_genes=n_genes)
    options = {"input_kind": input_kind, "limits": Limits(nmads=3, min_cells=3) if n_genes == 40 else None}
    theirs = prepared(tmp_path / "a.h5ad", tmp_path, config, **options)
    request.getfixturevalue("in_blocks")
    assert_same(prepared(tmp_path / "a.h5ad", tmp_path, config, **options), theirs)


def test_a_wrong_value_is_named_by_its_own_row(cells, tmp_path, request):
    wrong = cells.copy()
    values = wrong.X.toarray()
    values[70, 5] = 1.5
    wrong.X = sparse.csr_matrix(values)
    wrong.layers["raw_counts"] = cells.X
    wrong.write_h5ad(tmp_path / "a.h5ad")
    with pytest.raises(InputError) as in_memory:
        prepared(tmp_path / "a.h5ad", tmp_path)
    request.getfixturevalue("in_blocks")
    with pytest.raises(InputError) as in_blocks:
        prepared(tmp_path / "a.h5ad", tmp_path)
    assert str(in_blocks.value) == str(in_memory.value) and "'cell70' (row 71)" in str(in_memory.value)
    assert not (tmp_path / "out.h5ad").exists() and not list(tmp_path.glob(".out*"))


def test_a_damaged_chunk_is_told(cells, tmp_path, in_blocks):
    path = written(cells, "gzip", tmp_path)
    with h5py.File(path) as file:
        place = file["X/data"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[place.byte_offset : place.byte_offset + place.size] = b"\0" * place.size
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"cannot be read .*damaged"):
        prepared(path, tmp_path)


def test_what_is_small_enough_is_prepared_in_memory(cells):
    class Matrix:
        names, n_entries = cells, 300_000_000

    assert not prepare_backed.fits_in_memory(Matrix, CONFIG, 4 << 30)
    Matrix.n_entries = 3_000_000
    assert prepare_backed.fits_in_memory(Matrix, CONFIG, 4 << 30)


def test_features_from_the_file(cells, tmp_path):
    """The cells that are read are those that are asked for."""
    cells.write_h5ad(tmp_path / "a.h5ad")
    backed = anndata.read_h5ad(tmp_path / "a.h5ad", backed="r")
    with np.errstate(divide="ignore"):  # three cells have no counts
        stored = CountFeatures(backed.X)
        assert stored.n_cells == 80
        for chosen in ([3, 20, 21, 70], [70, 3, 21]):
            assert (stored.subset(np.array(chosen)).counts != cells.X[chosen]).nnz == 0
        np.testing.assert_array_equal(stored.log_depth(), CountFeatures(cells.X).log_depth())


def test_plain_counts_are_what_the_checks_leave_as_they_are():
    assert are_plain_counts(np.array([1, 2, 300], np.float32)) and are_plain_counts(np.empty(0, np.float32))
    for odd in (0, -1, 0.5, np.nan, np.inf):
        assert not are_plain_counts(np.array([1, odd, 3], np.float32))
    assert not are_plain_counts(np.array([1, 2]))
