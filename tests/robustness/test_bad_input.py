"""Every bad input gets one clear sentence: what, where, and the remedy."""

from pathlib import Path
from types import SimpleNamespace

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from formats import small_counts, write_loom, write_table, write_tenx_h5, write_tenx_mtx
from sccicl.errors import InputError
from sccicl.io.read import check_columns, read_counts, take_counts
from sccicl.preprocess.prepare import prepare
from sccicl.steps.cluster import cluster_sample
from scipy import sparse

SMALL = small_counts()
CELL, GENE = SMALL.obs_names[2], SMALL.var_names[3]


def text_file(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def h5ad(path: Path, *, value: float | None = None, **parts) -> Path:
    """SMALL with `value` in row 3, column 4, and with other parts replaced."""
    adata = SMALL.copy()
    if value is not None:
        values = adata.X.toarray()
        values[2, 3] = value
        adata.X = sparse.csr_matrix(values)
    for name, part in parts.items():
        setattr(adata, name, part)
    adata.write_h5ad(path)
    return path


def truncated(path: Path) -> Path:
    h5ad(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


def twice(names: pd.Index) -> list[str]:
    names = list(names)
    names[5] = names[2]
    return names


def logs_with_counts(path: Path) -> Path:
    adata = SMALL.copy()
    adata.layers["counts"], adata.layers["scaled"] = adata.X.copy(), adata.X.toarray() - 0.5
    adata.raw = adata
    adata.X = adata.X.log1p()
    adata.write_h5ad(path) if path.suffix == ".h5ad" else adata.write_zarr(path)
    return path


def fractions_with_whole_loom_layer(path: Path) -> Path:
    write_loom(SMALL, path)
    with h5py.File(path, "r+") as file:
        file["matrix"][:] = np.log1p(file["matrix"][:])
    return path


def without_x(path: Path) -> Path:
    adata = anndata.AnnData(None, obs=SMALL.obs, var=SMALL.var, layers={"counts": SMALL.X})
    adata.write_h5ad(path)
    return path


def folder(path: Path, *files: str) -> Path:
    path.mkdir(parents=True)
    for name in files:
        (path / name).write_text("x")
    return path


def mtx_without(path: Path, name: str) -> Path:
    (write_tenx_mtx(SMALL, path) / name).unlink()
    return path


def mtx_of_two_samples(path: Path) -> Path:
    write_tenx_mtx(SMALL, path, prefix="s1_")
    return write_tenx_mtx(SMALL, path, prefix="s2_")


def mtx_with_other_barcodes(path: Path) -> Path:
    write_tenx_mtx(SMALL, path, zipped=False)
    (path / "barcodes.tsv").write_text("a\nb\n")
    return path


def mtx_cut_short(path: Path) -> Path:
    matrix = write_tenx_mtx(SMALL, path, zipped=False) / "matrix.mtx"
    matrix.write_text("\n".join(matrix.read_text().splitlines()[:20]))
    return path


def table_with(path: Path, row: int, column: int, text: str) -> Path:
    lines = [line.split(",") for line in write_table(SMALL, path).read_text().splitlines()]
    lines[row][column] = text
    path.write_text("\n".join(",".join(line) for line in lines))
    return path


def table_with_a_long_line(path: Path) -> Path:
    lines = write_table(SMALL, path).read_text().splitlines()
    lines[4] += ",1,2"
    path.write_text("\n".join(lines))
    return path


def only_antibodies(path: Path) -> Path:
    write_tenx_h5(SMALL, path, antibodies=1)
    with h5py.File(path, "r+") as file:
        file["matrix/features/feature_type"][:] = [b"Peaks"] * 15 + [b"Antibody Captur"]
    return path


def two_genomes(path: Path) -> Path:
    write_tenx_h5(SMALL, path, version=2)
    with h5py.File(path, "r+") as file:
        file.copy("GRCh38", "mm10")
    return path


def other_hdf5(path: Path, *groups: str) -> Path:
    with h5py.File(path, "w") as file:
        for group in groups:
            file.create_group(group)
    return path


def other_zarr(path: Path) -> Path:
    zarr.open_group(path, mode="w").create_group("image")
    return path


def loom_without_cell_names(path: Path) -> Path:
    write_loom(SMALL, path)
    with h5py.File(path, "r+") as file:
        del file["col_attrs/CellID"]
    return path


PLACE = f"cell '{CELL}' (row 3), gene '{GENE}' (column 4)"

# name: (the input, options, what the message must say)
CASES = {
    "missing file": (lambda d: d / "no.h5ad", {}, ["no.h5ad does not exist", "check the path"]),
    "empty file": (lambda d: text_file(d / "a.h5ad", ""), {}, ["a.h5ad is empty", "copy or write it again"]),
    "empty folder": (lambda d: folder(d / "m"), {}, ["the folder m is empty", "matrix.mtx"]),
    "other folder": (lambda d: folder(d / "m", "x"), {}, ["the folder m is neither", "matrix.mtx", ".zarr"]),
    "folder above": (
        lambda d: write_tenx_mtx(SMALL, d / "outs" / "filtered").parent,
        {},
        ["the folder outs is neither", "did you mean its folder filtered?"],
    ),
    "text as h5ad": (
        lambda d: text_file(d / "a.h5ad", "a,b\n1,2\n"),
        {},
        ["a.h5ad is not an h5ad file", "write it again"],
    ),
    "text as h5": (lambda d: text_file(d / "a.h5", "a,b\n"), {}, ["a.h5 is not a .h5 file", "write it again"]),
    "truncated h5ad": (lambda d: truncated(d / "a.h5ad"), {}, ["a.h5ad cannot be read", "truncated", "write it again"]),
    "gzipped h5ad": (lambda d: text_file(d / "a.h5ad.gz", "x"), {}, ["gzipped .h5ad", "gunzip a.h5ad.gz"]),
    "unknown suffix": (
        lambda d: text_file(d / "a.rds", "x"),
        {},
        ["a.rds is of no known format", ".h5ad", "matrix.mtx"],
    ),
    "no suffix": (lambda d: text_file(d / "counts", "x"), {}, ["counts is of no known format"]),
    "other HDF5": (
        lambda d: other_hdf5(d / "a.h5", "table"),
        {},
        ["a.h5 is HDF5 but no h5ad, 10x or loom", "it has table"],
    ),
    "MuData": (
        lambda d: other_hdf5(d / "a.h5mu", "mod", "obs", "var"),
        {},
        ["several modalities", "mdata['rna'].write_h5ad"],
    ),
    "other zarr": (lambda d: other_zarr(d / "a.zarr"), {}, ["a.zarr is a zarr store but not one of AnnData"]),
    "NaN": (lambda d: h5ad(d / "a.h5ad", value=np.nan), {}, ["a.h5ad: X has nan", PLACE, "replace the value"]),
    "infinite": (lambda d: h5ad(d / "a.h5ad", value=np.inf), {}, ["X has inf", PLACE, "replace the value"]),
    "negative": (lambda d: h5ad(d / "a.h5ad", value=-2), {}, ["X has -2", PLACE, "is negative", "give the raw counts"]),
    "fraction": (
        lambda d: h5ad(d / "a.h5ad", value=1.25),
        {},
        ["X has 1.25", PLACE, "--input-kind", "normalised (RPKM"],
    ),
    "logs, counts in a layer": (
        lambda d: logs_with_counts(d / "a.h5ad"),
        {},
        ["not a whole number", "--counts-layer counts (these look like counts: counts, raw)"],
    ),
    "logs, counts in a layer of a zarr": (
        lambda d: logs_with_counts(d / "a.zarr"),
        {},
        ["a.zarr: X has", "--counts-layer counts (these look like counts: counts, raw)"],
    ),
    "logs, counts in a layer of a loom": (
        lambda d: fractions_with_whole_loom_layer(d / "a.loom"),
        {},
        ["not a whole number", "--counts-layer spliced"],
    ),
    "a layer that is no counts": (
        lambda d: logs_with_counts(d / "a.h5ad"),
        {"counts_layer": "scaled"},
        ["layers['scaled'] has -0.5", "is negative", "--counts-layer counts"],
    ),
    "unknown layer": (
        lambda d: logs_with_counts(d / "a.h5ad"),
        {"counts_layer": "count"},
        ["no layer 'count'", "'counts', 'scaled', 'raw'"],
    ),
    "no layers": (
        lambda d: h5ad(d / "a.h5ad"),
        {"counts_layer": "raw"},
        ["no layer 'raw'", "leave --counts-layer out"],
    ),
    "layer of a table": (
        lambda d: write_table(SMALL, d / "a.csv"),
        {"counts_layer": "x"},
        ["one matrix only", "leave --c"],
    ),
    "layer of a 10x h5": (lambda d: write_tenx_h5(SMALL, d / "a.h5"), {"counts_layer": "x"}, ["one matrix only"]),
    "layer of a 10x folder": (lambda d: write_tenx_mtx(SMALL, d / "m"), {"counts_layer": "x"}, ["one matrix only"]),
    "no X": (lambda d: without_x(d / "a.h5ad"), {}, ["a.h5ad has no X", "--counts-layer", "'counts'"]),
    "logs too large": (
        lambda d: h5ad(d / "a.h5ad", value=1000),
        {"input_kind": "log"},
        ["X has 1000", "too large for a logarithm", "--input-kind normalised"],
    ),
    "negative logs": (lambda d: h5ad(d / "a.h5ad", value=-1), {"input_kind": "log"}, ["is negative", "not z-scores"]),
    "unknown kind": (
        lambda d: h5ad(d / "a.h5ad"),
        {"input_kind": "tpm"},
        ["--input-kind", "counts, normalised, log", "'tpm'"],
    ),
    "duplicate barcodes": (
        lambda d: h5ad(d / "a.h5ad", obs_names=twice(SMALL.obs_names)),
        {},
        [f"the barcode '{CELL}' 2 times, first at 3 and 6 of 24 (1 duplicates", "obs_names_make_unique()"],
    ),
    "duplicate genes": (
        lambda d: h5ad(d / "a.h5ad", var_names=twice(SMALL.var_names)),
        {},
        [f"the gene name '{SMALL.var_names[2]}' 2 times, first at 3 and 6 of 15", "var_names_make_unique()"],
    ),
    "duplicate genes of a table": (
        lambda d: table_with(d / "a.csv", 0, 5, SMALL.var_names[2]),
        {},
        ["a.csv has the gene name", "2 times, first at 3 and 5"],
    ),
    "few cells": (
        lambda d: write_tenx_h5(small_counts(9), d / "a.h5"),
        {},
        ["a.h5 has 9 cells", "at least 10", "give more cells"],
    ),
    "one gene": (
        lambda d: write_table(small_counts(24, 1), d / "a.csv"),
        {},
        ["a.csv has 1 gene,", "at least 2", "whole count matrix"],
    ),
    "mtx without barcodes": (
        lambda d: mtx_without(d / "m", "barcodes.tsv.gz"),
        {},
        ["in m has no barcodes.tsv", "holds"],
    ),
    "mtx without features": (
        lambda d: mtx_without(d / "m", "features.tsv.gz"),
        {},
        ["in m has no features.tsv or genes.tsv beside it"],
    ),
    "mtx of two samples": (
        lambda d: mtx_of_two_samples(d / "m"),
        {},
        ["m holds 2 matrices ('s1_matrix.mtx.gz', 's2_matrix.mtx.gz')", "give the .mtx file"],
    ),
    "mtx of other barcodes": (
        lambda d: mtx_with_other_barcodes(d / "m"),
        {},
        ["has 15 rows and 24 columns", "15 genes", "barcodes.tsv 2 cells", "of one run"],
    ),
    "mtx cut short": (
        lambda d: mtx_cut_short(d / "m"),
        {},
        ["matrix.mtx is not a complete Matrix Market file", "write it again"],
    ),
    "mtx of another name": (lambda d: text_file(d / "a.mtx", "x"), {}, ["a.mtx must be called matrix.mtx"]),
    "10x h5 without genes": (
        lambda d: only_antibodies(d / "a.h5"),
        {},
        ["a.h5 has no features of type 'Gene Expression'", "'Peaks'"],
    ),
    "10x h5 of two genomes": (lambda d: two_genomes(d / "a.h5"), {}, ["2 genomes ('GRCh38', 'mm10')", "of one genome"]),
    "loom without names": (
        lambda d: loom_without_cell_names(d / "a.loom"),
        {},
        ["a.loom does not name its cells", "attribute 'CellID'", "it has 'cell_type'"],
    ),
    "text in a table": (
        lambda d: table_with(d / "a.csv", 3, 4, "B cell"),
        {},
        [f"a.csv has the text 'B cell' in row '{CELL}', column '{GENE}'", "remove"],
    ),
    "NA in a table": (lambda d: table_with(d / "a.csv", 3, 4, "NA"), {}, ["a.csv: X has nan", PLACE]),
    "hole in a table": (lambda d: table_with(d / "a.csv", 3, 4, ""), {}, ["a.csv: X has nan", PLACE]),
    "fraction in a table": (lambda d: table_with(d / "a.csv", 3, 4, "0.5"), {}, ["X has 0.5", PLACE, "--input-kind"]),
    "long line in a table": (lambda d: table_with_a_long_line(d / "a.csv"), {}, ["a.csv", "line 5"]),
    "no table": (lambda d: text_file(d / "a.csv", "hello\nworld\n"), {}, ["a.csv is not a table", "separated by"]),
    "table without values": (lambda d: text_file(d / "a.csv", "a,b,c\n"), {}, ["a.csv is not a table"]),
    "binary table": (lambda d: binary(d / "a.csv"), {}, ["a.csv cannot be read", "write it again"]),
}


def binary(path: Path) -> Path:
    path.write_bytes(b"\x89\xff\xfe\x00,\n" * 9)
    return path


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_told_in_one_sentence(name, tmp_path):
    make, options, expected = CASES[name]
    with pytest.raises(InputError) as error:
        read_counts(make(tmp_path), **options)
    message = str(error.value)
    assert "\n" not in message
    for part in expected:
        assert part in message


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"X": SMALL.X.log1p()}, "the AnnData: X has"),
        ({"obs_names": twice(SMALL.obs_names)}, "the AnnData has the barcode"),
        ({"var_names": twice(SMALL.var_names)}, "the AnnData has the gene name"),
        ({"X": None}, "the AnnData has no X"),
    ],
)
def test_bad_data_in_memory(parts, expected):
    adata = SMALL.copy()
    for name, part in parts.items():
        setattr(adata, name, part)
    with pytest.raises(InputError, match=expected):
        take_counts(adata)


