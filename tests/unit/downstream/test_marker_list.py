"""Lists of markers as they are downloaded and written give the same types and genes."""

# ruff: noqa: E501 (lists of names)

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sccicl.downstream.marker_list import read_marker_list
from sccicl.errors import InputError

TYPES = {
    "T cells": ["CD3D", "CD3E", "IL7R"],
    "B cells": ["MS4A1", "CD79A", "CD19"],
    "NK cells": ["GNLY", "NKG7", "KLRD1"],
}
PAIRS = [(name, gene) for name, genes in TYPES.items() for gene in genes]


def lines(*rows, sep=",") -> str:
    return "".join(sep.join(row) + "\n" for row in rows)


FORMS = {
    "one line each": lines(*((name, *genes) for name, genes in TYPES.items())),
    "long": lines(*PAIRS),
    "long with a header": lines(("cell_type", "gene"), *PAIRS),
    "gene first": lines(*((gene, name) for name, gene in PAIRS)),
    "gene first with a header": lines(("gene", "cell type"), *((gene, name) for name, gene in PAIRS)),
    "wide": lines(TYPES, *zip(*TYPES.values(), strict=True)),
    "PanglaoDB": lines(
        ("species", "official gene symbol", "cell type", "nicknames", "ubiquitousness index"),
        *(("Mm Hs", gene, name, "T3D|x", "0.01") for name, gene in PAIRS),
        sep="\t",
    ),
    "CellMarker": lines(
        ("speciesType", "tissueType", "cellType", "cellName", "cellMarker", "geneSymbol", "geneID"),
        *(("Human", "Blood", "Normal cell", n, "x", ", ".join([g[0], f"[{g[1]}", f"{g[2]}]", "NA"]), "1") for n, g in TYPES.items()),
        sep="\t",
    ),
    "Seurat": lines(
        ("p_val", "avg_log2FC", "pct.1", "pct.2", "p_val_adj", "cluster", "gene"),
        *(("0", "1.5", "0.9", "0.1", "0", name, gene) for name, gene in PAIRS),
    ),
    "ScType": lines(
        ("tissueType", "cellName", "geneSymbolmore1", "geneSymbolmore2", "shortName"),
        *(("Blood", name, '"' + ",".join(genes) + '"', "", "x") for name, genes in TYPES.items()),
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_list(form, tmp_path):
    (tmp_path / "list.csv").write_text(FORMS[form])
    assert read_marker_list(tmp_path / "list.csv") == TYPES


@settings(max_examples=40, deadline=None)
@given(st.permutations([0, 1, 2, 3]), st.permutations(PAIRS), st.sampled_from([",", "\t", ";"]))
def test_columns_with_a_header_may_be_in_any_order(tmp_path_factory, order, pairs, sep):
    rows = [("species", "Cell Type", "Gene", "score"), *(("Hs", name, gene, "1") for name, gene in pairs)]
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_text(lines(*([row[n] for n in order] for row in rows), sep=sep))
    assert {name: sorted(genes) for name, genes in read_marker_list(path).items()} == {
        name: sorted(genes) for name, genes in TYPES.items()
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("species,gene,score\nHs,CD3D,1\n", "none of cell types; name it cell_type"),
        ("T cell,0.5,1.3\nB cell,0.1,2\n", "numbers such as 0.5 where genes are due"),
    ],
)
def test_what_is_not_clear_is_refused(text, told, tmp_path):
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(InputError, match=told):
        read_marker_list(tmp_path / "list.csv")
