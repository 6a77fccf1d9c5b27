"""Truncated and bit-flipped files: a clear error or the right result, never another result or a traceback."""

import os
import signal
import time
from collections import Counter

import anndata
import numpy as np
import pytest
import torch
from formats import small_counts, write_tenx_h5, write_tenx_mtx
from sccicl.cli.step_files import read_step_file
from sccicl.errors import InputError
from sccicl.io import hdf5_probe, model_file
from sccicl.io.read import read_counts, take_counts
from sccicl.io.write_h5ad import write_h5ad
from sccicl.model.checkpoint import Checkpoint
from sccicl.numerics.ordering import in_input_order
from sccicl.runtime.seal import is_intact

TRIALS = int(os.environ.get("CICL_TRIALS", 40))
MANY = 200
PATIENCE_S = 20


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Cut short, one to three bits flipped, a sector of zeros, or a sector lost."""
    bits = bytearray(content)
    kind, at = rng.integers(4), int(rng.integers(len(content)))
    if kind == 0:
        return content[:at]
    if kind == 1:
        for place in rng.integers(len(content), size=rng.integers(1, 4)):
            bits[place] ^= 1 << int(rng.integers(8))
    elif kind == 2:
        bits[at : at + 512] = bytes(len(bits[at : at + 512]))
    else:
        del bits[at : at + 512]
    return bytes(bits)


@pytest.fixture(scope="module")
def cells():
    return small_counts(60, 40)


def same(found: anndata.AnnData, cells: anndata.AnnData) -> bool:
    return (
        list(found.obs_names) == list(cells.obs_names)
        and list(found.var_names) == list(cells.var_names)
        and np.array_equal(found.X.toarray(), cells.X.toarray())
    )


def check(path, read, is_right, n: int, *, seed: int = 0) -> int:
    """Damage the file n times; the number of errors. Anything but an InputError is raised on."""
    content, errors = path.read_bytes(), 0
    for trial in range(n):
        bad = damaged(content, np.random.default_rng([seed, trial]))
        path.write_bytes(bad)
        try:
            found = read(path)
        except InputError as error:
            assert path.name in str(error) or path.parent.name in str(error), error
            assert len(str(error)) > 40
            errors += 1
        else:
            assert is_right(found), f"trial {trial}: damage went unseen"
    path.write_bytes(content)
    assert is_right(read(path))
    return errors


def each(test):
    """The quick number of trials, and 200 as a slow test."""
    return pytest.mark.parametrize("n", [TRIALS, pytest.param(MANY, marks=pytest.mark.slow)])(test)


@each
def test_h5ad_of_ours(n, cells, tmp_path):
    prepared = cells.copy()
    prepared.uns["cicl"] = {"prepare": {"input": "x"}}
    prepared.obsm["X_cicl_input"] = np.arange(120, dtype=np.float32).reshape(60, 2)
    write_h5ad(prepared, tmp_path / "s.prepared.h5ad")

    def right(found):
        found = in_input_order(found)
        return same(found, cells) and np.array_equal(found.obsm["X_cicl_input"], prepared.obsm["X_cicl_input"])

    assert check(tmp_path / "s.prepared.h5ad", lambda path: read_step_file(path, "prepare"), right, n) > n / 2
    assert check(tmp_path / "s.prepared.h5ad", read_counts, lambda found: same(found, cells), n, seed=1) > n / 2


@each
def test_model_and_fit_files(n, tmp_path):
    content = {"centroids": torch.randn(50, 20), "genes": [f"g{i}" for i in range(200)], "n_features": 20}
    model_file.save(content, tmp_path / "s.model.pt", "model")

    def right(found):
        return torch.equal(found["centroids"], content["centroids"]) and found["genes"] == content["genes"]

    assert check(tmp_path / "s.model.pt", lambda path: model_file.load(path, "model"), right, n) > n / 2


@each
def test_checkpoints(n, tmp_path):
    """A checkpoint that cannot be used is made anew; one that is used is right."""
    made = torch.randn(2000, generator=torch.Generator().manual_seed(0))
    checkpoint = Checkpoint(tmp_path, "s", "0" * 64)
    checkpoint.remember("scores", lambda: made)

    def read(path):
        return Checkpoint(tmp_path, "s", "0" * 64).remember("scores", lambda: made.clone())

    check(checkpoint.path, read, lambda found: torch.equal(found, made), n)


@each
def test_matrix_folder_of_10x(n, cells, tmp_path):
    """Files that are compressed have a checksum."""
    folder = write_tenx_mtx(cells, tmp_path / "filtered")
    for name in ("matrix.mtx.gz", "barcodes.tsv.gz", "features.tsv.gz"):
        errors = check(folder / name, lambda _: read_counts(folder), lambda found: same(found, cells), n)
        assert errors > n / 2


def outcome_in_a_child(read, path) -> str:
    """`right`, `refused`, `traceback`, or `lost` where the HDF5 library crashed or never came back."""
    child = os.fork()
    if child == 0:
        code = 3
        try:
            found = read(path)
            is_whole = found.n_obs >= 10 and found.n_vars >= 2 and bool((found.X.data > 0).all())
            code = 0 if is_whole else 3
        except InputError:
            code = 2
        finally:
            os._exit(code)
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return {0: "right", 2: "refused", 3: "traceback"}.get(os.waitstatus_to_exitcode(status), "lost")
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "lost"


@each
def test_input_without_checksums(n, cells, tmp_path, monkeypatch):
    """HDF5 of others may hold no checksum, so a flipped count can be a count: no traceback, and a whole result.

    The HDF5 library itself loops or crashes on a few damaged files: these are refused too.
    """
    monkeypatch.setattr(hdf5_probe, "LIMIT_S", 2)
    cells.write_h5ad(tmp_path / "plain.h5ad")
    cells.write_h5ad(tmp_path / "zipped.h5ad", compression="gzip")
    write_tenx_h5(cells, tmp_path / "tenx.h5")
    outcomes = Counter()
    for name in ("plain.h5ad", "zipped.h5ad", "tenx.h5"):
        content = (tmp_path / name).read_bytes()
        for trial in range(n // 3):
            (tmp_path / name).write_bytes(damaged(content, np.random.default_rng([0, trial])))
            outcomes[outcome_in_a_child(read_counts, tmp_path / name)] += 1
    print(dict(outcomes))
    assert outcomes["traceback"] == 0
    assert outcomes["lost"] == 0, outcomes
    assert outcomes["refused"] > n / 4


def test_a_file_at_which_hdf5_never_ends_is_refused(cells, tmp_path, monkeypatch):
    """Zeros in a heap of texts, as of a block that was lost on the way, are an object of no size to the library."""
    monkeypatch.setattr(hdf5_probe, "LIMIT_S", 1)
    path = tmp_path / "lost.h5ad"
    cells.write_h5ad(path)
    content = bytearray(path.read_bytes())
    at = content.index(b"GCOL") + 16
    content[at : at + 512] = bytes(512)
    path.write_bytes(content)
    assert outcome_in_a_child(read_counts, path) == "refused"
    with pytest.raises(InputError, match=r"lost\.h5ad is damaged: the HDF5 library does not come to an end when"):
        read_counts(path)


def test_a_sealed_file_can_be_changed_by_others(cells, tmp_path):
    """HDF5 writes over the seal; the file then counts as one of others."""
    import h5py

    write_h5ad(cells, tmp_path / "s.h5ad")
    with h5py.File(tmp_path / "s.h5ad", "r+") as file:
        file["uns/note"] = "theirs"
    assert is_intact(tmp_path / "s.h5ad")
    assert anndata.read_h5ad(tmp_path / "s.h5ad").uns["note"] == "theirs"


@pytest.mark.parametrize("layout", ["csr", "csc"])
@pytest.mark.parametrize("wrong", ["column too large", "negative column", "rows go back", "no last row", "before 0"])
def test_places_outside_of_the_matrix(layout, wrong, cells, tmp_path):
    """SciPy wrote outside of its arrays, and Python crashed."""
    bad = cells.copy()
    bad.X = bad.X.asformat(layout)
    if wrong == "rows go back":
        bad.X.indptr[3] = bad.X.indptr[5]
    elif wrong in ("no last row", "before 0"):
        bad.X.indptr[-1] = 0 if wrong == "no last row" else -7
    else:
        bad.X.indices[7] = 10**8 if wrong == "column too large" else -5
    with pytest.raises(InputError, match=r"the AnnData is damaged: its matrix points outside of itself .*write it"):
        take_counts(bad)
    bad.write_h5ad(tmp_path / "bad.h5ad")
    with pytest.raises(InputError, match=r"bad\.h5ad is damaged"):
        read_counts(tmp_path / "bad.h5ad")