def test_an_unknown_layer_in_memory():
    with pytest.raises(InputError, match=r"no layer 'counts'.*leave --counts-layer out"):
        take_counts(SMALL.copy(), counts_layer="counts")


def test_unknown_columns_name_the_nearest(tmp_path):
    adata = read_counts(h5ad(tmp_path / "a.h5ad"))
    check_columns(adata, label_col="cell_type", batch_col="cell_type")
    for options in ({"label_col": "Celltype"}, {"batch_col": "Celltype"}):
        with pytest.raises(InputError) as error:
            check_columns(adata, **options)
        option = "--label-col" if "label_col" in options else "--batch-col"
        assert str(error.value) == (
            f"a.h5ad has no obs column 'Celltype': did you mean 'cell_type'? give {option} one of the existing columns "
            "('cell_type')"
        )


def test_a_column_that_is_not_there_at_all_or_empty(tmp_path):
    adata = read_counts(write_table(SMALL, tmp_path / "a.csv"))
    with pytest.raises(InputError, match=r"a.csv has no obs columns at all.*leave --label-col out"):
        check_columns(adata, label_col="x")
    adata.obs["empty"] = np.nan
    with pytest.raises(InputError, match=r"'empty' .--label-col. has no value in any cell"):
        check_columns(adata, label_col="empty")


