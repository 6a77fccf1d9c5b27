"""Programs of others: how they are run, what they see, and what happens to those that fail."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import anndata
import numpy as np
import psutil
import pytest
from sccicl.benchmark import program as program_module
from sccicl.benchmark.dataset import write_blind
from sccicl.benchmark.methods import METHODS, PROGRAMS, TITLES
from sccicl.benchmark.plan import code_version, plan
from sccicl.benchmark.program import Program, ProgramError, read_options, reason, run_program, sampled, write_exchange
from sccicl.benchmark.rivals import read_cells
from sccicl.benchmark.run import run
from sccicl.errors import InputError
from simulate import simulate_cells

N = 60
LEAVE = """
def leave(labels, seconds="0.5", version="stand-in 1"):
    open("clusters.txt", "w").write("".join(f"{label}\\n" for label in labels))
    open("seconds.txt", "w").write(seconds)
    open("version.txt", "w").write(version)
import os, subprocess, sys, time
time.sleep(.55)
n = len(open("cells.tsv").read().splitlines())
"""


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    simulate_cells(N, 3, seed=3).write_h5ad(folder / "three.h5ad")
    return folder / "three.h5ad"


@pytest.fixture
def exchange(cells, tmp_path):
    write_blind(cells, tmp_path / "blind.h5ad")
    folder = tmp_path / "exchange"
    folder.mkdir()
    write_exchange(read_cells(str(tmp_path / "blind.h5ad"), "counts"), folder, "counts")
    return folder


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """`stand_in(code)` is a program with that Python code."""

    def make(code, **changes):
        scripts = tmp_path / "scripts"
        scripts.mkdir(exist_ok=True)
        (scripts / "stand_in.py").write_text(LEAVE + code)
        monkeypatch.setattr(program_module, "SCRIPTS", scripts)
        return Program("Stand-in", "stand_in.py", ("given", "estimated"), **changes)

    return make


# What a program gets, and what it leaves -----------------------------------------------------------------------------


def test_a_program_gets_counts_names_and_options_and_nothing_that_tells_a_type(exchange, cells, stand_in, tmp_path):
    copy = tmp_path / "copy"
    program = stand_in(
        f"import shutil; shutil.copytree('.', {str(copy)!r}); leave([1] * n, version=' '.join(sys.argv[1:]))"
    )
    found = run_program(program, exchange, 3, 7, {"max_cells": "99"}, n_cells=N)
    assert sorted(path.name for path in copy.iterdir()) == ["cells.tsv", "counts.mtx", "genes.tsv", "options.tsv"]
    assert found.version == "3 7" and found.seconds == 0.5 and found.memory > 1
    assert (copy / "options.tsv").read_text() == "k\t3\nseed\t7\nmax_cells\t99\n"
    from scipy.io import mmread

    given = anndata.read_h5ad(cells)
    assert (mmread(copy / "counts.mtx").toarray() == given.X.toarray().T).all()
    assert (copy / "genes.tsv").read_text().split() == list(given.var_names)
    assert (copy / "cells.tsv").read_text().split() == [str(i) for i in range(N)]
    everything = b"".join(path.read_bytes() for path in copy.iterdir())
    assert b"type" not in everything.replace(b"%%MatrixMarket", b"")
    assert run_program(program, exchange, None, 0, {}, n_cells=N).version == "0 0" if not shutil.rmtree(copy) else False


def test_logarithms_are_undone(tmp_path, cells):
    adata = anndata.read_h5ad(cells)
    whole = adata.X.toarray()
    adata.X = np.log1p(whole)
    adata.write_h5ad(tmp_path / "log.h5ad")
    (tmp_path / "out").mkdir()
    write_exchange(read_cells(str(tmp_path / "log.h5ad"), "log"), tmp_path / "out", "log")
    from scipy.io import mmread

    np.testing.assert_allclose(mmread(tmp_path / "out" / "counts.mtx").toarray(), whole.T, rtol=1e-5)


def test_permuted_labels_change_nothing_that_a_program_sees(cells, tmp_path):
    adata = anndata.read_h5ad(cells)
    adata.obs["cell_type"] = np.random.default_rng(0).permutation(adata.obs["cell_type"].astype(str))
    adata.write_h5ad(tmp_path / "permuted.h5ad")
    seen = []
    for i, path in enumerate((cells, tmp_path / "permuted.h5ad")):
        write_blind(path, tmp_path / "blind.h5ad")
        (tmp_path / str(i)).mkdir()
        write_exchange(read_cells(str(tmp_path / "blind.h5ad"), "counts"), tmp_path / str(i), "counts")
        seen.append({path.name: path.read_bytes() for path in (tmp_path / str(i)).iterdir()})
    assert seen[0] == seen[1]


def test_the_environment_leads_no_other_python_here(exchange, stand_in, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    program = stand_in("leave([1] * n, version=os.environ.get('PYTHONPATH', 'none'))")
    assert run_program(program, exchange, 2, 0, {}, n_cells=N).version == "none"


# Programs that fail --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("leave([1] * n); print('no gene', file=sys.stderr); sys.exit(3)", "ended with status 3: no gene"),
        ("leave([1] * n); os.kill(os.getpid(), 9)", "ended with signal 9"),
        ("leave([1] * (n - 1))", f"gave {N - 1} labels for {N} cells"),
        ("leave([1] * (n + 1))", f"gave {N + 1} labels for {N} cells"),
        ("leave(['a'] * 5 + [''] + ['b'] * (n - 6))", "no label for cell 5"),
        ("print('nothing found')", "left no clusters.txt: nothing found"),
        ("leave([1] * n, seconds='soon')", "no time that can be true"),
        ("leave([1] * n, seconds='-1')", "no time that can be true"),
        ("leave([1] * n, seconds='1e6')", "no time that can be true"),
        ("leave([1] * n, seconds='nan')", "no time that can be true"),
        ("leave([1] * n); os.remove('version.txt')", "left no version.txt"),
    ],
)
def test_programs_that_fail(exchange, stand_in, code, told):
    with pytest.raises(ProgramError, match=told):
        run_program(stand_in(code), exchange, 3, 0, {}, n_cells=N)


def test_a_program_that_hangs_is_killed_with_its_children(exchange, stand_in, tmp_path):
    # One child of its group, one in a session of its own; both outlive a parent that is killed alone.
    code = f"""
