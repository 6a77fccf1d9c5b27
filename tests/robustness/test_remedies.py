"""Every remedy works: the advice of a message is taken, and the file is read."""

import gzip
import re
import shutil
from pathlib import Path

import anndata
import numpy as np
import pytest
from click.testing import CliRunner
from formats import small_counts, write_table, write_tenx_mtx
from sccicl.cli import main
from sccicl.errors import InputError
from sccicl.io.read import read_counts

SMALL = small_counts(40, 30)
OPTION = re.compile(r"--(counts-layer|input-kind|cells-in) (\w+)")


def with_layers(change) -> anndata.AnnData:
    adata = SMALL.copy()
    change(adata)
    return adata


def logs_and_counts(adata: anndata.AnnData) -> None:
    adata.layers["counts"] = adata.X.copy()
    adata.X = adata.X.log1p()


def scaled_and_logs(adata: anndata.AnnData) -> None:
    adata.X = adata.X.log1p()
    adata.raw = adata.copy()
    adata.X = adata.X.toarray() - 1


def fractions(adata: anndata.AnnData) -> None:
    adata.X = adata.X * np.float32(1.25)


def unnamed_axes(adata: anndata.AnnData) -> None:
    adata.obs_names = [f"v{i}" for i in range(adata.n_obs)]
    adata.var_names = [f"w{i}" for i in range(adata.n_vars)]


def transposed(folder: Path) -> Path:
    SMALL.T.write_h5ad(folder / "a.h5ad")
    return folder / "a.h5ad"


def h5ad(change):
    def make(folder: Path) -> Path:
        with_layers(change).write_h5ad(folder / "a.h5ad")
        return folder / "a.h5ad"

    return make


OPTIONS = {
    "counts in a layer": h5ad(logs_and_counts),
    "logs in raw": h5ad(scaled_and_logs),
    "normalised values": h5ad(fractions),
    "genes in obs": transposed,
    "unknown axes": lambda folder: write_table(with_layers(unnamed_axes), folder / "a.csv"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_that_a_message_names(name, tmp_path):
    path = OPTIONS[name](tmp_path)
    with pytest.raises(InputError) as error:
        read_counts(path)
    message = str(error.value)
    found = {option.replace("-", "_"): value for option, value in reversed(OPTION.findall(message))}
    if "say with --input-kind" in message:
        found = {"input_kind": re.search(r"are: (\w+)", message)[1]}
    assert read_counts(path, **found).n_obs in (40, 30)
    words = [word for option, value in found.items() for word in (f"--{option.replace('_', '-')}", value)]
    ended = CliRunner().invoke(main, ["prepare", str(path), "--outdir", str(tmp_path / "out"), *words])
    assert ended.exit_code == 0, ended.output


def test_the_folder_that_a_message_names(tmp_path):
    write_tenx_mtx(SMALL, tmp_path / "run/outs/filtered_feature_bc_matrix")
    with pytest.raises(InputError) as error:
        read_counts(tmp_path / "run")
    inside = re.search(r"did you mean its (?:folder|file) (\S+)\?", str(error.value))[1]
    np.testing.assert_array_equal(read_counts(tmp_path / "run" / inside).X.toarray(), SMALL.X.toarray())


def test_the_sample_that_a_message_asks_for(tmp_path):
    for prefix in ("s1_", "s2_"):
        write_tenx_mtx(SMALL, tmp_path / "m", prefix=prefix)
    with pytest.raises(InputError, match=r"give the \.mtx file of one sample") as error:
        read_counts(tmp_path / "m")
    one = tmp_path / "m" / re.search(r"\('(\S+?)'", str(error.value))[1]
    assert read_counts(one).n_obs == 40
    # A link to the matrix alone, as a scheduler stages it, leads to its neighbours.
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / one.name).symlink_to(one)
    assert read_counts(tmp_path / "task" / one.name).n_obs == 40


def test_an_archive_is_unpacked_as_told(tmp_path):
    (tmp_path / "t").mkdir()
    write_table(SMALL, tmp_path / "t" / "a.csv")
    path = Path(shutil.make_archive(str(tmp_path / "a.csv"), "zip", tmp_path / "t"))
    with pytest.raises(InputError, match=r"unzip a\.csv\.zip"):
        read_counts(path)
    shutil.unpack_archive(path, tmp_path / "u")
    assert read_counts(tmp_path / "u" / "a.csv").n_obs == 40


def test_a_gzipped_h5ad_is_unpacked_as_told(tmp_path):
    SMALL.write_h5ad(tmp_path / "a.h5ad")
    (tmp_path / "b.h5ad.gz").write_bytes(gzip.compress((tmp_path / "a.h5ad").read_bytes()))
    with pytest.raises(InputError, match=r"gunzip b\.h5ad\.gz"):
        read_counts(tmp_path / "b.h5ad.gz")
    (tmp_path / "b.h5ad").write_bytes(gzip.decompress((tmp_path / "b.h5ad.gz").read_bytes()))
    assert read_counts(tmp_path / "b.h5ad").n_obs == 40


def test_warnings_are_printed_by_prepare(tmp_path):
    path = write_table(SMALL, tmp_path / "a.csv", genes_in_rows=True)
    ended = CliRunner().invoke(main, ["prepare", str(path), "--outdir", str(tmp_path / "out")])
    assert ended.exit_code == 0 and "WARNING: a.csv: cells are assumed to be in columns" in ended.output
