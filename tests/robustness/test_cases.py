"""Files in the forms of public bug reports: read with the right numbers, or refused with the remedy."""

# ruff: noqa: E501 (a case is a line)

import gzip
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from formats import write_loom
from sccicl.errors import InputError
from sccicl.io.read import read_counts
from sccicl.preprocess.join import join_samples
from sccicl.preprocess.qc import Limits, quality_control
from scipy import io, sparse

N_CELLS, N_GENES = 60, 90
SYMBOLS = [
    "MT-ND1",
    "MT-CO1",
    "CD3D",
    "CD3E",
    "CD8A",
    "MS4A1",
    "CD19",
    "CD79A",
    "LYZ",
    "NKG7",
    "GNLY",
    "HLA-DRA",
    "MALAT1",
    "ACTB",
    "GAPDH",
    "RPL3",
    "RPS2",
    "FTL",
    "VIM",
    "JUN",
    "FOS",
    "CCL5",
    "CXCL8",
    "TYROBP",
    "FCER1G",
    "STMN1",
    "MKI67",
    "TOP2A",
    "IGKC",
    "IGHM",
    "XIST",
    "ZFP36",
    "KLF2",
    "TXNIP",
    "PTPRC",
    "KIT",
    "GATA1",
    "SPI1",
    "PAX5",
    "TCF7",
    "FOXP3",
    "CTLA4",
    "TNF",
    "IL6",
    "STAT1",
    "ISG15",
    "MARCHF1",
    "MARCHF2",
    "SEPTIN2",
    "C3",
]


def truth(*, ids: bool = False) -> anndata.AnnData:
    """Counts with barcodes and symbols, or Ensembl ids with symbols in var."""
    rng = np.random.default_rng(5)
    counts = rng.poisson(rng.gamma(0.7, 2, N_GENES) * rng.lognormal(0, 0.2, (N_CELLS, 1)))
    counts[:, 20] += 1
    counts[np.arange(N_GENES) % N_CELLS, np.arange(N_GENES)] += 1
    symbols = (SYMBOLS + [f"ZNF{i}" for i in range(N_GENES)])[:N_GENES]
    accession = [f"ENSG{i:011d}" for i in range(N_GENES)]
    var = pd.DataFrame(
        {"gene_symbols" if ids else "gene_ids": symbols if ids else accession}, index=accession if ids else symbols
    )
    cells = ["".join(rng.choice(list("ACGT"), 16)) + "-1" for _ in range(N_CELLS)]
    obs = pd.DataFrame({"cell_type": np.where(np.arange(N_CELLS) % 2, "T", "B")}, index=cells)
    return anndata.AnnData(sparse.csr_matrix(counts.astype(np.float32)), obs=obs, var=var)


A, B = truth(ids=True), truth()
FRAME = pd.DataFrame(B.X.toarray().astype(int), index=B.obs_names, columns=B.var_names)


@dataclass
class Case:
    """An input made by `make`, the options, and what has to come out: the counts of `truth`, or parts of the message."""

    make: Callable[[Path], Path]
    told: tuple[str, ...] = ()
    warned: tuple[str, ...] = ()
    options: dict = field(default_factory=dict)
    scale: float = 1.0
    genes: list[str] | None = None
    symbols: bool = False


def mtx(folder: Path, *, lines=None, cells=None, genes="genes.tsv", matrix=None, prefix="") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    io.mmwrite(folder / f"{prefix}matrix.mtx", sparse.coo_matrix(A.X.T.astype(np.int64) if matrix is None else matrix))
    lines = [f"{i}\t{s}" for i, s in A.var["gene_symbols"].items()] if lines is None else lines
    (folder / f"{prefix}{genes}").write_text("".join(f"{line}\n" for line in lines))
    (folder / f"{prefix}barcodes.tsv").write_text("".join(f"{c}\n" for c in (A.obs_names if cells is None else cells)))
    return folder