leave([1] * n)
command = [sys.executable, "-c", "import time; time.sleep(300)"]
children = [subprocess.Popen(command, start_new_session=own) for own in (0, 1)]
open({str(tmp_path / "pids")!r}, "w").write(" ".join(str(child.pid) for child in children))
time.sleep(300)
"""
    start = time.perf_counter()
    with pytest.raises(ProgramError, match="more than 4 s"):
        run_program(stand_in(code), exchange, 3, 0, {"limit": "4"}, n_cells=N)
    assert time.perf_counter() - start < 60
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2
    assert not [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]


def test_children_left_behind_by_a_program_that_ended_are_killed(exchange, stand_in, tmp_path):
    code = f"""
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
open({str(tmp_path / "pid")!r}, "w").write(str(child.pid))
time.sleep(.5)
leave([1] * n)
"""
    run_program(stand_in(code), exchange, 3, 0, {}, n_cells=N)
    pid = int((tmp_path / "pid").read_text())
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_memory_is_that_of_the_children_too(exchange, stand_in):
    code = """
subprocess.run([sys.executable, "-c", "x = bytearray(200 * 2**20); import time; time.sleep(1.5)"])
leave([1] * n)
"""
    assert 200 < run_program(stand_in(code), exchange, 3, 0, {}, n_cells=N).memory < 400


def test_clusters_of_an_earlier_run_are_not_taken_for_those_of_this_one(exchange, stand_in, tmp_path):
    marker = tmp_path / "ran"
    code = f"""
if not os.path.exists({str(marker)!r}):
    open({str(marker)!r}, "w").close()
    leave([1] * n)
