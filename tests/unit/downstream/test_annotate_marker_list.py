"""Cell types by a list of marker genes, on cells whose types are known, and what is refused."""

import pytest
from annotated import clustered
from sccicl.downstream.annotate_marker_list import annotate_by_marker_list
from sccicl.downstream.annotation import UNKNOWN
from sccicl.downstream.marker_list import read_marker_list
from sccicl.errors import InputError


def test_marker_list(tmp_path):
    adata = clustered()
    lines = [f"type{kind},{','.join(f'gene{i}' for i in range(kind * 15, kind * 15 + 6))}" for kind in range(4)]
    (tmp_path / "list.csv").write_text("\n".join(["cell_type,genes", *lines, "ghost,NOGENE"]))
    found = annotate_by_marker_list(adata, tmp_path / "list.csv")
    assert (found.cell_labels == adata.obs["cell_type"].to_numpy()).mean() >= 0.95
    assert found.cluster_labels == {str(i): f"type{i}" for i in range(4)}
    assert found.source["missing"] == ["NOGENE"]
    assert "no marker gene of ghost" in found.warnings[0]


def test_marker_list_leaves_others_unknown(tmp_path):
    (tmp_path / "list.csv").write_text("type0,gene0 gene1;gene2\ntype1,gene15|gene16\n")
    found = annotate_by_marker_list(clustered(), tmp_path / "list.csv")
    assert found.cluster_labels == {"0": "type0", "1": "type1", "2": UNKNOWN, "3": UNKNOWN}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("B cell,CD79A,MS4A1\nT cell,CD3D", {"B cell": ["CD79A", "MS4A1"], "T cell": ["CD3D"]}),
        ("cell_type;gene\nB;CD79A\nB;MS4A1\n\n# comment;x\n", {"B": ["CD79A", "MS4A1"]}),
        ('\ufeffCell type\tgenes\nB\t"CD79A, MS4A1 CD79A"\n', {"B": ["CD79A", "MS4A1"]}),
    ],
)
def test_forms_of_a_marker_list(text, expected, tmp_path):
    (tmp_path / "list.csv").write_text(text, encoding="utf-8")
    assert read_marker_list(tmp_path / "list.csv") == expected


@pytest.mark.parametrize(
    ("text", "message"), [("", "empty"), ("B cell\n", "line 1: there is no gene"), (",CD79A\n", "no cell type")]
)
def test_bad_marker_lists(text, message, tmp_path):
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_marker_list(tmp_path / "list.csv")


@pytest.mark.parametrize(
    ("genes", "message"),
    [("GENE1,GENE2", "capital letters"), ("ENSG00000000001", "a list with symbols"), ("x", "same species")],
)
def test_marker_list_of_other_genes(genes, message, tmp_path):
    (tmp_path / "list.csv").write_text(f"B cell,{genes}\n")
    with pytest.raises(InputError, match=f"no gene of this list.*{message}"):
        annotate_by_marker_list(clustered(), tmp_path / "list.csv")
