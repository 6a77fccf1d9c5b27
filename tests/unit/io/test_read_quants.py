"""Matrices of alevin, alevin-fry and kallisto|bustools: cells in rows, names beside."""

import json

import numpy as np
import pandas as pd
import pytest
from sccicl.count.reads_record import add_reads, add_symbols
from sccicl.errors import InputError
from sccicl.io.read import read_counts
from scipy import io, sparse

COUNTS = np.random.default_rng(0).poisson(2, (12, 9))
CELLS = [f"CELL{i}" for i in range(12)]


def write(folder, names, genes, counts=COUNTS):
    folder.mkdir(exist_ok=True)
    io.mmwrite(folder / names[0], sparse.coo_matrix(counts))
    (folder / names[1]).write_text("\n".join(CELLS) + "\n")
    (folder / names[2]).write_text("\n".join(genes) + "\n")
    return folder


def test_alevin(tmp_path):
    names = ("quants_mat.mtx", "quants_mat_rows.txt", "quants_mat_cols.txt")
    found = read_counts(write(tmp_path / "a", names, [f"g{i}" for i in range(9)]))
    assert (found.to_df() == pd.DataFrame(COUNTS, CELLS, [f"g{i}" for i in range(9)])).all(axis=None)


def test_kallisto(tmp_path):
    names = ("cells_x_genes.mtx", "cells_x_genes.barcodes.txt", "cells_x_genes.genes.txt")
    assert (read_counts(write(tmp_path / "k", names, list("abcdefghi"))).X.toarray() == COUNTS).all()


def test_spliced_and_ambiguous_molecules_count(tmp_path):
    names = ("quants_mat.mtx", "quants_mat_rows.txt", "quants_mat_cols.txt")
    found = read_counts(write(tmp_path / "a", names, ["a", "b", "c", "a-U", "b-U", "c-U", "a-A", "b-A", "c-A"]))
    assert list(found.var_names) == ["a", "b", "c"]
    assert (found.X.toarray() == COUNTS[:, :3] + COUNTS[:, 6:]).all()


def test_sizes_that_do_not_agree(tmp_path):
    names = ("quants_mat.mtx", "quants_mat_rows.txt", "quants_mat_cols.txt")
    with pytest.raises(InputError, match=r"12 rows and 9 columns, but quants_mat_rows[.]txt names 12 cells"):
        read_counts(write(tmp_path / "a", names, ["a", "b"]))


def test_symbols_and_what_is_known_of_the_reads(tmp_path):
    import anndata

    adata = anndata.AnnData(COUNTS.astype(np.float32), var=pd.DataFrame(index=[f"E{i}" for i in range(9)]))
    (tmp_path / "genes.tsv").write_text("E1\tCD4\nE0\t\nE2\tMS4A1\n")
    add_symbols(adata, tmp_path / "genes.tsv")
    assert list(adata.var["gene_symbols"][:4]) == ["E0", "CD4", "MS4A1", "E3"]
    (tmp_path / "x.json").write_text(json.dumps({"protocol": "10XV3", "warnings": ["few match"]}))
    (tmp_path / "s.csv").write_text(
        "Number of Reads,500\nReads Mapped to Gene: Unique+Multiple Gene,NoMulti\nQ30,-nan\n\0Reads,4\n,5\n.,6\n"
    )
    add_reads(adata, tmp_path / "x.json", tmp_path / "s.csv")
    assert adata.uns["cicl"] == {
        "reads": {"protocol": "10XV3", "summary": {"Number of Reads": 500.0}},
        "warnings": ["few match"],
    }