"""
    program = stand_in(code)
    assert len(run_program(program, exchange, 3, 0, {}, n_cells=N).labels) == N
    with pytest.raises(ProgramError, match=r"left no clusters\.txt"):
        run_program(program, exchange, 3, 1, {}, n_cells=N)


def test_a_program_cannot_change_what_the_next_run_gets(exchange, stand_in):
    before = (exchange / "counts.mtx").read_bytes()
    run_program(stand_in("open('counts.mtx', 'w').close(); leave([1] * n)"), exchange, 3, 0, {}, n_cells=N)
    assert (exchange / "counts.mtx").read_bytes() == before


def test_no_interpreter(exchange, stand_in):
    with pytest.raises(ProgramError, match="cannot be started"):
        run_program(stand_in(""), exchange, 3, 0, {"python": "/no/python"}, n_cells=N)


# In the benchmark ----------------------------------------------------------------------------------------------------


def test_rows_of_a_program_and_of_one_that_fails(cells, stand_in, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = """
k = int(sys.argv[1])
if k == 0: sys.exit("k is needed")
leave([i % k for i in range(n)])
"""
    monkeypatch.setitem(METHODS, "sc3s", stand_in(code))
    given, estimated = run(cells, ("sc3s",), ("given", "estimated"), (0,))
    # simulate_cells gives the types in turn.
    assert given["ari"] == 1 and given["version"] == "stand-in 1" and given["failure"] == ""
    assert given["seconds"] == 0.5 and given["cells_used"] == given["n_cells"] == N
    assert estimated["ari"] == estimated["seconds"] == "" and "k is needed" in estimated["failure"]


def test_a_fixed_seed_is_run_once_and_a_slow_program_too(cells, stand_in, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(METHODS, "sc3s", stand_in("leave([1] * n)", fixed_seed=True))
    assert [row["seed"] for row in run(cells, ("sc3s",), ("given",), (4, 5))] == [4]
    monkeypatch.setitem(METHODS, "sc3s", stand_in("leave([1] * n)"))
    monkeypatch.setattr("sccicl.benchmark.run.SLOW_SECONDS", 0.1)
    rows = run(cells, ("sc3s",), ("given", "estimated"), (4, 5))
    assert [(row["seed"], row["track"]) for row in rows] == [(4, "given"), (4, "estimated")]


def test_larger_sets_are_sampled_and_the_row_says_so(cells, stand_in, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    types = anndata.read_h5ad(cells).obs["cell_type"].astype(str).to_numpy()
    chosen = sampled(N, 30)
    # Right labels for the cells of the sample, in order: any other pairing of rows would not score 1.
    codes = [int(types[i][-1]) for i in chosen]
    monkeypatch.setitem(METHODS, "sc3s", stand_in(f"leave({codes})", max_cells=30))
    (row,) = run(cells, ("sc3s",), ("given",), (0,))
    assert (row["cells_used"], row["n_cells"], row["ari"]) == (30, N, 1)
    (row,) = run(cells, ("sc3s",), ("given",), (0,), options={"max_cells": "40"})
    assert "gave 30 labels for 40 cells" in row["failure"]


def test_a_sample_is_in_order_without_repetition():
    rows = sampled(1000, 100)
    assert len(set(rows)) == 100 and (np.diff(rows) > 0).all() and rows.max() < 1000
    assert (sampled(1000, 100) == rows).all() and len(sampled(50, 100)) == len(sampled(50, None)) == 50


# Options and what is installed ---------------------------------------------------------------------------------------


def test_options_from_a_file(tmp_path):
    (tmp_path / "programs.toml").write_text(
        '[clear]\nfolder = "CLEAR"\npython = "python3"\n[graphscc]\nmax_cells = 500\n'
        '[itclust]\npython = "env/bin/python"\n'
    )
    assert read_options(tmp_path / "programs.toml", PROGRAMS) == {
        "clear": {"folder": str(tmp_path / "CLEAR"), "python": "python3"},
        "graphscc": {"max_cells": "500"},
        "itclust": {"python": str(tmp_path / "env/bin/python")},
    }
    assert read_options(None, PROGRAMS) == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[kmeans]\n", "no program 'kmeans'"),
        ('folder = "x"\n', "no program 'folder'"),
        ('[seurat]\nfolder = "x"\n', "no option 'folder': give one of limit, max_cells, rscript"),
        ("[seurat]\nlimit = -1\n", "give a number above 0"),
        ('[seurat]\nlimit = "soon"\n', "give a number above 0"),
        ('[clear]\nfolder = "a\'b"\n', "without quotes"),
        ('[clear]\nfolder = ""\n', "give text"),
        ("[clear\n", "no TOML file"),
    ],
)
def test_wrong_options(tmp_path, text, told):
    (tmp_path / "programs.toml").write_text(text)
    with pytest.raises(InputError, match=told):
        read_options(tmp_path / "programs.toml", PROGRAMS)


def test_options_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match=r"programs\.toml"):
        read_options(tmp_path / "programs.toml", PROGRAMS)


def test_programs_that_are_not_installed_are_left_out_with_the_reason(tmp_path):
    here = {"python": sys.executable}
    assert "does not give its folder" in reason(PROGRAMS["clear"], {})
    assert "has no CLEAR.py" in reason(PROGRAMS["clear"], {"folder": str(tmp_path)})
    assert "does not give its source" in reason(PROGRAMS["itclust"], here)
    assert "is no file" in reason(PROGRAMS["itclust"], {**here, "source": str(tmp_path / "x.h5ad")})
    assert reason(PROGRAMS["seurat"], {"rscript": "/no/Rscript"}) == "/no/Rscript is not installed"
    lacking = Program("X", "x.py", ("given",), ("no_such_package",))
    assert reason(lacking, {}) == f"{sys.executable} has no Python package no_such_package"
    assert reason(Program("X", "x.py", ("given",), ("numpy",)), {}) is None


def test_plan_has_options_and_limit_of_programs(cells, tmp_path):
    (tmp_path / "CLEAR").mkdir()
    (tmp_path / "CLEAR" / "CLEAR.py").write_text("")
    (tmp_path / "programs.toml").write_text('[clear]\nfolder = "CLEAR"\n[graphscc]\nfolder = "none"\n')
    asked = {"sets": [], "tracks": [], "n_seeds": 2, "studies": [], "programs": tmp_path / "programs.toml"}
    rows, left_out = plan(cells.parent, methods=["clear", "graphscc", "pca20-kmeans"], limit=60, **asked)
    of = {row["methods"]: row for row in rows}
    assert of["clear"]["options"] == f"limit=60;folder={tmp_path / 'CLEAR'}" and of["pca20-kmeans"]["options"] == ""
    assert "has no GraphSCC.py" in left_out["graphscc"] and "graphscc" not in of
    options = dict(pair.split("=") for pair in of["clear"]["options"].split(";"))
    assert of["clear"]["code"] == code_version("clear", options=options)
    # Other files in the checkout, another limit: another result
    (tmp_path / "CLEAR" / "CLEAR.py").write_text("x = 1")
    assert of["clear"]["code"] != code_version("clear", options=options)


def test_a_source_must_not_be_a_set_that_is_scored(cells, tmp_path, monkeypatch):
    monkeypatch.setattr("sccicl.benchmark.plan.reason", lambda *_: None)
    asked = {"methods": ["itclust"], "sets": [], "tracks": [], "n_seeds": 1, "studies": []}
    for source in (cells, tmp_path / "copy.h5ad"):
        if source != cells:
            shutil.copy(cells, source)
        (tmp_path / "p.toml").write_text(f'[itclust]\npython = "{sys.executable}"\nsource = "{source}"\n')
        with pytest.raises(InputError, match="is the data set three"):
            plan(cells.parent, programs=tmp_path / "p.toml", **asked)


def test_programs_of_one_kind_have_what_they_need():
    scripts = {program.script for program in PROGRAMS.values()}
    there = {path.name for path in program_module.SCRIPTS.iterdir() if path.suffix in (".R", ".py")}
    assert scripts == there - {"exchange.R", "exchange.py"}
    assert TITLES["scdha-reimplemented"] == "scDHA (reimplemented)" and TITLES["scdha"] == "scDHA"


def test_scripts_for_python_3_7_are_read_by_it():
    """ItClust needs Python 3.7; its script and what it shares must parse there."""
    import ast

    for name in ("exchange.py", "run_itclust.py"):
        ast.parse((program_module.SCRIPTS / name).read_text(), feature_version=(3, 7))


# Adapters of checkouts, with stand-ins for these ---------------------------------------------------------------------

CHECKOUTS = {
    "clear": """
