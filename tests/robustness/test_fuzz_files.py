"""Damaged structures of h5ad, 10x and loom, and odd texts in every table that is read: valid output or one sentence."""

import json
import shutil

import anndata
import h5py
import numpy as np
import pytest
from formats import small_counts, write_loom, write_table, write_tenx_h5, write_tenx_mtx
from fuzzing import AT_RANDOM, EXAMPLES, MANY, ODD_TEXTS, QUIET, is_a_sentence, outcome
from hypothesis import given, settings
from hypothesis import strategies as st
from sccicl.errors import InputError
from sccicl.io.read import read_counts
from simulate import simulate_cells

SHORT = ["--n-clusters", 3, "--epochs", 1, "--min-steps", 1, "--device", "cpu", "--threads", 1]


# ---- the structure of HDF5 files ----


def places_of(file: h5py.File) -> list[str]:
    found: list[str] = []
    file.visit(found.append)
    return found


def replacement(kind: str, old, rng: np.random.Generator):
    """Another value for a dataset: of another type, shape or order."""
    values = old[()]
    n = int(np.size(values))
    return {
        "text": lambda: np.array([f"t{i}" for i in range(n)], dtype=object),
        "nan": lambda: np.full(np.shape(values), np.nan),
        "negative": lambda: np.full(np.shape(values), -1, dtype=np.int64),
        "huge": lambda: np.full(np.shape(values), 2**62, dtype=np.int64),
        "bool": lambda: np.zeros(np.shape(values), dtype=bool),
        "complex": lambda: np.ones(np.shape(values), dtype=complex),
        "scalar": lambda: 5,
        "word": lambda: "a word",
        "none": lambda: np.zeros(0),
        "shorter": lambda: np.ravel(values)[: n // 2],
        "longer": lambda: np.concatenate([np.ravel(values), np.ravel(values)]),
        "column": lambda: np.reshape(values, (-1, 1)),
        "shuffled": lambda: rng.permutation(np.ravel(values)),
        "same": lambda: np.ravel(values)[[0] * n] if n else values,
        "bytes": lambda: np.array([b"\xff\xfe"] * n),
    }[kind]()


KINDS = ["text", "nan", "negative", "huge", "bool", "complex", "scalar", "word", "none", "shorter", "longer", "column",
         "shuffled", "same", "bytes"]  # fmt: skip


def change(file: h5py.File, place: str, what: str, kind: str, seed: int) -> None:
    """One change of the structure; nothing where it does not apply."""
    rng = np.random.default_rng(seed)
    item = file[place]
    if what == "delete":
        del file[place]
    elif what == "swap":  # a group for a dataset, and the other way
        is_group = isinstance(item, h5py.Group)
        del file[place]
        file.create_dataset(place, data=[1, 2, 3]) if is_group else file.create_group(place)
    elif what == "attribute" and len(item.attrs):
        name = sorted(item.attrs)[seed % len(item.attrs)]
        odd = [None, "unknown", "", 3, np.nan, [1, 2, 3], np.zeros(0)][rng.integers(7)]
        del item.attrs[name]
        if odd is not None:
            item.attrs[name] = odd
    elif what == "replace" and isinstance(item, h5py.Dataset):
        new = replacement(kind, item, rng)
        if isinstance(new, np.ndarray) and new.dtype.hasobject and not new.size:
            return  # an earlier change left nothing that HDF5 could hold
        attributes = dict(item.attrs)
        del file[place]
        file.create_dataset(place, data=new)
        file[place].attrs.update(attributes)


@st.composite
def changes(draw):
    """One to three changes, places by number."""
    one = st.tuples(
        st.integers(0, 10**6), st.sampled_from(["delete", "swap", "attribute", "replace", "replace"]),
        st.sampled_from(KINDS), st.integers(0, 2**31),
    )  # fmt: skip
    return draw(st.lists(one, min_size=1, max_size=3))


def write_changed(whole, path, wanted) -> None:
    shutil.copyfile(whole, path)
    with h5py.File(path, "r+") as file:
        for number, what, kind, seed in wanted:
            if there := places_of(file):
                change(file, there[number % len(there)], what, kind, seed)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("h5")
    cells = small_counts(40, 20)
    cells.layers["counts"] = cells.X.copy()
    cells.raw = cells.copy()
    cells.obs["n"] = np.arange(40)
    cells.write_h5ad(folder / "csr.h5ad")
    for layout, matrix in (("csc", cells.X.tocsc()), ("dense", cells.X.toarray())):
        other = cells.copy()
        other.X = matrix
        other.write_h5ad(folder / f"{layout}.h5ad")
    write_tenx_h5(cells, folder / "v3.h5", antibodies=2)
    write_tenx_h5(cells, folder / "v2.h5", version=2)
    write_loom(cells, folder / "a.loom")
    return folder


NAMES = ["csr.h5ad", "csc.h5ad", "dense.h5ad", "v3.h5", "v2.h5", "a.loom"]


def one_structure(files, name: str, layer, wanted) -> None:
    path = files / f"changed.{name}"
    write_changed(files / name, path, wanted)
    try:
        found = read_counts(path, counts_layer=layer if name.endswith("h5ad") else None)
    except InputError as error:
        assert is_a_sentence(str(error)) and path.name in str(error), error
        return
    assert found.n_obs >= 10 and found.n_vars >= 2 and found.X.dtype == np.float32
    assert np.isfinite(found.X.data).all() and (found.X.data > 0).all() and found.X.has_canonical_format
    assert found.obs_names.is_unique and found.var_names.is_unique
    assert all(isinstance(name, str) for name in (*found.obs_names, *found.var_names))


@settings(max_examples=EXAMPLES, **QUIET)
@given(st.sampled_from(NAMES), st.sampled_from([None, None, "counts", "raw"]), changes())
def test_any_structure(files, name, layer, wanted):
    one_structure(files, name, layer, wanted)


@pytest.mark.slow
@settings(max_examples=MANY, **AT_RANDOM)
@given(st.sampled_from(NAMES), st.sampled_from([None, None, "counts", "raw"]), changes())
def test_any_structure_many_times(files, name, layer, wanted):
    one_structure(files, name, layer, wanted)


# ---- files of the steps, changed by other programs ----


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
    """Folder with the outputs of all steps but the figures."""
    folder = tmp_path_factory.mktemp("steps")
    simulate_cells(60, 3, 80).write_h5ad(folder / "s.h5ad")
    (folder / "list.csv").write_text("A,gene1,gene2\nB,gene20,gene30\n")
    out = ("--outdir", folder)
    assert outcome("prepare", folder / "s.h5ad", "--n-genes", 60, *out) == 0
    assert outcome("fit", folder / "s.prepared.h5ad", *SHORT, *out) == 0
    assert outcome("cluster", folder / "s.prepared.h5ad", "--fit", folder / "s.fit.pt", *out) == 0
    assert outcome("score", folder / "s.clustered.h5ad", *out) == 0
    assert outcome("markers", folder / "s.clustered.h5ad", *out) == 0
    assert outcome("annotate", folder / "s.clustered.h5ad", "--marker-list", folder / "list.csv", *out) == 0
    return folder


def one_step(steps, out, command: str, wanted) -> None:
    name = "s.prepared.h5ad" if command == "cluster" else "s.clustered.h5ad"
    path = out / name
    write_changed(steps / name, path, wanted)
    more = {
        "cluster": ["--fit", steps / "s.fit.pt"],
        "report": [steps / "s.metrics.json"],
        "annotate": ["--marker-list", steps / "list.csv"],
        "export": ["--tools", "cellxgene,loupe"],
    }.get(command, [])
    outcome(command, path, *more, "--outdir", out)


COMMANDS = ["cluster", "score", "report", "annotate", "export"]


@settings(max_examples=EXAMPLES, **QUIET)
@given(st.sampled_from(COMMANDS), changes())
def test_any_step_file(steps, tmp_path_factory, command, wanted):
    one_step(steps, tmp_path_factory.getbasetemp(), command, wanted)


@pytest.mark.slow
@settings(max_examples=MANY, **AT_RANDOM)
@given(st.sampled_from([*COMMANDS, "markers"]), changes())
def test_any_step_file_many_times(steps, tmp_path_factory, command, wanted):
    one_step(steps, tmp_path_factory.getbasetemp(), command, wanted)


@pytest.mark.parametrize("command", ["cluster", "markers", "annotate", "export"])
@pytest.mark.parametrize(("place", "value"), [("indices", 10**9), ("indices", -(10**8)), ("indptr", 10**12)])
def test_places_outside_of_the_matrix_of_a_step(steps, tmp_path, command, place, value):
    """SciPy crashed, or asked for terabytes."""

    def change(file: h5py.File) -> None:
        values = file[f"X/{place}"][:].astype(np.int64)
        values[5:] = value
        del file[f"X/{place}"]
        file[f"X/{place}"] = values

    name = "s.prepared.h5ad" if command == "cluster" else "s.clustered.h5ad"
    path = tmp_path / name
    shutil.copyfile(steps / name, path)
    with h5py.File(path, "r+") as file:
        change(file)
    more = {"cluster": ["--fit", steps / "s.fit.pt"], "annotate": ["--marker-list", steps / "list.csv"]}
    assert outcome(command, path, *more.get(command, []), "--outdir", tmp_path / "out") == 2
    assert not (tmp_path / "out").exists()


# ---- texts ----

BYTES = [b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\x1f\x8b", b"\r", b"\n\n", b'"', b"'", b",", b";", b"\t", b"#", b"\\"]


@st.composite
def edits(draw):
    """How a text is damaged: pieces put in, taken out or repeated, and where."""
    piece = st.one_of(st.sampled_from(BYTES), st.sampled_from(ODD_TEXTS).map(str.encode))
    one = st.tuples(st.sampled_from(["insert", "cut", "repeat", "field", "end"]), st.floats(0, 1), piece)
    return draw(st.lists(one, min_size=1, max_size=4))


def edited(text: bytes, wanted) -> bytes:
    for what, share, piece in wanted:
        at = int(share * len(text))
        if what == "insert":
            text = text[:at] + piece + text[at:]
        elif what == "cut":
            text = text[:at] + text[at + 1 + len(piece) :]
        elif what == "repeat":
            text = text + text[at:]
        elif what == "end":
            text = text[:at]
        else:  # a field of the table, whatever separates it
            end = next((i for i in range(at, len(text)) if text[i : i + 1] in b",;\t \n"), len(text))
            text = text[:at] + piece + text[end:]
    return text


class Tables:
    """`folder` of the tables, and `readers`: name -> content, and the command that reads it; shown in one word."""

    def __init__(self, folder, readers):
        self.folder, self.readers = folder, readers


@pytest.fixture(scope="module")
def tables(steps, tmp_path_factory):
    """Every table that a command reads, with {} in the command in the place of the file."""
    folder = tmp_path_factory.mktemp("tables")
    cells = small_counts(40, 20)
    write_tenx_mtx(cells, folder / "tenx", zipped=False)
    write_table(cells, folder / "counts.csv", corner="cell")
    write_table(cells, folder / "counts.tsv", genes_in_rows=True, corner="gene", sep="\t")
    cells.write_h5ad(folder / "cells.h5ad")
    kallisto = folder / "kallisto"
    kallisto.mkdir()
    shutil.copy(folder / "tenx/matrix.mtx", kallisto / "cells_x_genes.mtx")
    from scipy import io

    io.mmwrite(kallisto / "cells_x_genes.mtx", cells.X)
    (kallisto / "cells_x_genes.barcodes.txt").write_text("\n".join(cells.obs_names))
    (kallisto / "cells_x_genes.genes.txt").write_text("\n".join(cells.var_names))
    bases = "ACGT"
    barcodes = ["".join(bases[(i >> 2 * j) % 4] for j in range(16)) for i in range(60)]
    reads = {1: lambda b: b + "ACGTACGTACGT", 2: lambda b: "ACGTTGCA" * 11}
    for mate, sequence in reads.items():
        lines = [f"@r{i}/{mate}\n{sequence(b)}\n+\n{'F' * len(sequence(b))}\n" for i, b in enumerate(barcodes * 3)]
        (folder / f"r_{mate}.fastq").write_text("".join(lines))
    (folder / "whitelist.txt").write_text("\n".join(barcodes) + "\n")
    (folder / "genes.tsv").write_text("".join(f"{i}\t{s}\n" for i, s in cells.var["gene_symbols"].items()))
    (folder / "reads.json").write_text(json.dumps({"protocol": "10XV3", "length_1": 28, "warnings": ["short"]}))
    (folder / "summary.csv").write_text("Number of Reads,1000\nQ30 Bases in RNA read,0.9\nReads Mapped/x,0.8\n")
    (folder / "labels.csv").write_text("cluster,label\n0,T cell\n1,B cell\n2,NK\n")
    for name in ("s.metrics.json", "s.markers.json", "s.annotation.json", "list.csv"):
        shutil.copy(steps / name, folder)
    clustered, model = steps / "s.clustered.h5ad", steps / "s.model.pt"
    readers = {
        "counts.csv": ["prepare", "{}"],
        "counts.tsv": ["prepare", "{}"],
        "tenx/matrix.mtx": ["prepare", folder / "tenx"],
        "tenx/barcodes.tsv": ["prepare", folder / "tenx"],
        "tenx/features.tsv": ["prepare", folder / "tenx"],
        "kallisto/cells_x_genes.mtx": ["prepare", kallisto],
        "kallisto/cells_x_genes.barcodes.txt": ["prepare", kallisto],
        "kallisto/cells_x_genes.genes.txt": ["prepare", kallisto],
        "r_1.fastq": ["check-reads", "{}", folder / "r_2.fastq"],
        "r_2.fastq": ["check-reads", folder / "r_1.fastq", "{}"],
        "whitelist.txt": ["check-reads", folder / "r_1.fastq", folder / "r_2.fastq", "--whitelist", "{}"],
        "genes.tsv": ["call-cells", folder / "cells.h5ad", "--genes", "{}"],
        "reads.json": ["call-cells", folder / "cells.h5ad", "--reads", "{}"],
        "summary.csv": ["call-cells", folder / "cells.h5ad", "--summary", "{}"],
        "labels.csv": ["label-model", model, "--labels", "{}"],
        "list.csv": ["annotate", clustered, "--marker-list", "{}"],
        "s.metrics.json": ["report", clustered, "{}"],
        "s.markers.json": ["plot", clustered, "--markers", "{}"],
        "s.annotation.json": ["plot", clustered, "--annotation", "{}"],
    }
    return Tables(folder, {name: ((folder / name).read_bytes(), words) for name, words in readers.items()})


TABLES = ["counts.csv", "counts.tsv", "tenx/matrix.mtx", "tenx/barcodes.tsv", "tenx/features.tsv",
          "kallisto/cells_x_genes.mtx", "kallisto/cells_x_genes.barcodes.txt", "kallisto/cells_x_genes.genes.txt",
          "r_1.fastq", "r_2.fastq", "whitelist.txt", "genes.tsv", "reads.json", "summary.csv", "labels.csv", "list.csv",
          "s.metrics.json", "s.markers.json", "s.annotation.json"]  # fmt: skip


def one_table(tables, name: str, wanted, monkeypatch) -> None:
    folder, readers = tables.folder, tables.readers
    # The figures themselves take seconds and are drawn of the clusters.
    monkeypatch.setattr("sccicl.steps.plot.plot_to_files", lambda *_, **__: None)
    content, words = readers[name]
    path = folder / name
    path.write_bytes(edited(content, wanted))
    try:
        outcome(*(path if word == "{}" else word for word in words), "--outdir", folder / "out")
    finally:
        path.write_bytes(content)


@pytest.mark.parametrize("name", TABLES)
def test_whole_tables_are_read(tables, name, monkeypatch):
    folder, readers = tables.folder, tables.readers
    monkeypatch.setattr("sccicl.steps.plot.plot_to_files", lambda *_, **__: None)
    words = readers[name][1]
    assert outcome(*(folder / name if word == "{}" else word for word in words), "--outdir", folder / "whole") == 0


@settings(max_examples=EXAMPLES, **QUIET)
@given(st.sampled_from(TABLES), edits())
def test_any_table(tables, name, wanted):
    with pytest.MonkeyPatch.context() as monkeypatch:
        one_table(tables, name, wanted, monkeypatch)


@pytest.mark.slow
@settings(max_examples=MANY, **AT_RANDOM)
@given(st.sampled_from(TABLES), edits())
def test_any_table_many_times(tables, name, wanted):
    with pytest.MonkeyPatch.context() as monkeypatch:
        one_table(tables, name, wanted, monkeypatch)


# ---- records of steps in the input of another ----


@pytest.fixture(scope="module")
def joined(tmp_path_factory):
    """Two samples in one file, with the records of their quality control."""
    folder = tmp_path_factory.mktemp("joined")
    for name in "ab":
        cells = simulate_cells(30, 3, 80)
        cells.obs_names = name + cells.obs_names
        cells.write_h5ad(folder / f"{name}.h5ad")
    assert outcome("join", folder / "a.h5ad", folder / "b.h5ad", "--samples", "a,b", "--id", "s", "--min-genes", 1,
                   "--doublets", "mark", "--outdir", folder) == 0  # fmt: skip
    return folder / "s.joined.h5ad"


@pytest.mark.parametrize(
    ("place", "what", "kind"),
    [
        ("uns/cicl", "swap", "text"),
        ("uns/cicl/qc", "swap", "text"),
        ("uns/cicl/qc", "attribute", "text"),
        ("uns/cicl/qc/cells_in", "delete", "text"),
        *(("uns/cicl/qc/cells_in", "replace", kind) for kind in ("text", "word", "none", "nan")),
        ("uns/cicl/joined/samples", "replace", "bytes"),
        ("uns/cicl/joined/samples", "replace", "nan"),
        ("uns/cicl/warnings", "attribute", "text"),
    ],
)
def test_changed_records_of_earlier_steps_are_left_out(joined, place, what, kind, tmp_path):
    path = tmp_path / "s.joined.h5ad"
    shutil.copyfile(joined, path)
    with h5py.File(path, "r+") as file:
        change(file, place, what, kind, 0)
    assert outcome("prepare", path, "--min-genes", 2, "--outdir", tmp_path) == 0
    found = anndata.read_h5ad(tmp_path / "s.prepared.h5ad")
    warnings = list(found.uns["cicl"].get("warnings", ()))
    assert found.n_obs == 60 and (place == "uns/cicl" or "were changed by another program" in warnings[0])


def test_one_warning_as_a_single_text_stays_whole(joined, tmp_path):
    path = tmp_path / "s.joined.h5ad"
    shutil.copyfile(joined, path)
    with h5py.File(path, "r+") as file:
        del file["uns/cicl/warnings"]
        anndata.io.write_elem(file, "uns/cicl/warnings", "a: doublets were not searched for")
    assert outcome("prepare", path, "--outdir", tmp_path) == 0
    found = anndata.read_h5ad(tmp_path / "s.prepared.h5ad")
    assert list(found.uns["cicl"]["warnings"]) == ["a: doublets were not searched for"]
