"""Files from other people hold data, never code that is run."""

import ast
import json
import os
import pickle
import zipfile
from pathlib import Path

import anndata
import pytest
import torch
from formats import small_counts
from sccicl.errors import InputError
from sccicl.io import model_file
from sccicl.io.read import read_counts

SOURCES = sorted((Path(__file__).resolve().parents[2] / "bin").rglob("*.py"))


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture
def sprung(tmp_path):
    """The file that a trap makes; the test fails where it is there in the end."""
    path = tmp_path / "sprung"
    yield path
    assert not path.exists(), "code from a file was run"


def test_the_trap_works(tmp_path):
    pickle.loads(pickle.dumps(Trap(tmp_path / "sprung")))
    assert (tmp_path / "sprung").exists()


@pytest.mark.parametrize("kind", ["fit", "model"])
def test_models_with_code_are_refused(tmp_path, sprung, kind):
    path = tmp_path / "evil.pt"
    torch.save({"cicl": kind, "format": model_file.FORMAT, "encoder": Trap(sprung)}, path)
    with pytest.raises(InputError, match=r"no \w+ file of CICL"):
        model_file.load(path, kind)
    path.write_bytes(pickle.dumps(Trap(sprung)))
    with pytest.raises(InputError, match=r"no \w+ file of CICL"):
        model_file.load(path, kind)


def test_models_of_another_format_are_refused(tmp_path):
    path = tmp_path / "later.pt"
    torch.save({"cicl": "model", "format": model_file.FORMAT + 1}, path)
    with pytest.raises(InputError, match=f"its format is {model_file.FORMAT + 1} and this version reads"):
        model_file.load(path, "model")


@pytest.mark.parametrize(
    ("version", "change"),
    [
        (2, {"filters": [{"id": "pickle", "protocol": 5}], "compressor": None}),
        (2, {"filters": None, "compressor": {"id": "pickle", "protocol": 5}}),
        (2, {"filters": [{"id": "pickle", "protocol": 5}], "compressor": None, "dtype": "|O"}),
        (3, {"codecs": [{"name": "numcodecs.pickle", "configuration": {"protocol": 5}}]}),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_zarr_stores_with_pickles_are_refused(tmp_path, sprung, version, change):
    store = tmp_path / "evil.zarr"
    with anndata.settings.override(zarr_write_format=version):
        small_counts().write_zarr(store)
    array = store / "X" / "data"
    settings = array / (".zarray" if version == 2 else "zarr.json")
    settings.write_text(json.dumps(json.loads(settings.read_text()) | change))
    for summary in (store / ".zmetadata", store / "zarr.json"):
        if summary.exists():
            content = json.loads(summary.read_text())
            content.pop("consolidated_metadata", None)
            summary.write_text(json.dumps(content)) if summary.name == "zarr.json" else summary.unlink()
    chunks = [path for path in array.rglob("*") if path.is_file() and path != settings and path.name != ".zattrs"]
    assert chunks
    for chunk in chunks:
        chunk.write_bytes(pickle.dumps(Trap(sprung)))
    with pytest.raises(InputError, match=r"evil\.zarr cannot be read"):
        read_counts(store)


@pytest.mark.parametrize("name", ["cells.h5ad", "cells.csv", "cells.pkl", "cells.npz", "matrix.mtx"])
def test_pickles_and_archives_under_any_name_are_refused(tmp_path, sprung, name):
    path = tmp_path / name
    path.write_bytes(pickle.dumps(Trap(sprung)))
    with pytest.raises(InputError):
        read_counts(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../outside", "x")
    with pytest.raises(InputError):
        read_counts(path)
    assert not (tmp_path.parent / "outside").exists()


# Each runs code that a file may hold, or text as code.
FORBIDDEN = {
    "eval", "exec", "pickle.load", "pickle.loads", "joblib.load", "dill.load", "cloudpickle.load", "read_pickle",
    "os.system", "os.popen", "yaml.load", "yaml.unsafe_load", "extractall", "unpack_archive",
}  # fmt: skip
# With these arguments, or without them
DANGEROUS = {"shell": True, "allow_pickle": True, "weights_only": False}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_the_engine_calls_nothing_that_runs_data(path):
    for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
        name = ast.unparse(call.func)
        where = f"{path.name}, line {call.lineno}: {name}"
        last = name.split(".")[-1]
        assert name not in FORBIDDEN and (last == "eval" or last not in FORBIDDEN), where
        given = {word.arg: getattr(word.value, "value", None) for word in call.keywords}
        assert not any(given.get(word) is value for word, value in DANGEROUS.items()), where
        if name == "torch.load":
            assert given.get("weights_only") is True, where
