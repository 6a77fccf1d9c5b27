"""Faults while a command runs: killed, interrupted, out of disk or memory, another run beside it, a clock set back."""

import errno
import multiprocessing
import os
import resource
import signal
import sys
import time
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from sccicl.cli import main
from sccicl.errors import InputError
from sccicl.io import model_file, write_h5ad
from sccicl.runtime.files import write_json
from simulate import simulate_cells

ROOT = Path(__file__).parents[2]
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
FIT = [
    "--n-clusters",
    "3",
    "--epochs",
    "1",
    "--min-steps",
    "60",
    "--device",
    "cpu",
    "--threads",
    "1",
]
LIMIT_S = 300


def invoke(arguments: list[str], quiet: bool = True) -> None:
    """Run one command as a process of its own does; the end of the process."""
    if quiet:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
    # As in a shell, where Python makes KeyboardInterrupt of SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        main(arguments, prog_name="cicl", standalone_mode=True)
    except SystemExit as ended:
        os._exit(ended.code if isinstance(ended.code, int) else 1 if ended.code else 0)
    except BaseException:
        os._exit(70)
    os._exit(0)


@pytest.fixture(scope="module")
def start():
    """Starts a command in a process forked from one that has imported everything."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(ROOT / "bin"), str(Path(__file__).parent), str(ROOT / "tests" / "helpers")]
    )
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        [
            "sccicl.cli.sample",
            "sccicl.steps.prepare",
            "sccicl.clustering.fit",
            "sccicl.report.page",
            "anndata",
            "sklearn.cluster",
            "test_faults",
        ]
    )

    def start_one(*arguments: object):
        process = context.Process(target=invoke, args=([str(argument) for argument in arguments],))
        process.start()
        return process

    yield start_one
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


def whole(start, *arguments: object) -> float:
    """Run to the end; seconds."""
    began = time.monotonic()
    process = start(*arguments)
    process.join(LIMIT_S)
    assert process.exitcode == 0, arguments
    return time.monotonic() - began


# Outputs of a stage
STAGES = {
    "prepare": ("s.prepared.h5ad", "s.inputs.tsv"),
    "fit": ("s.fit.pt",),
    "cluster": ("s.clusters.csv", "s.embedding.parquet", "s.model.pt", "s.clustered.h5ad"),
    "report": ("cicl_report.html",),
}


def stage(name: str, source: Path, outdir: Path) -> list[object]:
    """Arguments of a stage that reads the undisturbed outputs of those before."""
    if name == "prepare":
        return ["prepare", source / "s.h5ad", "--n-genes", 60, "--outdir", outdir]
    if name == "fit":
        return ["fit", source / "s.prepared.h5ad", *FIT, "--checkpoint-minutes", 0, "--outdir", outdir]
    if name == "cluster":
        return ["cluster", source / "s.prepared.h5ad", "--fit", source / "s.fit.pt", "--outdir", outdir]
    return ["report", source / "s.clustered.h5ad", source / "s.metrics.json", "--outdir", outdir]


@pytest.fixture(scope="module")
def undisturbed(start, tmp_path_factory):
    """Folder with the outputs of each stage when nothing happens, and the seconds of each."""
    folder = tmp_path_factory.mktemp("undisturbed")
    simulate_cells(60, 3, 80).write_h5ad(folder / "s.h5ad")
    seconds = {}
    for name in STAGES:
        if name == "report":
            whole(start, "score", folder / "s.clustered.h5ad", "--outdir", folder)
        seconds[name] = whole(start, *stage(name, folder, folder))
    return folder, seconds


def assert_same(found: Path, expected: Path) -> None:
    """All of an output that must repeat does: everything but seconds and memory."""
    if found.suffix == ".pt":
        ours, theirs = (model_file.load(path, path.name.split(".")[-2]) for path in (found, expected))
        assert_equal_parts(ours, theirs)
    elif found.suffix == ".h5ad":
        ours, theirs = anndata.read_h5ad(found), anndata.read_h5ad(expected)
        assert (ours.X != theirs.X).nnz == 0
        pd.testing.assert_frame_equal(ours.obs, theirs.obs)
        pd.testing.assert_frame_equal(ours.var, theirs.var)
        for key in theirs.obsm:
            np.testing.assert_array_equal(ours.obsm[key], theirs.obsm[key])
    elif found.suffix == ".parquet":
        pd.testing.assert_frame_equal(pd.read_parquet(found), pd.read_parquet(expected))
    else:
        assert found.read_text() == expected.read_text()


def assert_equal_parts(ours, theirs) -> None:
    if isinstance(theirs, dict):
        assert set(ours) == set(theirs)
        for key in set(theirs) - {"stages"}:
            assert_equal_parts(ours[key], theirs[key])
    elif isinstance(theirs, torch.Tensor):
        assert torch.equal(ours, theirs)
    else:
        # NaN is not equal to itself, but its text is.
        assert repr(ours) == repr(theirs)


def kill_and_repeat(start, undisturbed, name: str, trial: int, folder: Path) -> None:
    source, seconds = undisturbed
    rng = np.random.default_rng([trial, len(name)])
    number = SIGNALS[trial % len(SIGNALS)]
    process = start(*stage(name, source, folder))
    time.sleep(rng.uniform(0, 1.1 * seconds[name]))
    if process.is_alive():
        os.kill(process.pid, number)
    process.join(LIMIT_S)
    assert process.exitcode in (0, -number, 128 + number), (number, process.exitcode)
    for output in STAGES[name]:
        if (folder / output).exists():
            assert_same(folder / output, source / output)
    if number != signal.SIGKILL and process.exitcode > 0:
        left = {file.name for file in folder.iterdir()} if folder.exists() else set()
        assert {file for file in left if file.startswith(".")} == set()
    whole(start, *stage(name, source, folder))
    for output in STAGES[name]:
        assert_same(folder / output, source / output)
    assert list(folder.glob("*.checkpoint.pt")) == []


@pytest.mark.parametrize("n", [3, pytest.param(50, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", list(STAGES))
def test_killed_at_any_moment(name, n, start, undisturbed, tmp_path):
    """The output is absent or whole; the same command then ends as if nothing had happened."""
    for trial in range(n):
        kill_and_repeat(start, undisturbed, name, trial, tmp_path / str(trial))


def test_two_runs_into_one_folder_at_once(start, undisturbed, tmp_path):
    source, _ = undisturbed
    for name in ("prepare", "fit", "cluster"):
        both = [start(*stage(name, source, tmp_path)) for _ in range(2)]
        for process in both:
            process.join(LIMIT_S)
            assert process.exitcode == 0
        for output in STAGES[name]:
            assert_same(tmp_path / output, source / output)
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".") or "checkpoint" in file.name] == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("output", ["h5ad", "model", "json"])
def test_no_room_is_told_in_a_sentence_and_leaves_nothing(number, output, tmp_path, monkeypatch):
    """The system refuses to write after some bytes, as for a full disk or a quota."""
    path = tmp_path / f"s.{output}"
    path.write_text("old")

    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    if output == "h5ad":
        real = write_h5ad.io.FileIO.write
        monkeypatch.setattr(
            write_h5ad._Deferring,
            "_system_write",
            lambda self, data: (self.tell() > 4096 and refuse()) or real(self, data),
        )
        action = lambda: write_h5ad.write_h5ad(simulate_cells(), path)  # noqa: E731
    elif output == "model":
        monkeypatch.setattr(torch, "save", refuse)
        action = lambda: model_file.save({"x": torch.zeros(9)}, path, "model")  # noqa: E731
    else:
        monkeypatch.setattr(Path, "write_text", refuse)
        action = lambda: write_json({}, path)  # noqa: E731
    with pytest.raises(InputError, match=f"{path.name} cannot be written .*{os.strerror(number)}.*make room"):
        action()
    assert path.read_bytes() == b"old" and [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.skipif(os.geteuid() != 0, reason="a file system is mounted")
def test_a_disk_that_is_full(tmp_path):
    """All kinds of outputs on a file system of 300 kB; HDF5 must not crash when Python ends."""
    import subprocess

    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", small], check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        simulate_cells(1500, 3, 600).write_h5ad(tmp_path / "big.h5ad")
        command = [sys.executable, ROOT / "bin/cicl.py", "prepare", tmp_path / "big.h5ad", "--outdir", small]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ended.returncode == 2, ended.stderr
        assert ended.stderr.strip().startswith("ERROR:") and "No space left on device" in ended.stderr
        assert len(ended.stderr.strip().splitlines()) == 1
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", small], check=True)


def starved(arguments: list[str], spare: int) -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + spare, used + spare))
    invoke(arguments)


def test_memory_limit_ends_prepare_as_a_killed_task(start, tmp_path):
    """Status 137 makes Nextflow try again with more memory; nothing is left behind."""
    cells = simulate_cells(20_000, 3, 1200)
    cells.write_h5ad(tmp_path / "big.h5ad")
    arguments = ["prepare", str(tmp_path / "big.h5ad"), "--outdir", str(tmp_path / "out")]
    process = multiprocessing.get_context("forkserver").Process(target=starved, args=(arguments, 120 << 20))
    process.start()
    process.join(LIMIT_S)
    assert process.exitcode == 137
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), 137, "not enough memory"),
        (MemoryError("Unable to allocate 9 GiB"), 137, "not enough memory"),
        (RuntimeError("CUDA error: unspecified launch failure"), 134, "the GPU failed"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_what_the_machine_does_is_told(error, code, told, undisturbed, tmp_path, monkeypatch):
    """A fake allocator, and a GPU that vanishes while the model is trained."""

    def fail(*_args, **_kwargs):
        raise error

    monkeypatch.setattr("sccicl.model.train_step.contrastive_loss", fail)
    arguments = [str(argument) for argument in stage("fit", undisturbed[0], tmp_path)]
    ended = CliRunner().invoke(main, arguments)
    assert ended.exit_code == code and "ERROR: " in ended.output and told in ended.output
    assert not (tmp_path / "s.fit.pt").exists()


def test_clock_that_is_set_back(undisturbed, tmp_path, monkeypatch):
    times = iter(range(10**9, 0, -3600))
    monkeypatch.setattr(time, "time", lambda: float(next(times)))
    for name in ("fit", "cluster"):
        arguments = [str(argument) for argument in stage(name, undisturbed[0], tmp_path)]
        ended = CliRunner().invoke(main, arguments, catch_exceptions=False)
        assert ended.exit_code == 0, ended.output
        for output in STAGES[name]:
            assert_same(tmp_path / output, undisturbed[0] / output)