import argparse, os
import numpy as np, pandas as pd, scanpy as sc, torch, torchvision.models as models
import pcl_part
from PIL import ImageFilter
parser = argparse.ArgumentParser()
for name in ("--input_h5ad_path", "--save_dir", "--obs_label_colname"): parser.add_argument(name)
for name in ("--epochs", "--batch_size", "--pcl_r", "--gpu", "--seed", "-j"): parser.add_argument(name, type=int)
parser.add_argument("--num_cluster", type=int, default=-1)
parser.add_argument("--lr", type=float)
parser.add_argument("--cos", action="store_true")
args = parser.parse_args()
assert args.obs_label_colname is None and args.lr == 1 and args.cos
cells = sc.read_h5ad(args.input_h5ad_path)
assert list(cells.obs.columns) == [] and abs(cells.X.mean()) < .1
torch.cuda.set_device(args.gpu)
torch.nn.Linear(2, 2).cuda(args.gpu)
folder = os.path.join(args.save_dir, "CLEAR"); os.makedirs(folder)
feature = sc.pp.pca(cells.X, n_comps=5)
np.savetxt(os.path.join(folder, "feature_CLEAR_x.csv"), feature, delimiter=",")
if args.num_cluster > 0:
    from sklearn.cluster import KMeans
    labels = KMeans(args.num_cluster, random_state=args.seed, n_init=5).fit(feature).labels_
    pd.DataFrame(labels, columns=["kmeans"]).to_csv(os.path.join(folder, "pd_label_CLEAR_x.csv"))
