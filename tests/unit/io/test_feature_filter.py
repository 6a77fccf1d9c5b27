"""What is no gene, and what is no cell, is left out with a warning that counts it; genes are all kept."""

# ruff: noqa: E501 (lists of names)

import anndata
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sccicl.errors import InputError
from sccicl.io.feature_filter import find_genes, not_cells
from sccicl.io.read import take_counts
from scipy import sparse

GENES = [
    "MT-ND1",
    "CD3D",
    "MAX",
    "PC",
    "AGER",
    "TIMELESS",
    "SEPTIN2",
    "H2-K1",
    "HLA-A",
    "ERCC1",
    "ERCC6",
    "SPIN1",
    "SUMO1",
    "CLUSTER1P",
    "GROUPX",
    "T",
    "a",
    "C3",
    "NCOUNT1",
    "PHB1",
    "SEX2",
    "WELL2",
    "UMAD1",
    "TSN",
    "PCSK1",
    "XIST",
    "CV2",
    "SD1",
    "ENDOD1",
    "START1",
    "LABEL2",
    "TOTAL1",
    "Gm1992",
    "0610007P14Rik",
    "RP11-206L10.2",
    "NKX2-1",
    "SIRPA",
    "N4BP1",
    "mt-Nd1",
    "pct-1",
]
OTHERS = {
    "read counter": ["__no_feature", "__ambiguous", "__alignment_not_unique", "N_unmapped", "N_multimapping", "no_feature",
                     "Unassigned_NoFeatures", "*"],
    "spike-in": ["ERCC-00002", "ERCC.00171", "ERCC_00074", "GRCh38_ERCC-00003", "SIRV101", "gSpikein_ERCC"],
    "tag": ["CD3_TotalSeqB", "CD19-TotalSeq-A", "ADT_CD8", "HTO_1", "Hashtag1", "Hashtag-2", "CMO301", "CD4-TGTTCCCGCTCAACT",
            "anti-human CD45", "CD3:UCHT1|CD3E|AHS0231|pAbO", "CD11c_ADT"],
    "metadata": ["nCount_RNA", "nFeature_RNA", "n_genes", "n_genes_by_counts", "total_counts", "percent.mt", "pct_counts_mt", "pct-mito",
                 "seurat_clusters", "leiden", "louvain_0.5", "RNA_snn_res.0.8", "orig.ident", "cell_type", "batch", "UMAP_1",
                 "S.Score", "doublet_score", "tumor", "malignant(1=no,2=yes)", "Unnamed: 0", "Length", "Chr"],
    "sum": ["total", "Sum", "mean", "row sums"],
}  # fmt: skip


def adata_of(features: list[str], **columns) -> anndata.AnnData:
    rng = np.random.default_rng(len(features))
    counts = sparse.csr_matrix((rng.poisson(2, (30, len(features))) + 1).astype(np.float32))
    cells = ["".join(rng.choice(list("ACGT"), 16)) for _ in range(30)]
    return anndata.AnnData(counts, obs=pd.DataFrame(index=cells), var=pd.DataFrame(columns, index=features))


def test_no_gene_is_taken_for_something_else():
    assert find_genes(pd.DataFrame(index=GENES), "t").is_gene.all()
    assert not find_genes(pd.DataFrame(index=GENES), "t").notes


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in OTHERS.items() for name in names])
def test_each_is_known(kind, name):
    found = find_genes(pd.DataFrame(index=[*GENES, name]), "t")
    assert list(found.is_gene) == [True] * len(GENES) + [False]
    assert name in found.notes[0] and kind in found.notes[0] and "1 of" in found.notes[0]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([n for names in OTHERS.values() for n in names]), unique=True, max_size=12), st.randoms()
)
def test_genes_are_what_is_left_in_order(others, random):
    features = [*GENES, *others]
    random.shuffle(features)
    adata = adata_of(features)
    taken = take_counts(adata)
    genes = [f for f in features if f in GENES]
    assert list(taken.var_names) == genes
    np.testing.assert_array_equal(taken.X.toarray(), adata[:, genes].X.toarray())
    warnings = " ".join(map(str, taken.uns["cicl"].get("warnings", [])))
    assert (f"{len(others)} of {len(features)} features" in warnings) == bool(others)


@pytest.mark.parametrize("column", ["feature_types", "feature_type"])
@pytest.mark.parametrize("gene", ["Gene Expression", "gene expression", "GEX"])
def test_types_are_those_of_any_format(column, gene):
    kinds = [gene] * 20 + ["Antibody Capture"] * 3 + ["Peaks"] * 2
    taken = take_counts(adata_of([f"g{i}" for i in range(25)], **{column: kinds}))
    assert list(taken.var_names) == [f"g{i}" for i in range(20)]
    assert "3 Antibody Capture, 2 Peaks left out" in taken.uns["cicl"]["warnings"][0]


@pytest.mark.parametrize(
    ("features", "columns", "told"),
    [
        ([f"HTO_{i}" for i in range(5)], {}, "holds no genes, but 5 antibody or hash tags"),
        (
            [f"a{i}" for i in range(5)],
            {"feature_types": ["Antibody Capture"] * 5},
            "no features of type 'Gene Expression'",
        ),
        ([f"ENSG0000000000{i}|A{i}|abcdef{i}" for i in range(5)], {}, "probes"),
        ([f"chr1:{i}00-{i}99" for i in range(1, 6)], {}, "peaks"),
    ],
)
def test_a_matrix_without_genes_is_refused(features, columns, told):
    with pytest.raises(InputError, match=told):
        take_counts(adata_of(features, **columns))


def test_two_genomes_are_told():
    names = [f"GRCh38_G{i}" for i in range(10)] + [f"mm10___g{i}" for i in range(12)]
    (warning,) = take_counts(adata_of(names)).uns["cicl"]["warnings"]
    assert "2 genomes (12 of 'mm10', 10 of 'GRCh38')" in warning
    assert "warnings" not in take_counts(adata_of([f"GRCh38_G{i}" for i in range(20)])).uns["cicl"]


def test_a_feature_that_is_the_sum_of_all_others_is_left_out():
    adata = adata_of([f"gene{i}" for i in range(20)])
    values = adata.X.toarray()
    values[:, 7] = 0
    values[:, 7] = values.sum(1)
    adata.X = sparse.csr_matrix(values)
    taken = take_counts(adata)
    assert "gene7" not in taken.var_names and "'gene7' is the sum" in taken.uns["cicl"]["warnings"][0]


def test_columns_that_describe_genes_are_no_cells():
    adata = adata_of([f"gene{i}" for i in range(20)])
    adata.obs_names = ["Length", "Total", *adata.obs_names[2:]]
    assert take_counts(adata).n_obs == 28
    assert not not_cells(["A1", "cell_1", "T", "ACGTACGTACGT-1", "patient1", "bulk", "Start1"]).any()
