"""Cell types by model, by list and by reference, on cells whose types are known; and what is refused."""

import json
import pickle
import sys
from dataclasses import replace

import anndata
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from sccicl.cli import main
from sccicl.config import PRESETS
from sccicl.downstream.annotate_celltypist import annotate_by_celltypist, load_celltypist_model
from sccicl.downstream.annotate_marker_list import annotate_by_marker_list
from sccicl.downstream.annotate_reference import annotate_by_reference, map_labels, read_labels, relabel, with_reference
from sccicl.downstream.annotation import UNKNOWN, annotation_record, attach_annotation, vote
from sccicl.downstream.marker_list import read_marker_list
from sccicl.errors import InputError
from sccicl.io.model_file import ModelFile
from sccicl.steps.cluster import cluster_sample
from sccicl.steps.fit import fit_sample
from sccicl.steps.prepare import prepare_sample
from simulate import simulate_cells
from typed_model import train_celltypist

CPU = torch.device("cpu")


def clustered(n_cells=160, seed=1, types=4, n_genes=120) -> anndata.AnnData:
    """Cells whose clusters are their types, one cell of each in a wrong cluster."""
    adata = simulate_cells(n_cells, types, n_genes, seed=seed)
    codes = adata.obs["cell_type"].cat.codes.to_numpy().copy()
    codes[:types] = (codes[:types] + 1) % types
    adata.obs["cicl"] = pd.Categorical.from_codes(codes, [str(i) for i in range(types)])
    adata.uns["cicl"] = {"id": "s", "prepare": {"input_kind": "counts"}, "seed": 0, "k": {"given": True}}
    return adata


def as_ensembl(adata: anndata.AnnData) -> anndata.AnnData:
    adata = adata.copy()
    adata.var_names = [f"ENSG{i:011d}" for i in range(adata.n_vars)]
    return adata


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    pytest.importorskip("celltypist")
    # Cells of another draw: the same types, not the same cells.
    return train_celltypist(simulate_cells(200, 4, seed=1), "cell_type", tmp_path_factory.mktemp("model") / "types.pkl")


def test_vote_is_the_commonest_label():
    labels = np.array(["B", "B", "T", "T", "T", "NK"], dtype=object)
    assert vote(labels, np.array(["0", "0", "0", "1", "1", "1"])) == {"0": "B", "1": "T"}


def test_celltypist_names_types(model):
    adata = clustered()
    found = annotate_by_celltypist(adata, model)
    assert (found.cell_labels == adata.obs["cell_type"].to_numpy()).mean() >= 0.95
    assert found.cluster_labels == {str(i): f"type{i}" for i in range(4)}
    assert ((found.confidence > 0) & (found.confidence <= 1)).all()
    assert found.source["n_genes"] == found.source["n_features"] and not found.warnings


def test_celltypist_labels_are_those_of_the_library(model):
    import celltypist
    import scanpy as sc

    adata = clustered()
    cells = anndata.AnnData(adata.X.copy(), obs=adata.obs.copy(), var=adata.var.copy())
    sc.pp.normalize_total(cells, target_sum=1e4)
    sc.pp.log1p(cells)
    theirs = celltypist.annotate(
        cells, model=str(model), majority_voting=True, over_clustering=adata.obs["cicl"].astype(str).to_numpy()
    )
    found = annotate_by_celltypist(adata, model)
    assert theirs.predicted_labels["predicted_labels"].astype(str).tolist() == found.cell_labels.tolist()
    voted = [found.cluster_labels[cluster] for cluster in adata.obs["cicl"]]
    assert theirs.predicted_labels["majority_voting"].astype(str).tolist() == voted


def test_a_published_kind_of_model(tmp_path):
    """Logistic regression, as in the models that CellTypist offers, against its equation written out."""
    pytest.importorskip("celltypist")
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    def log_values(cells):
        counts = cells.X.toarray().astype(float)
        return np.log1p(counts / counts.sum(1, keepdims=True) * 1e4)

    training = simulate_cells(200, 4, seed=1)
    scaler = StandardScaler().fit(log_values(training))
    classifier = LogisticRegression(max_iter=50).fit(scaler.transform(log_values(training)), training.obs["cell_type"])
    classifier.features = training.var_names.to_numpy(dtype=object)
    content = {
        "Model": classifier,
        "Scaler_": scaler,
        "description": {"date": "2026", "details": "", "number_celltypes": 4},
    }
    (tmp_path / "lr.pkl").write_bytes(pickle.dumps(content, protocol=4))
    adata = clustered()
    found = annotate_by_celltypist(adata, tmp_path / "lr.pkl")
    scaled = np.minimum((log_values(adata) - scaler.mean_) / scaler.scale_, 10)
    score = 1 / (1 + np.exp(-(scaled @ classifier.coef_.T + classifier.intercept_)))
    assert found.cell_labels.tolist() == classifier.classes_[score.argmax(1)].tolist()
    assert found.confidence == pytest.approx(score.max(1), abs=1e-4)