""",
    "graphscc": """
import argparse
import numpy as np, pandas as pd, torch, scanpy.api as sc, umap, networkx as nx, seaborn as sns
import matplotlib.pyplot as plt
from evaluation import eva
parser = argparse.ArgumentParser(); parser.add_argument("--name"); args = parser.parse_args()
table = pd.read_csv("data/" + args.name + ".csv", header=None, index_col=0, low_memory=False)
assert list(table.index[:3]) == ["sample_labels", "cell_label", "cluster_labels"]
assert (table.loc["sample_labels"].astype(int).to_numpy() == np.arange(table.shape[1])).all()
y = table.loc["cell_label"].astype(int).to_numpy()
assert (y == np.arange(len(y)) % len(set(y))).all(), "a type"
x = table.iloc[3:].astype(np.float).to_numpy().T
torch.cuda.set_device(0); torch.Tensor(2).cuda()
from sklearn.cluster import KMeans
last = KMeans(len(set(y)), n_init=5, random_state=0).fit_predict(x - x.mean(0))
for epoch in range(3):
    acc, nmi, ari = eva(y, np.zeros(len(y)), str(epoch) + "Q", pp=False)
    acc, nmi, ari = eva(y, last if epoch == 2 else y, str(epoch) + "Z", pp=False)
    eva(y, np.zeros(len(y)), str(epoch) + "P", pp=False)
""",
    "scdeepcluster": """
import anndata, argparse, h5py, numpy as np, seaborn
from scDeepCluster import scDeepCluster
parser = argparse.ArgumentParser()
names = ("--data_file", "--device", "--predict_label_file", "--final_latent_file", "--save_dir")
for name in names: parser.add_argument(name)
for name in ("--n_clusters", "--select_genes"): parser.add_argument(name, type=int)
args = parser.parse_args()
with h5py.File(args.data_file) as file:
    assert list(file) == ["X"]
    x = file["X"][()]
assert (x == x.astype(int)).all() and args.select_genes == x.shape[1]
cells = anndata.AnnData(x, dtype="float64")
cells.obs["size_factors"] = x.sum(1) / 100
model, data = scDeepCluster(), {"X": cells.X, "size_factor": cells.obs.size_factors}
model.pretrain_autoencoder(**data, ae_weights="weights")
found = model.fit(**data, n_clusters=args.n_clusters)
np.savetxt(args.predict_label_file, found, fmt="%i")
""",
}

MODULES = {
    "clear": ("pcl_part.py", ""),
    "scdeepcluster": (
        "scDeepCluster.py",
        """
import numpy as np
from sklearn.cluster import KMeans
class scDeepCluster:
    def pretrain_autoencoder(self, X, size_factor, ae_weights=None):
        assert type(size_factor) is np.ndarray, "torch takes no Series of pandas 3"
    def fit(self, X, size_factor, n_clusters):
        data = np.log1p(X / size_factor[:, None])
        return KMeans(n_clusters, n_init=5, random_state=0).fit_predict(data)
