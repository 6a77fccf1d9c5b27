"""Files of a fit and of a model: what is written is read, and what another version wrote is refused or passed over."""

from dataclasses import fields

import pytest
import torch
from sccicl.errors import InputError
from sccicl.io import model_file
from sccicl.io.model_file import FitFile, ModelFile


def a_model(**changed):
    content = {
        "params": {"epochs": 3},
        "versions": {"torch": "2"},
        "n_features": 2,
        "encoder": {"weight": torch.ones(2, 2)},
        "centroids": torch.eye(2),
        "genes": ["a", "b"],
        "gene_mean": torch.zeros(2),
        "gene_std": torch.ones(2),
        "size_factor_median": 10.0,
        "input_kind": "counts",
    }
    return ModelFile(**(content | changed))


def test_a_model_comes_back_as_it_was(tmp_path):
    for reference in (None, {"names": ["T cell"]}):
        model = a_model(reference=reference)
        model.save(tmp_path / "s.model.pt")
        found = ModelFile.load(tmp_path / "s.model.pt")
        assert found.reference == reference and found.genes == model.genes
        assert torch.equal(found.centroids, model.centroids)


def test_fields_of_other_versions(tmp_path):
    content = {item.name: getattr(a_model(), item.name) for item in fields(ModelFile)}
    model_file.save(content | {"reference": {}, "of_tomorrow": 1}, tmp_path / "s.model.pt", "model")
    assert ModelFile.load(tmp_path / "s.model.pt").reference == {}
    del content["genes"], content["reference"]
    model_file.save(content, tmp_path / "s.model.pt", "model")
    with pytest.raises(InputError, match="another version of CICL wrote this model file; write it again"):
        ModelFile.load(tmp_path / "s.model.pt")


def test_a_model_is_no_fit(tmp_path):
    a_model().save(tmp_path / "s.model.pt")
    with pytest.raises(InputError, match=r"no fit file of CICL; give the file named <id>\.fit\.pt"):
        FitFile.load(tmp_path / "s.model.pt")
