"""The record of a sample: what is put is read again, of any version."""

from dataclasses import fields

import anndata
import numpy as np
import pandas as pd
from sccicl.config import Config
from sccicl.io.record import Parameters, Preparation, QualityControl, Record


def sample():
    return anndata.AnnData(np.ones((3, 2), dtype=np.float32))


def test_a_record_survives_the_file(tmp_path):
    adata = sample()
    Preparation(input="x.h5ad", n_genes=7, max_value=10.0, integrate=False).put(adata)
    QualityControl(5, 3, 4, 2, removed={"few_genes": 2}).put(adata)
    adata.write_h5ad(tmp_path / "x.h5ad")
    found = anndata.read_h5ad(tmp_path / "x.h5ad")
    assert Preparation.of(found) == Preparation.of(adata)
    assert type(Preparation.of(found).n_genes) is int and Preparation.of(found).label_col is None
    assert QualityControl.of(found).removed["few_genes"] == 2 and QualityControl.of(found).doublets is None


def test_a_change_keeps_the_other_fields():
    adata = sample()
    Preparation(input="x.h5ad", n_genes=7).put(adata)
    Preparation.update(adata, input_sha256="0" * 64)
    assert adata.uns["cicl"]["prepare"] == {
        "input": "x.h5ad",
        "input_kind": "counts",
        "n_genes": 7,
        "input_sha256": "0" * 64,
    }


def test_what_other_versions_wrote_is_passed_over():
    found = Record.from_uns({"id": "a", "of_tomorrow": 1, "params": {"epochs": np.int64(3), "of_yesterday": 2}})
    assert found.id == "a" and found.seed is None and found.sources == {} and found.found_markers is None
    assert found.parameters == Parameters(epochs=3)
    assert Record.of(sample()) == Record()


def test_parameters_are_those_of_the_method():
    assert {item.name for item in fields(Parameters)} <= {item.name for item in fields(Config)}


def test_sources_of_cell_types():
    clusters = pd.DataFrame({"cluster": ["0"], "label": ["B cell"]})
    found = Record.from_uns({"annotation": {"marker_list": {"file": "x.csv", "n_types": 2, "clusters": clusters}}})
    source = found.sources["marker_list"]
    assert source.file == "x.csv" and source.version is None and source.clusters["label"].iloc[0] == "B cell"