""",
    ),
}

# Where a former run of the user's left clusters
STALE = {
    "clear": ["result/CLEAR/pd_label_CLEAR_x.csv", "clusters.txt"],
    "graphscc": ["clusters.txt"],
    "scdeepcluster": ["found.txt", "clusters.txt"],
}


def shortened(code):
    """A stand-in that gives a label too few."""
    for labels in (
        "DataFrame(labels",
        "- x.mean(0))",
        "n_clusters=args.n_clusters)",
        "fit_predict(data)",
        "fit_predict(fea)",
    ):
        code = code.replace(labels, f"{labels}[1:]")
    return code


@pytest.fixture
def checkout(tmp_path):
    """`checkout(name, code)` is a folder with the script of a checkout."""

    def make(name, code=None):
        folder = tmp_path / f"{name} checkout"
        folder.mkdir(exist_ok=True)
        (folder / PROGRAMS[name].checkout).write_text(CHECKOUTS[name] if code is None else code)
        if name in MODULES:
            module, content = MODULES[name]
            (folder / module).write_text(content)
        return {"folder": str(folder)}

    return make


@pytest.mark.parametrize("name", list(CHECKOUTS))
def test_adapter_of_a_checkout(cells, checkout, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    options = checkout(name)
    assert reason(PROGRAMS[name], options) is None
    before = sorted(os.listdir(options["folder"]))
    (row,) = run(cells, (name,), ("given",), (1,), options=options)
    assert row["failure"] == "" and row["ari"] > 0.9 and row["n_clusters"] == 3 and row["version"].startswith("files ")
    assert sorted(os.listdir(options["folder"])) == before, "the user's checkout is changed"


def test_clear_finds_k_by_leiden(cells, checkout, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (row,) = run(cells, ("clear",), ("estimated",), (1,), options=checkout("clear"))
    assert row["failure"] == "" and row["n_clusters"] > 1


@pytest.mark.parametrize("name", list(CHECKOUTS))
def test_adapters_whose_checkout_fails(cells, checkout, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (row,) = run(cells, (name,), ("given",), (0,), options=checkout(name, "raise RuntimeError('out of memory')"))
    assert row["ari"] == "" and "RuntimeError: out of memory" in row["failure"]


@pytest.mark.slow
@pytest.mark.parametrize("name", list(CHECKOUTS))
def test_adapters_whose_checkout_leaves_nothing_or_hangs(cells, checkout, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (row,) = run(cells, (name,), ("given",), (0,), options=checkout(name, "pass"))
    assert row["ari"] == "" and row["failure"].startswith("it ended with status 1")
    options = {**checkout(name, "import time; time.sleep(300)"), "limit": "8"}
    (row,) = run(cells, (name,), ("given",), (0,), options=options)
    assert row["ari"] == "" and row["failure"] == "it took more than 8 s, the limit"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "files"), STALE.items())
def test_results_in_a_checkout_are_not_those_of_a_run(cells, checkout, tmp_path, monkeypatch, name, files):
    """The user has run the program there before, and now it ends without a result."""
    monkeypatch.chdir(tmp_path)
    options = checkout(name, "pass")
    for file in files:
        path = Path(options["folder"]) / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("0\n" * N)
    (row,) = run(cells, (name,), ("given",), (0,), options=options)
    assert row["ari"] == "" and row["failure"].startswith("it ended with status 1")


@pytest.mark.slow
@pytest.mark.parametrize("name", list(CHECKOUTS))
def test_adapters_whose_checkout_loses_a_cell(cells, checkout, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (row,) = run(cells, (name,), ("given",), (0,), options=checkout(name, shortened(CHECKOUTS[name])))
    assert row["ari"] == "" and f"gave {N - 1} labels for {N} cells" in row["failure"]


def test_the_commit_of_a_checkout_is_the_version(tmp_path):
    sys.path.insert(0, str(program_module.SCRIPTS))
    try:
        from exchange import commit_of
    finally:
        sys.path.pop(0)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@x"]
    assert commit_of(str(tmp_path / "none")) == "files e3b0c442"  # SHA-256 of nothing
    subprocess.run([*git, "init", "-q"], check=True)
    (tmp_path / "x").write_text("")
    subprocess.run([*git, "add", "x"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "x"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout
    assert head.startswith(commit_of(str(tmp_path)).removeprefix("commit "))
    (tmp_path / "x").write_text("changed")
    assert commit_of(str(tmp_path)).endswith("-dirty")


# ItClust and the peers, with stand-ins for their packages ------------------------------------------------------------

PACKAGES = {
    "ItClust": """
import numpy as np, pandas as pd
class transfer_learning_clf:
    def fit(self, source, target):
        assert list(source.obs.columns) == ["celltype"] and "" not in set(source.obs["celltype"])
        assert set(target.obs["celltype"]) == {"unknown"}
        source, target = (cells[:, list(target.var_names)] for cells in (source, target))
        names = sorted(set(source.obs["celltype"]))
        means = {name: np.asarray(source[source.obs["celltype"] == name].X.mean(0)).ravel() for name in names}
        away = ((target.X.toarray()[:, None] - np.stack([means[name] for name in names])[None]) ** 2).sum(2)
        ids = [f"{name}-target" for name in target.obs_names]
        self.found = pd.DataFrame({"cell_id": ids, "cluster": away.argmin(1)})
    def predict(self, write=True):
        assert not write
        return self.found.iloc[1:], None, None