def renamed(folder: Path, **names: str) -> Path:
    for old, new in names.items():
        found = next(path for path in folder.iterdir() if path.stem == old)
        found.rename(folder / new)
    return folder


def table(path: Path, frame: pd.DataFrame, **options) -> Path:
    path.parent.mkdir(exist_ok=True)
    frame.to_csv(path, **options)
    return path


def with_rows(**rows) -> pd.DataFrame:
    frame = FRAME.T.copy()
    for name, value in rows.items():
        frame.loc[name] = value
    return frame


def h5ad(path: Path, adata: anndata.AnnData) -> Path:
    adata.write_h5ad(path)
    return path


def changed(change: Callable[[anndata.AnnData], object]) -> anndata.AnnData:
    adata = B.copy()
    change(adata)
    return adata


def edited(path: Path, change: Callable[[h5py.File], object]) -> Path:
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def kb_nac(folder: Path) -> Path:
    for name in ("mature", "nascent", "ambiguous"):
        renamed(mtx(folder, matrix=A.X.astype(np.int64)), matrix=f"cells_x_genes.{name}.mtx")
    return renamed(folder, genes="cells_x_genes.genes.txt", barcodes="cells_x_genes.barcodes.txt")


def kb_with_symbols(folder: Path) -> Path:
    renamed(mtx(folder, matrix=A.X.astype(np.int64), lines=A.var_names), matrix="cells_x_genes.mtx")
    (folder / "cells_x_genes.genes.names.txt").write_text("\n".join(A.var["gene_symbols"]) + "\n")
    return renamed(folder, genes="cells_x_genes.genes.txt", barcodes="cells_x_genes.barcodes.txt")


def parse(folder: Path, matrix: str) -> Path:
    mtx(folder, matrix=A.X.astype(np.int64))
    pd.DataFrame({"gene_id": A.var_names, "gene_name": A.var["gene_symbols"], "genome": "hg38"}).to_csv(
        folder / "all_genes.csv", index=False
    )
    pd.DataFrame({"bc_wells": A.obs_names, "sample": "s"}).to_csv(folder / "cell_metadata.csv", index=False)
    (folder / "genes.tsv").unlink()
    (folder / "barcodes.tsv").unlink()
    return renamed(folder, matrix=matrix)


def velocyto(folder: Path) -> Path:
    for name in ("spliced", "unspliced", "ambiguous"):
        renamed(mtx(folder), matrix=f"{name}.mtx")
    return folder


def alevin(folder: Path) -> Path:
    renamed(
        mtx(folder / "alevin", lines=A.var_names, matrix=A.X.astype(np.int64)),
        matrix="quants_mat.mtx",
        genes="quants_mat_cols.txt",
        barcodes="quants_mat_rows.txt",
    )
    (folder / "quant.json").write_text("{}")
    return folder


def utf16(path: Path) -> Path:
    FRAME.to_csv(path, sep="\t", encoding="utf-16")
    return path


def zipped_by_name_only(folder: Path) -> Path:
    for path in list(mtx(folder).iterdir()):
        path.rename(f"{path}.gz")
    return folder


def antibodies(types: bool) -> anndata.AnnData:
    more = sparse.csr_matrix(np.full((N_CELLS, 3), 900, dtype=np.float32))
    names = [*B.var_names, "CD3_TotalSeqB", "CD4_TotalSeqB", "CD8_TotalSeqB"]
    adata = anndata.AnnData(sparse.hstack([B.X, more]).tocsr(), obs=B.obs, var=pd.DataFrame(index=names))
    if types:
        adata.var["feature_types"] = ["Gene Expression"] * N_GENES + ["Antibody Capture"] * 3
    return adata


def compound(file: h5py.File) -> None:
    file["col_attrs/RegulonsAUC"] = np.zeros(N_CELLS, dtype=[("PAX5(+)", "f8")])


