"""Which axis holds the cells: right by every kind of evidence, or refused; never by one odd name."""

import anndata
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sccicl.errors import InputError
from sccicl.io.orientation import add_library_sizes, decide, evidence_of_names
from sccicl.io.read import read_counts, take_counts
from scipy import sparse

HUMAN = [
    "MT-ND1",
    "CD3D",
    "CD8A",
    "NKG7",
    "GNLY",
    "LYZ",
    "S100A9",
    "HLA-DRA",
    "MALAT1",
    "ACTB",
    "GAPDH",
    "RPL10",
    "RPS18",
    "VIM",
    "FOS",
    "CCL5",
    "CXCL8",
    "TYROBP",
    "MKI67",
    "TOP2A",
    "XIST",
    "KLF6",
    "TXNIP",
    "PTPRC",
    "GATA1",
    "PAX5",
    "TCF7",
    "FOXP3",
    "CTLA4",
    "STAT1",
    "ISG15",
    "SEPTIN2",
    "TMEM106B",
    "ZNF486",
    "SLC25A6",
    "LINC00115",
    "C1orf112",
    "AL627309.1",
    "COL1A1",
    "KRT18",
    "APOE",
    "INS",
    "GCG",
    "SST",
    "PPY",
    "TTR",
    "CHGA",
    "SOX9",
    "EPCAM",
    "KRT19",
]
MOUSE = ["mt-Nd1", "Xkr4", "0610007P14Rik", "Gm1992", *(name.capitalize() for name in HUMAN[1:40])]
COMPLEMENT = ["C2", "C3", "C5", "C6", "C7", "C9", "C77080"]
ENSEMBL = [f"ENSMUSG{i:011d}" for i in range(40)]
FLY = [f"FBgn{i:07d}" for i in range(40)]
WORM = [f"WBGene{i:08d}" for i in range(40)]
PLANT = [f"AT{i % 5 + 1}G{i:05d}" for i in range(40)]
GENES = st.sampled_from([HUMAN, MOUSE, HUMAN + COMPLEMENT, ENSEMBL, FLY, WORM, PLANT, [f"mm10___{g}" for g in MOUSE]])
CELLS = st.sampled_from(
    [
        lambda n, r: ["".join(r.choice(list("ACGT"), 16)) + "-1" for _ in range(n)],
        lambda n, r: [f"S{i % 3}_" + "".join(r.choice(list("ACGT"), 12)) for i in range(n)],
        lambda n, r: [f"cell_{i}" for i in range(n)],
        lambda n, r: [f"C{i + 1}" for i in range(n)],
        lambda n, r: [str(i) for i in range(n)],
        lambda n, r: [f"Pl{i // 96}_{'ABCDEFGH'[i % 8]}{i % 12 + 1:02d}_S{i}" for i in range(n)],
        lambda n, r: [f"{'ABCDEFGH'[i % 8]}{i // 8 + 1}.B000610.3_56_F.1.1" for i in range(n)],
        lambda n, r: [f"SRR{5_000_000 + i}" for i in range(n)],
        lambda n, r: [f"CD4.{i}" for i in range(n)],
        lambda n, r: ["".join(r.choice(list("bcdfghjkpqvwz"), 7)) + str(i) for i in range(n)],
    ]
)


@settings(max_examples=150, deadline=None)
@given(
    genes=GENES,
    cells=CELLS,
    n_cells=st.integers(12, 300),
    seed=st.integers(0, 99),
    corner=st.sampled_from(["", "X", "rownames"]),
)
def test_names_decide_in_either_orientation(genes, cells, n_cells, seed, corner):
    rng = np.random.default_rng(seed)
    genes = list(rng.permutation(genes))
    names = cells(n_cells, rng)
    assert decide(evidence_of_names(names, genes, corner), (n_cells, len(genes)), "t")[0] == "rows"
    assert decide(evidence_of_names(genes, names, corner), (len(genes), n_cells), "t")[0] == "columns"


@settings(max_examples=50, deadline=None)
@given(n_rows=st.integers(11, 80), n_columns=st.integers(11, 80))
def test_names_that_say_nothing_are_refused_with_an_option(n_rows, n_columns):
    rows, columns = [f"v{i}" for i in range(n_rows)], [f"w{i}" for i in range(n_columns)]
    with pytest.raises(InputError, match=r"--cells-in rows or --cells-in columns"):
        decide(evidence_of_names(rows, columns), (n_rows, n_columns), "t")