""",
    "tensorflow": "def set_random_seed(seed): assert seed == 1\n",
    "sc3s": """
from sklearn.cluster import KMeans
class tl:
    @staticmethod
    def consensus(cells, n_clusters, random_state):
        (k,) = n_clusters
        found = KMeans(k, n_init=5, random_state=random_state).fit_predict(cells.obsm["X_pca"])
        cells.obs[f"sc3s_{k}"] = found.astype(str)
""",
    "phenograph": """
from sklearn.cluster import KMeans
def cluster(data, seed): return KMeans(3, n_init=5, random_state=seed).fit_predict(data), None, 0.5
""",
    "secuer": """
from sklearn.cluster import KMeans
def secuer(fea, seed): return KMeans(3, n_init=5, random_state=seed).fit_predict(fea)
""",
}


@pytest.fixture
def python_with(tmp_path):
    """`python_with(*names)` is a Python that finds stand-ins for packages of these names."""

    def make(*names, code=None):
        folder = tmp_path / "packages"
        for name in names:
            (folder / name).mkdir(parents=True)
            file = "secuer.py" if name == "secuer" else "__init__.py"
            (folder / name / file).write_text(code or PACKAGES[name])
            (folder / f"{name}-9.9.dist-info").mkdir()
            (folder / f"{name}-9.9.dist-info" / "METADATA").write_text(
                f"Metadata-Version: 2.1\nName: {name}\nVersion: 9.9\n"
            )
        python = tmp_path / "python"
        python.write_text(f'#!/bin/sh\nPYTHONPATH="{folder}" exec "{sys.executable}" "$@"\n')
        python.chmod(0o755)
        return {"python": str(python)}

    return make


@pytest.mark.parametrize("name", ["sc3s", "phenograph", "secuer"])
def test_adapter_of_a_peer(cells, python_with, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    options = python_with(name)
    assert reason(PROGRAMS[name], options) is None
    (row,) = run(cells, (name,), ("given", "estimated"), (1,), options=options)
    assert row["failure"] == "" and row["ari"] > 0.9 and row["version"].endswith(" 9.9")
    assert row["track"] == PROGRAMS[name].tracks[0]


PEERS_THAT_FAIL = {
    "raise RuntimeError('no memory')": "no memory",
    "import time; time.sleep(300)": "it took more than 8 s, the limit",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sc3s", "phenograph", "secuer", "itclust"])
@pytest.mark.parametrize(("code", "told"), PEERS_THAT_FAIL.items(), ids=["fails", "hangs"])
def test_peers_that_fail_or_hang(cells, python_with, tmp_path, monkeypatch, name, code, told):
    monkeypatch.chdir(tmp_path)
    packages = ("ItClust", "tensorflow") if name == "itclust" else (name,)
    options = {**python_with(*packages, code=code), "limit": "8", "source": str(cells)}
    (row,) = run(cells, (name,), PROGRAMS[name].tracks, (0,), options=options)
    assert row["ari"] == "" and told in row["failure"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["phenograph", "secuer"])
def test_peers_that_lose_a_cell(cells, python_with, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (row,) = run(cells, (name,), ("estimated",), (0,), options=python_with(name, code=shortened(PACKAGES[name])))
    assert row["ari"] == "" and f"gave {N - 1} labels for {N} cells" in row["failure"]


def test_adapter_of_itclust(cells, python_with, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = simulate_cells(90, 3, seed=3)
    source.obs["kind"] = source.obs["cell_type"].cat.rename_categories(str.upper)
    source.obs.loc[source.obs_names[:9], "kind"] = np.nan
    del source.obs["cell_type"]
    source.write_h5ad(tmp_path / "other.h5ad")
    options = {**python_with("ItClust", "tensorflow"), "source": str(tmp_path / "other.h5ad"), "label": "kind"}
    assert reason(PROGRAMS["itclust"], options) is None
    (row,) = run(cells, ("itclust",), ("estimated",), (1,), options=options)
    assert row["version"] == "ItClust 9.9, source other" and row["failure"] == ""
    # The cell that is dropped is a cluster of its own.
    assert row["ari"] > 0.85 and row["n_clusters"] == 4
    assert (
        "no obs['cell_type']"
        in run(cells, ("itclust",), ("estimated",), (1,), options={**options, "label": "cell_type"})[0]["failure"]
    )
    source.var_names = [f"ENSG{i}" for i in range(source.n_vars)]
    source.write_h5ad(tmp_path / "other.h5ad")
    assert "shares 0 gene names" in run(cells, ("itclust",), ("estimated",), (1,), options=options)[0]["failure"]


# R -------------------------------------------------------------------------------------------------------------------

R_PACKAGES = {
    "SIMLR": """
