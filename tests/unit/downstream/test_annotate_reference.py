"""Cell types by the model of an earlier run, on cells whose types are known, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from annotated import as_ensembl, clustered
from click.testing import CliRunner
from sccicl.cli import main
from sccicl.downstream.annotate_reference import annotate_by_reference, map_labels, read_labels, relabel
from sccicl.downstream.annotation import UNKNOWN
from sccicl.errors import InputError
from sccicl.io.model_file import ModelFile
from sccicl.io.record import Preparation

CPU = torch.device("cpu")


def test_reference_labels_and_the_type_that_it_lacks(reference):
    adata = clustered()
    found = annotate_by_reference(adata, reference[0], device=CPU)
    assert found.cluster_labels == {"0": "type0", "1": "type1", "2": "type2", "3": UNKNOWN}
    known = (adata.obs["cicl"] != "3").to_numpy() & (adata.obs["cell_type"] != "type3").to_numpy()
    assert (found.cell_labels == adata.obs["cell_type"].to_numpy())[known].mean() >= 0.9
    assert found.source["unlike"] == ["3"]
    assert (found.confidence[(adata.obs["cicl"] == "3").to_numpy()] < 0.5).all()


def test_reference_by_symbols(reference):
    adata = as_ensembl(clustered())
    with pytest.raises(InputError, match="at least half are needed"):
        annotate_by_reference(adata, reference[0], device=CPU)
    adata.var["gene_symbols"] = [f"gene{i}" for i in range(120)]
    assert annotate_by_reference(adata, reference[0], device=CPU).cluster_labels["1"] == "type1"


def test_reference_of_another_kind_of_values(reference):
    adata = clustered()
    Preparation.update(adata, input_kind="log")
    with pytest.raises(InputError, match="values of kind 'counts' and the sample holds 'log'"):
        annotate_by_reference(adata, reference[0], device=CPU)


def test_confidence_of_a_mapping():
    # Four reference cells on a line, all their neighbours at 1: a cell at distance 2 is half as near
    reference = {
        "embedding": torch.tensor([[0.0], [0.0], [0.0], [0.0]]),
        "spread": torch.ones(4),
        "label": torch.tensor([0, 0, 0, 1]),
        "names": ["a", "b"],
    }
    labels, confidence = map_labels(np.array([[0.5], [2.0]], dtype=np.float32), reference)
    assert labels.tolist() == ["a", "a"]
    assert confidence == pytest.approx([0.75, 0.375])


def test_names_for_the_clusters_of_a_model(reference, tmp_path):
    path, prepared = reference
    first = prepared.obs["cicl"].cat.categories[0]
    (tmp_path / "names.csv").write_text(f"label,cluster\nAlpha,{first}\nBeta,1\n")
    done = CliRunner().invoke(
        main, ["label-model", str(path), "--labels", str(tmp_path / "names.csv"), "--outdir", str(tmp_path)]
    )
    assert done.exit_code == 0, done.output
    model = ModelFile.load(tmp_path / "r.labelled.model.pt")
    assert model.reference["names"] == ["Alpha", "Beta"]
    found = annotate_by_reference(clustered(), tmp_path / "r.labelled.model.pt", device=CPU)
    types = prepared.obs.groupby("cicl", observed=True)["cell_type"].agg(lambda column: column.mode()[0])
    assert found.cluster_labels[types["0"].removeprefix("type")] == "Alpha"
    with pytest.raises(InputError, match="no cluster '9'"):
        relabel(model, {"9": "x"})


@pytest.mark.parametrize(
    ("text", "message"),
    [("a,b\n0,x\n", "columns"), ("cluster,label\n0,\n", "empty"), ("cluster,label\n0,a\n0,b\n", "another label")],
)
def test_bad_names(text, message, tmp_path):
    (tmp_path / "names.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_labels(tmp_path / "names.csv")


def test_model_without_reference(reference, tmp_path):
    replace(ModelFile.load(reference[0]), reference=None).save(tmp_path / "old.model.pt")
    with pytest.raises(InputError, match="keeps no cells with labels"):
        annotate_by_reference(clustered(), tmp_path / "old.model.pt", device=CPU)