def test_many_columns_are_not_all_listed():
    adata = SMALL.copy()
    for i in range(30):
        adata.obs[f"column{i}"] = 1
    with pytest.raises(InputError, match="and 21 more"):
        check_columns(adata, label_col="something else")


@pytest.mark.parametrize(("axis", "expected"), [(0, "9 cells with counts"), (1, "1 gene with counts")])
def test_too_little_with_counts(axis, expected):
    adata = SMALL.copy()
    values = adata.X.toarray()
    if axis == 0:
        values[9:] = 0
    else:
        values[:, 1:] = 0
    adata.X = sparse.csr_matrix(values)
    with pytest.raises(InputError, match=expected):
        prepare(take_counts(adata))


@pytest.mark.parametrize(("part", "culprit"), [("cells", "3 cells that are not the 3"), ("genes", "2 selected genes")])
def test_a_fit_of_another_sample(part, culprit):
    prepared = anndata.AnnData(np.ones((3, 2), dtype=np.float32))
    prepared.var["highly_variable"] = True
    fitted = SimpleNamespace(cells=list(prepared.obs_names), genes=list(prepared.var_names))
    setattr(fitted, part, getattr(fitted, part)[::-1])
    with pytest.raises(InputError, match=f"{culprit}.*: give the two files"):
        cluster_sample(prepared, fitted)