SIMLR <- function(X, c, cores.ratio) list(y = stats::kmeans(t(X), c, nstart = 9))
SIMLR_Large_Scale <- function(X, c, k, kk) { Rtsne(X); list(y = stats::kmeans(t(X), c, nstart = 9)) }
Rtsne <- function(...) stop("double free")
""",
    "scDHA": """
scDHA <- function(data, k = NULL, sparse = FALSE, ncores = 1, seed = NULL) {
    stopifnot(sparse, max(data) < 20)
    set.seed(seed)
    list(cluster = stats::kmeans(as.matrix(data), if (is.null(k)) 3 else k, nstart = 9)$cluster)
}
""",
}
needs_r = pytest.mark.skipif(shutil.which("Rscript") is None, reason="R is not installed")


def r_has(package):
    return shutil.which("Rscript") and reason(Program("X", "x.R", ("given",), (package,)), {}) is None


@pytest.fixture(scope="module")
def r_library(tmp_path_factory):
    """A library with stand-ins for SIMLR and scDHA."""
    folder = tmp_path_factory.mktemp("r")
    (folder / "lib").mkdir()
    for name, code in R_PACKAGES.items():
        (folder / name / "R").mkdir(parents=True)
        (folder / name / "R" / "code.R").write_text(code)
        exported = "SIMLR, SIMLR_Large_Scale" if name == "SIMLR" else "scDHA"
        (folder / name / "NAMESPACE").write_text(f"export({exported})\n")
        (folder / name / "DESCRIPTION").write_text(
            f"Package: {name}\nVersion: 9.9\nTitle: x\nDescription: x\nAuthor: x\nMaintainer: x <x@x.x>\nLicense: MIT\n"
        )
        subprocess.run(["R", "CMD", "INSTALL", "-l", folder / "lib", folder / name], check=True, capture_output=True)
    return folder / "lib"


@needs_r
@pytest.mark.skipif(not r_has("Matrix"), reason="R has no package Matrix")
@pytest.mark.parametrize(("name", "track"), [("simlr", "given"), ("scdha", "given"), ("scdha", "estimated")])
def test_adapter_in_r(cells, r_library, tmp_path, monkeypatch, name, track):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("R_LIBS", str(r_library))
    assert reason(PROGRAMS[name], {}) is None
    (row,) = run(cells, (name,), (track,), (1,))
    assert row["failure"] == "" and row["ari"] > 0.9 and "9.9" in row["version"] and ", R " in row["version"]


@needs_r
@pytest.mark.skipif(not r_has("Matrix"), reason="R has no package Matrix")
def test_simlr_for_large_data_makes_no_plot(r_library, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("R_LIBS", str(r_library))
    simulate_cells(1510, 3, seed=3).write_h5ad(tmp_path / "large.h5ad")
    (row,) = run(tmp_path / "large.h5ad", ("simlr",), ("given",), (1,))
    assert row["failure"] == "" and row["ari"] > 0.9 and "large scale" in row["version"]


@needs_r
def test_an_r_package_that_is_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("R_LIBS", str(tmp_path))
    if not r_has("scDHA"):
        assert reason(PROGRAMS["scdha"], {}) == "Rscript has no R package scDHA"


@pytest.mark.slow
@pytest.mark.skipif(not r_has("Seurat"), reason="Seurat is not installed (scripts/install-seurat.sh)")
def test_seurat_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    simulate_cells(300, 4, n_genes=400, seed=1).write_h5ad(tmp_path / "four.h5ad")
    given, estimated = run(tmp_path / "four.h5ad", ("seurat",), ("given", "estimated"), (0,))
    assert given["failure"] == estimated["failure"] == ""
    assert given["n_clusters"] == 4 and given["ari"] > 0.95 and given["version"].startswith("Seurat ")
    assert estimated["ari"] > 0.7
    # A number of clusters that no resolution gives: the nearest one, and no error
    one = simulate_cells(40, 2, seed=1)
    one.obs["cell_type"] = [f"t{i}" for i in range(40)]
    one.write_h5ad(tmp_path / "forty.h5ad")
    (row,) = run(tmp_path / "forty.h5ad", ("seurat",), ("given",), (0,))
    assert row["failure"] == "" and 1 <= row["n_clusters"] < 40
