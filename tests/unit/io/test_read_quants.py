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


@pytest.mark.parametrize("matrix", ["DGE.mtx", "count_matrix.mtx"])
@pytest.mark.parametrize("numbered", [False, True])
def test_parse(matrix, numbered, tmp_path):
    """Folders of split-pipe, old and new; the tables may have the numbers of their rows as pandas writes them."""
    io.mmwrite(tmp_path / matrix, sparse.coo_matrix(COUNTS))
    genomes = ["hg38"] * 5 + ["mm10"] * 4
    genes = pd.DataFrame(
        {"gene_id": [f"ENSG{i:011d}" for i in range(9)], "gene_name": list("ABCDEFGHI"), "genome": genomes}
    )
    cells = pd.DataFrame({"bc_wells": [f"{i:02d}_{i:02d}_01" for i in range(12)], "sample": ["x", "y"] * 6})
    genes.to_csv(tmp_path / ("genes.csv" if matrix == "DGE.mtx" else "all_genes.csv"), index=numbered)
    cells.to_csv(tmp_path / "cell_metadata.csv", index=numbered)
    found = read_counts(tmp_path)
    assert (found.X.toarray() == COUNTS).all()
    assert list(found.obs_names) == list(cells["bc_wells"]) and list(found.obs["sample"]) == list(cells["sample"])
    assert list(found.var_names) == list(genes["gene_id"]) and list(found.var["gene_symbols"]) == list("ABCDEFGHI")
    assert "genes of 2 genomes (5 of 'hg38', 4 of 'mm10')" in " ".join(found.uns["cicl"]["warnings"])


RHAPSODY = "####\n## BD Rhapsody Analysis Pipeline\n####\n"
TAGS = ["CD3:UCHT1|CD3E|AHS0231|pAbO", "CD19:SJ25C1|CD19|AHS0030|pAbO"]


def test_bd_rhapsody(tmp_path):
    """The table of molecules and the MEX folder, whose cells are numbers; the long table is refused with its remedy."""
    genes, cells = ["CD3D", "C3", "MT-CO1", "ACTB", "GAPDH", "LYZ", "NKG7"], [str(7919 * (i + 1)) for i in range(12)]
    table = pd.DataFrame(COUNTS, pd.Index(cells, name="Cell_Index"), [*genes, *TAGS])
    path = tmp_path / "s_RSEC_MolsPerCell.csv"
    path.write_text(RHAPSODY + table.to_csv())
    folder = tmp_path / "s_RSEC_MolsPerCell_MEX"
    folder.mkdir()
    io.mmwrite(folder / "matrix.mtx", sparse.coo_matrix(COUNTS.T))
    types = ["Gene Expression"] * 7 + ["Antibody Capture"] * 2
    rows = [f"{name}\t{name}\t{kind}\n" for name, kind in zip(table.columns, types, strict=True)]
    (folder / "features.tsv").write_text("".join(rows))
    (folder / "barcodes.tsv").write_text("".join(f"{cell}\n" for cell in cells))
    for found in map(read_counts, (path, folder)):
        assert (found.to_df() == table[genes]).all(axis=None)
        assert list(found.obs_names) == cells
        assert " 2 " in " ".join(found.uns["cicl"]["warnings"])
    with pytest.raises(InputError, match=r"but of BD Rhapsody: did you mean its file s_RSEC_MolsPerCell.csv[?]"):
        read_counts(tmp_path)
    header = "Cell_Index\tBioproduct\tRSEC_Reads\tRaw_Molecules\tRSEC_Adjusted_Molecules\n"
    (tmp_path / "s_Expression_Data.st").write_text(f"{RHAPSODY}{header}7919\tCD3D\t9\t3\t2\n7919\tLYZ\t9\t3\t2\n")
    with pytest.raises(InputError, match=r"is a long table.*give the RSEC_MolsPerCell.csv of the same run"):
        read_counts(tmp_path / "s_Expression_Data.st")


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
