"""The module alone, copied into a pipeline that shares nothing else with this one."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "unit"))


def copy_as_documented(folder):
    """Run the commands of docs/integration.md that copy the module and the engine."""
    text = (ROOT / "docs" / "integration.md").read_text(encoding="utf-8")
    (commands,) = re.findall(r"```bash\n(   mkdir -p modules/local/cicl\n(?:   cp .*\n)+)", text)
    environment = os.environ | {"CICL": str(ROOT)}
    (folder / "bin").mkdir(exist_ok=True)
    subprocess.run(["bash", "-euc", commands], cwd=folder, env=environment, check=True)


def test_what_is_copied_includes_nothing_else(tmp_path):
    """A host pipeline lints all files that it holds: an include of a file that was not copied is an error there."""
    copy_as_documented(tmp_path)
    scripts = list((tmp_path / "modules").rglob("*.nf"))
    assert [path.parent.name for path in scripts] == ["integrate"]
    assert "include {" not in scripts[0].read_text()


@pytest.fixture(scope="module")
def foreign(tmp_path_factory, nextflow):
    import anndata
    import numpy as np
    from scipy import sparse
    from simulate import simulate_cells

    folder = tmp_path_factory.mktemp("foreign")
    shutil.copytree(ROOT / "tests" / "foreign", folder, dirs_exist_ok=True)
    copy_as_documented(folder)
    # The module of prepared cells stands alone as well.
    for path in (ROOT / "modules" / "local" / "cicl").glob("*.*"):
        shutil.copy(path, folder / "modules" / "local" / "cicl")
    adata = simulate_cells(120, 3, 60)
    # A cell without counts in these genes, a layer and a table that have to stay
    # A shift between the batches, three times as many counts of every other gene, that must not make clusters
    shift = np.where((adata.obs["batch"] == "a").to_numpy()[:, None] & (np.arange(60) % 2 == 0), 3, 1)
    adata.X = sparse.csr_matrix(adata.X.multiply(shift))
    adata.X[7] = 0
    adata.X.eliminate_zeros()
    adata.layers["soupx"] = adata.X.copy()
    adata.obs["label"] = adata.obs["cell_type"]
    adata.write_h5ad(folder / "merged.h5ad")
    # Subsets, as of a cell type: of one batch, and with a batch of five cells
    in_b = (adata.obs["batch"] == "b").to_numpy()
    adata[in_b].write_h5ad(folder / "one_batch.h5ad")
    adata[in_b | (np.cumsum(~in_b) <= 5)].write_h5ad(folder / "tiny_batch.h5ad")
    prepare = [str(folder / "bin" / "cicl.py"), "prepare", "merged.h5ad", "--id", "alone"]
    subprocess.run([sys.executable, *prepare], cwd=folder, check=True, capture_output=True)
    files = {name: f"{name}.h5ad" for name in ("merged", "one_batch", "tiny_batch")} | {
        "prepared": "alone.prepared.h5ad"
    }
    words = [word for name, file in files.items() for word in (f"--{name}", file)]
    run = nextflow("run", ".", *words, folder=folder)
    assert run.status == 0, run.text
    return anndata.read_h5ad(folder / "merged.h5ad"), folder / "results"


def test_h5ad_keeps_all_and_gains_an_embedding(foreign):
    import anndata
    import numpy as np

    before, results = foreign
    after = anndata.read_h5ad(results / "cicl.h5ad")
    assert after.obs_names.tolist() == before.obs_names.tolist()
    assert (after.X != before.X).nnz == 0 and "soupx" in after.layers
    assert set(before.obs) < set(after.obs)
    assert after.obsm["X_emb"].shape[0] == 120 and np.isfinite(after.obsm["X_emb"]).all()
    assert after.obs["cicl"].iloc[7] == "unassigned" and (after.obs["cicl"] == "unassigned").sum() == 1
    # Clusters, and an embedding, of the types, whatever the batch
    from sccicl.downstream.metrics import ilisi
    from sklearn.metrics import adjusted_rand_score

    assert ilisi(after.obsm["X_emb"], after.obs["batch"].to_numpy()) > 1.5

    assert adjusted_rand_score(after.obs["label"], after.obs["cicl"]) > 0.9


def test_tables_join_by_cell_and_carry_their_key_in_the_name(foreign):
    import numpy as np
    import pandas as pd

    before, results = foreign
    embedding, old = pd.read_parquet(results / "X_cicl.parquet"), pd.read_pickle(results / "X_cicl.pkl")
    labels = pd.read_parquet(results / "cicl.parquet")
    for table in (embedding, old, labels):
        assert table.index.tolist() == before.obs_names.tolist()
    assert np.array_equal(embedding.to_numpy(), old.to_numpy())
    assert list(labels.columns) == ["cicl"]
    assert sum(json.loads((results / "cicl_mqc.json").read_text())["data"]["cicl"].values()) == 120


@pytest.mark.parametrize("ending", ["parquet", "pkl"])
def test_tables_of_subsets_stand_beside_those_of_all_cells(foreign, ending):
    """In the form of either revision of scdownstream; one batch only, or a batch of few cells, is no error."""
    import anndata
    import numpy as np

    before, results = foreign
    after = anndata.read_h5ad(results / ending / "final.h5ad")
    assert after.obs_names.tolist() == before.obs_names.tolist()
    names = ("cicl", "cicl-one_batch", "cicl-tiny_batch")
    assert {f"X_{name}" for name in names} <= set(after.obsm) and set(names) <= set(after.obs)
    in_b = (before.obs["batch"] == "b").to_numpy()
    assert (
        np.isfinite(after.obsm["X_cicl-one_batch"][in_b]).all()
        and np.isnan(after.obsm["X_cicl-one_batch"][~in_b]).all()
    )
    assert after.obs["cicl-tiny_batch"].notna().sum() == in_b.sum() + 5
    told = {name: anndata.read_h5ad(results / f"{name}.h5ad").uns["cicl"]["warnings"] for name in names[1:]}
    assert "all cells are of one batch ('b'" in " ".join(told["cicl-one_batch"])
    assert "count as a part of batch 'b': a" in " ".join(told["cicl-tiny_batch"])


def test_the_module_of_the_pipeline_runs_alone(foreign):
    results = foreign[1]
    lines = (results / "alone.clusters.csv").read_text().splitlines()
    assert lines[0] == "barcode,cluster,confidence" and len(lines) == 120
    versions = (results / "versions.txt").read_text()
    assert "CICL_INTEGRATE torch 2." in versions and "CICL cicl 0." in versions