def counted(path: Path) -> Path:
    frame = FRAME.T.copy()
    frame.columns = [f"bam/{name}.bam" for name in frame.columns]
    for place, (name, value) in enumerate(
        {"Chr": "1;1", "Start": "10;50", "End": "20;60", "Strand": "+;+", "Length": 22}.items()
    ):
        frame.insert(place, name, value)
    with path.open("w") as file:
        file.write('# Program:featureCounts v2.0.1; Command:"featureCounts" "-o" "x"\n')
        frame.to_csv(file, sep="\t", index_label="Geneid")
    return path


def text(path: Path, content: str) -> Path:
    path.write_text(content)
    return path


def separated(path: Path, *, header: str, values: str) -> Path:
    """A table whose lines end in more than their last value."""
    first, *lines = FRAME.to_csv(index_label="cell").splitlines()
    return text(path, "\n".join([first + header, *(line + values for line in lines)]) + "\n")


def from_macos(folder: Path) -> Path:
    for path in list(mtx(folder).iterdir()):
        (folder / f"._{path.name}").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X        ")
    return folder


def other_order(folder: Path) -> Path:
    """Genes of split-pipe with the columns in another order, and numbered."""
    genes = pd.read_csv(parse(folder, "DGE.mtx") / "all_genes.csv")
    genes[["genome", "gene_name", "gene_id"]].to_csv(folder / "all_genes.csv")
    return folder


def two_columns_of_symbols(file: h5py.File) -> None:
    file["row_attrs/gene_symbols"] = file["row_attrs/Gene"][:]


def logs(adata: anndata.AnnData) -> None:
    adata.layers["ambiguous"], adata.layers["matrix"], adata.layers["spliced"] = (
        adata.X.copy(),
        adata.X.copy(),
        adata.X.copy(),
    )
    adata.X = adata.X.log1p()


def scaled(adata: anndata.AnnData) -> None:
    adata.X = adata.X.log1p()
    adata.raw = adata.copy()
    adata.X = adata.X.toarray() - 1


