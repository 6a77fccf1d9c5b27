"""Cell types by a CellTypist model, beside the library itself, and what is refused."""

import pickle
import sys

import anndata
import numpy as np
import pytest
from annotated import as_ensembl, clustered
from sccicl.downstream.annotate_celltypist import annotate_by_celltypist, load_celltypist_model
from sccicl.errors import InputError
from simulate import simulate_cells


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