@pytest.mark.parametrize("corner", ["gene", "Gene Symbol", "geneid", "cell", "cell_id", "barcode"])
def test_the_first_field_decides_where_names_do_not(corner):
    axis, reason = decide(evidence_of_names(["a"] * 9, ["b"] * 4, corner), (9, 4), "t")
    assert axis == ("columns" if corner.lower().startswith("gene") else "rows") and corner in reason


def test_names_of_both_axes_outweigh_the_first_field():
    names = [f"Cy72_CD45_A{i:02d}_S{i}_comb" for i in range(60)]
    assert decide(evidence_of_names(HUMAN, names, "Cell"), (len(HUMAN), 60), "t")[0] == "columns"


@pytest.mark.parametrize("turned", [False, True])
def test_library_sizes_count(turned):
    rng = np.random.default_rng(0)
    counts = rng.poisson(rng.lognormal(0, 2, 60) * rng.lognormal(0, 0.2, (200, 1)))
    tpm = counts / counts.sum(1, keepdims=True) * 1e6
    for values in (counts, tpm):
        found = evidence_of_names([f"v{i}" for i in range(200)], [f"w{i}" for i in range(60)])
        found.points = 0.0
        add_library_sizes(found, sparse.csr_matrix(values.T if turned else values))
        assert (found.points < 0) == turned and found.points != 0


def write(tmp_path, genes_in_rows, genes=None, cells=None):
    rng = np.random.default_rng(0)
    genes = genes or [f"w{i}" for i in range(40)]
    cells = cells or [f"v{i}" for i in range(40)]
    frame = pd.DataFrame(rng.poisson(2, (40, 40)) + 1, index=cells, columns=genes)
    (frame.T if genes_in_rows else frame).to_csv(tmp_path / "t.csv")
    return tmp_path / "t.csv", frame


@pytest.mark.parametrize("genes_in_rows", [True, False])
def test_a_refused_table_is_read_as_its_message_says(tmp_path, genes_in_rows):
    path, frame = write(tmp_path, genes_in_rows)
    with pytest.raises(InputError, match="--cells-in rows or --cells-in columns"):
        read_counts(path)
    found = read_counts(path, cells_in="columns" if genes_in_rows else "rows")
    np.testing.assert_array_equal(found.X.toarray(), frame.to_numpy())
    assert list(found.var_names) == list(frame.columns)
    assert found.uns["cicl"]["prepare"]["cells_in"] == ("columns" if genes_in_rows else "rows")


def test_the_other_remedy_a_first_field_works_too(tmp_path):
    path, frame = write(tmp_path, True)
    path.write_text("gene" + path.read_text())
    np.testing.assert_array_equal(read_counts(path).X.toarray(), frame.to_numpy())


def transposed() -> anndata.AnnData:
    rng = np.random.default_rng(0)
    genes, cells = HUMAN[:40], ["".join(rng.choice(list("ACGT"), 16)) for _ in range(40)]
    counts = sparse.csr_matrix(rng.poisson(2, (40, 40)).astype(np.float32) + 1)
    return anndata.AnnData(counts, obs=pd.DataFrame(index=genes), var=pd.DataFrame(index=cells))


def test_an_h5ad_with_genes_in_obs_is_refused_and_read_as_said(tmp_path):
    adata = transposed()
    adata.write_h5ad(tmp_path / "t.h5ad")
    with pytest.raises(InputError, match=r"transposed.*--cells-in columns.*--cells-in rows"):
        read_counts(tmp_path / "t.h5ad")
    turned = read_counts(tmp_path / "t.h5ad", cells_in="columns")
    assert list(turned.var_names) == list(adata.obs_names)
    np.testing.assert_array_equal(turned.X.toarray(), adata.X.toarray().T)
    assert read_counts(tmp_path / "t.h5ad", cells_in="rows").obs_names[0] == adata.obs_names[0]
    assert take_counts(adata.T.copy()).obs_names[0] == adata.var_names[0]


def test_another_word_than_an_axis():
    with pytest.raises(InputError, match="--cells-in must be one of rows, columns"):
        take_counts(transposed(), cells_in="obs")