def test_celltypist_by_symbols_of_ensembl_genes(model):
    adata = as_ensembl(clustered())
    with pytest.raises(InputError, match=r"symbols.*Ensembl.*var\['gene_symbols'\]"):
        annotate_by_celltypist(adata, model)
    adata.var["gene_symbols"] = [f"gene{i}" for i in range(120)]
    assert annotate_by_celltypist(adata, model).cluster_labels["2"] == "type2"


def test_celltypist_with_few_of_its_genes(model):
    adata = clustered()[:, :50].copy()
    assert "only 50 of the 120 genes" in annotate_by_celltypist(adata, model).warnings[0]


class Bomb:
    def __reduce__(self):
        return print, ("the pickle ran code",)


def test_a_pickle_that_runs_code_is_refused(model, tmp_path, capsys):
    content = pickle.loads(model.read_bytes())
    (tmp_path / "bomb.pkl").write_bytes(pickle.dumps({**content, "description": Bomb()}))
    with pytest.raises(InputError, match=r"builtins\.print.*can run any code"):
        load_celltypist_model(tmp_path / "bomb.pkl")
    assert "ran code" not in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"not a pickle", pickle.dumps({"a": 1}), pickle.dumps([1])])
def test_what_is_no_model(content, tmp_path):
    pytest.importorskip("celltypist")
    (tmp_path / "x.pkl").write_bytes(content)
    with pytest.raises(InputError, match=r"x\.pkl"):
        load_celltypist_model(tmp_path / "x.pkl")


def test_celltypist_not_installed(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "celltypist", None)
    with pytest.raises(InputError, match="pip install celltypist"):
        annotate_by_celltypist(clustered(), model)


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


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """A model of three of four types, with its labels."""
    folder = tmp_path_factory.mktemp("reference")
    cells = simulate_cells(240, 4, seed=1)
    cells = cells[cells.obs["cell_type"] != "type3"].copy()
    cells.write_h5ad(folder / "r.h5ad")
    config = PRESETS["default"].changed(min_steps=20, epochs=1)
    prepared = prepare_sample(folder / "r.h5ad", "r", config=config)
    fitted = fit_sample(prepared, 3, config=config, seed=0, device=CPU, quiet=True)
    model = with_reference(cluster_sample(prepared, fitted), prepared, "cell_type")
    model.save(folder / "r.model.pt")
    return folder / "r.model.pt", prepared


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


def test_record_goes_to_the_h5ad(reference, tmp_path):
    adata = clustered()
    record = annotation_record(adata, [annotate_by_reference(adata, reference[0], device=CPU)], "s")
    record = json.loads(json.dumps(record))
    attach_annotation(adata, record)
    adata.write_h5ad(tmp_path / "s.h5ad")
    kept = anndata.read_h5ad(tmp_path / "s.h5ad")
    assert kept.obs["cicl_reference"].astype(str).tolist()[10] == f"type{10 % 4}"
    assert {"cicl_reference_cell", "cicl_reference_confidence"} <= set(kept.obs)
    assert kept.uns["cicl"]["annotation"]["reference"]["clusters"]["label"].tolist()[:2] == ["type0", "type1"]
    with pytest.raises(InputError, match="other cells"):
        attach_annotation(adata[:100].copy(), record)


def test_command(model, tmp_path):
    adata = clustered()
    adata.write_h5ad(tmp_path / "s.clustered.h5ad")
    command = ["annotate", str(tmp_path / "s.clustered.h5ad"), "--outdir", str(tmp_path)]
    refused = CliRunner().invoke(main, command)
    assert refused.exit_code == 2 and "nothing to annotate with" in refused.output
    done = CliRunner().invoke(main, [*command, "--celltypist-model", str(model)])
    assert done.exit_code == 0, done.output
    table = pd.read_csv(tmp_path / "s.annotation.csv", dtype=str)
    assert list(table.columns) == ["barcode", "cluster", "celltypist", "celltypist_cell", "celltypist_confidence"]
    assert len(table) == 160


def test_run_refuses_bad_files_before_the_training(tmp_path):
    simulate_cells(40, 2, 60).write_h5ad(tmp_path / "s.h5ad")
    (tmp_path / "list.csv").write_text("B cell\n")
    (tmp_path / "x.pt").write_bytes(b"no model")
    for option, name in {"--marker-list": "list.csv", "--reference-model": "x.pt"}.items():
        command = ["run", str(tmp_path / "s.h5ad"), "--outdir", str(tmp_path / "out"), option, str(tmp_path / name)]
        done = CliRunner().invoke(main, command)
        assert done.exit_code == 2 and name in done.output, done.output
    assert not (tmp_path / "out").exists()