def dates(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.rename(columns={"MARCHF1": "1-Mar", "SEPTIN2": "2-Sep"})


def twice(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.rename(columns={"CD3E": "CD3D"})


CASES = {
    "header in genes.tsv": Case(lambda d: mtx(d / "s", lines=["ENSEMBL\tSYMBOL", *(f"{i}\t{s}" for i, s in A.var["gene_symbols"].items())]), warned=("header",)),
    "quoted names": Case(lambda d: mtx(d / "s", lines=[f'"{i}"\t"{s}"' for i, s in A.var["gene_symbols"].items()], cells=[f'"{c}"' for c in A.obs_names])),
    "quoted lines": Case(lambda d: mtx(d / "s", lines=[f'"{i}\t{s}"' for i, s in A.var["gene_symbols"].items()])),
    "blank between id and symbol": Case(lambda d: mtx(d / "s", lines=[f"{i} {s}" for i, s in A.var["gene_symbols"].items()]), warned=("taken apart",)),
    "ids that are all the same": Case(lambda d: mtx(d / "s", lines=[f"NA\t{s}" for s in A.var["gene_symbols"]]), genes=list(A.var["gene_symbols"])),
    "symbols twice": Case(lambda d: mtx(d / "s", lines=["X", "X", *SYMBOLS, *[f"Y{i}" for i in range(99)]][:N_GENES]), told=("'X' 2 times", "features.tsv")),
    "gzipped by name only": Case(lambda d: zipped_by_name_only(d / "s")),
    "kb nac": Case(lambda d: kb_nac(d / "s"), warned=("nascent",), scale=2),
    "kb with symbols": Case(lambda d: kb_with_symbols(d / "s"), symbols=True),
    "velocyto": Case(lambda d: velocyto(d / "filtered"), warned=("unspliced",), scale=2),
    "parse": Case(lambda d: parse(d / "DGE_filtered", "count_matrix.mtx")),
    "parse, genes in another order": Case(lambda d: other_order(d / "DGE_filtered")),
    "files of macOS": Case(lambda d: from_macos(d / "s")),
    "loom with symbols twice": Case(lambda d: edited(write_loom(A, d / "s.loom"), two_columns_of_symbols)),
    "separator after the values": Case(lambda d: separated(d / "s.csv", header="", values=",")),
    "separator after all": Case(lambda d: separated(d / "s.csv", header=",", values=",")),
    "two values too many": Case(lambda d: text(d / "s.csv", FRAME.to_csv() + f"c{',0' * (N_GENES + 2)}\n"), told=("line 62", "as many values in each line")),
    "parse of old": Case(lambda d: parse(d / "DGE_filtered", "DGE.mtx")),
    "folder of alevin-fry": Case(lambda d: alevin(d / "af_quant"), told=("alevin-fry", "its folder alevin")),
    "outs of multi": Case(
        lambda d: mtx(d / "outs/per_sample_outs/S/count/sample_filtered_feature_bc_matrix").parents[3],
        told=("Cell Ranger multi", "per_sample_outs/S/count/sample_filtered_feature_bc_matrix"),
    ),
    "features as csv": Case(lambda d: renamed(mtx(d / "s"), genes="genes.csv"), told=("features.tsv", "'genes.csv'", "rename")),
    "float16": Case(lambda d: h5ad(d / "s.h5ad", changed(lambda a: setattr(a, "X", a.X.toarray().astype(np.float16))))),
    "antibodies": Case(lambda d: h5ad(d / "s.h5ad", antibodies(True)), warned=("3 Antibody Capture",)),
    "antibodies without types": Case(lambda d: h5ad(d / "s.h5ad", antibodies(False)), warned=("TotalSeq",)),
    "layers of scvelo": Case(lambda d: h5ad(d / "s.h5ad", changed(logs)), told=("--counts-layer matrix",)),
    "scaled, logs in raw": Case(lambda d: h5ad(d / "s.h5ad", changed(scaled)), told=("--counts-layer raw --input-kind log",)),
    "symbols twice with ids": Case(
        lambda d: h5ad(d / "s.h5ad", changed(lambda a: setattr(a, "var_names", ["CD3D" if g == "CD3E" else g for g in a.var_names]))),
        warned=("var['gene_ids']",), genes=list(B.var["gene_ids"]),
    ),
    "genes in obs": Case(lambda d: h5ad(d / "s.h5ad", B.T.copy()), told=("transposed", "--cells-in columns")),
    "genes in obs, said": Case(lambda d: h5ad(d / "s.h5ad", B.T.copy()), options={"cells_in": "columns"}),
    "SCope": Case(lambda d: edited(write_loom(A, d / "s.loom"), compound), warned=("RegulonsAUC",)),
    "featureCounts": Case(lambda d: counted(d / "counts.txt")),
    "read counters": Case(lambda d: table(d / "s.tsv", with_rows(__no_feature=9000, __not_aligned=50), sep="\t"), warned=("__no_feature",)),
    "spike-ins": Case(lambda d: table(d / "s.csv", with_rows(**{"ERCC-00002": 5000, "ERCC-00003": 90})), warned=("2 spike-ins",)),
    "metadata": Case(lambda d: table(d / "s.csv", FRAME.assign(nCount_RNA=9, seurat_clusters=1)), warned=("seurat_clusters",)),
    "rows of labels": Case(lambda d: table(d / "s.txt", with_rows(**{"tumor": 5, "malignant(1=no,2=yes)": 1}), sep="\t", index_label="Cell"), warned=("malignant",)),
    "symbols beside ids": Case(lambda d: table(d / "s.csv", FRAME.T.assign(name=A.var["gene_symbols"].to_numpy()).pipe(lambda f: f[["name", *f.columns[:-1]]]))),
    "decimal commas": Case(lambda d: table(d / "s.csv", FRAME / 2, sep=";", decimal=","), options={"input_kind": "normalised"}, scale=0.5),
    "thousands": Case(lambda d: table(d / "s.csv", (FRAME * 1000).map("{:,}".format)), told=("commas between the thousands",)),
    "UTF-16": Case(lambda d: utf16(d / "s.txt")),
    "comments above": Case(lambda d: text(d / "s.tsv", "# a\n# b\n" + FRAME.to_csv(sep="\t"))),
    "no names of rows": Case(lambda d: table(d / "s.csv", FRAME, index=False), told=("first column",)),
    "first column numbers": Case(lambda d: table(d / "s.csv", FRAME.T.rename_axis("gene").reset_index()), warned=("'gene' names them",)),
    "dates": Case(lambda d: table(d / "s.csv", dates(FRAME)), warned=("dates",), genes=list(dates(FRAME).columns)),
    "dates twice": Case(lambda d: table(d / "s.csv", dates(FRAME).rename(columns={"MARCHF2": "1-Mar"})), told=("date", "spreadsheet")),
    "twice in a table": Case(lambda d: table(d / "s.csv", twice(FRAME)), told=("'CD3D' 2 times", "table")),
    "blank last line": Case(lambda d: text(d / "s.csv", FRAME.to_csv() + "," * N_GENES + "\n"), warned=("last line",)),
    "zip": Case(lambda d: Path(shutil.make_archive(str(d / "s.csv"), "zip", table(d / "t" / "s.csv", FRAME).parent)), told=("unzip",)),
    "long table": Case(lambda d: text(d / "s.tsv", "gene\tcell\tcount\nA\tc\t1\n"), told=("long table", "pivot")),
    "blanks between": Case(lambda d: table(d / "s.txt", FRAME.T, sep=" ")),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_case(name, tmp_path):
    case = CASES[name]
    path = case.make(tmp_path)
    if case.told:
        with pytest.raises(InputError) as error:
            read_counts(path, **case.options)
        assert all(part in str(error.value) for part in case.told), error.value
        return
    found = read_counts(path, **case.options)
    genes = case.genes or (list(A.var_names) if found.var_names[0].startswith("ENSG") else list(B.var_names))
    assert list(found.var_names) == genes
    assert [c.removeprefix("bam/").removesuffix(".bam") for c in found.obs_names] == list(B.obs_names)
    np.testing.assert_allclose(found.X.toarray(), B.X.toarray() * case.scale)
    warnings = " ".join(map(str, found.uns["cicl"].get("warnings", ())))
    assert all(part in warnings for part in case.warned), warnings
    if case.symbols or ("gene_symbols" in found.var and case.genes is None):
        assert list(found.var["gene_symbols"]) == list(A.var["gene_symbols"])


def test_a_panel_of_which_all_cells_have_all_genes_loses_none():
    adata = B.copy()
    adata.X = sparse.csr_matrix(adata.X.toarray() + 1)
    kept = quality_control(adata, Limits(nmads=5))
    assert kept.n_obs == N_CELLS


def test_genes_of_one_sample_alone_are_kept_when_joined(tmp_path):
    first, second = B.copy(), B.copy()
    values = second.X.toarray()
    lacking = values.copy()
    lacking[:, :10] = 0
    first.X = sparse.csr_matrix(lacking)
    paths = [h5ad(tmp_path / "a.h5ad", first), h5ad(tmp_path / "b.h5ad", second)]
    joined = join_samples(paths, ["a", "b"], limits=Limits(min_cells=3))
    found = values.astype(bool).sum(0) + lacking.astype(bool).sum(0) >= 3
    assert set(joined.var_names) == set(B.var_names[found])


def test_more_than_a_third_removed_is_a_warning():
    kept = quality_control(B, Limits(min_counts=int(np.median(np.asarray(B.X.sum(1))))))
    assert "more than a third" in kept.uns["cicl"]["warnings"][0]


def test_a_gzipped_table_of_another_name(tmp_path):
    (tmp_path / "s.csv").write_bytes(gzip.compress(FRAME.to_csv().encode()))
    np.testing.assert_array_equal(read_counts(tmp_path / "s.csv").X.toarray(), B.X.toarray())
